// The replay that runs, if one does.

const SPEEDS = [['0.1', '⅒ speed'], ['0.25', '¼ speed'], ['1', 'own speed'], ['4', '4 × speed']];
let replay = null;

function replayBar(i) {
  const play = el('button', 'play', '▶ Play'), speed = el('select'), at = el('output');
  play.type = 'button';
  play.dataset.play = '';
  speed.setAttribute('aria-label', 'Speed');
  for (const [value, text] of SPEEDS) {
    const option = el('option', '', text);
    option.value = value;
    option.selected = value === '1';
    speed.append(option);
  }
  play.addEventListener('click', () => replay ? stopReplay() : startReplay(i, play, speed, at));
  return el('div', 'replay', play, speed, at);
}
function startReplay(i, play, speed, at) {
  const list = streams.get(i), next = list.map(() => 0);
  const total = Math.max(0, ...list.map(({ times }) => times.length ? times[times.length - 1] : 0));
  let elapsed = 0, before = performance.now();
  panel.classList.add('playing');
  play.textContent = '■ Stop';
  for (const { marks = [] } of list) for (const mark of marks) mark.classList.remove('on');
  replay = { play, list, frame: 0 };
  const step = now => {
    elapsed += Math.max(0, now - before) * Number(speed.value);
    before = now;
    list.forEach(({ marks = [], times, paint }, n) => {
      while (next[n] < marks.length && times[next[n]] <= elapsed) marks[next[n]++].classList.add('on');
      if (paint) paint(elapsed);
    });
    at.textContent = '+' + whole.format(Math.min(elapsed, total)) + '\u202fms';
    playhead = start[i] + elapsed;
    request();
    if (elapsed >= total) return stopReplay();
    replay.frame = requestAnimationFrame(step);
  };
  replay.frame = requestAnimationFrame(step);
}
function stopReplay() {
  if (!replay) return;
  cancelAnimationFrame(replay.frame);
  replay.play.textContent = '▶ Play';
  for (const { paint } of replay.list) if (paint) paint(Infinity);
  panel.classList.remove('playing');
  replay = null;
  playhead = -1;
  request();
}

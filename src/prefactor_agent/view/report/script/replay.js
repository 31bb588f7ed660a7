// Streams, and replaying them.

const DETAIL = 1500;
function streamView(stream, lane) {
  const box = el('div', 'stream'), facts = stream.facts, times = stream.times;
  const n = facts.count === undefined ? times.length : facts.count;
  const about = [`${whole.format(n)} chunk${n === 1 ? '' : 's'}`];
  if (facts.seconds !== undefined) about.push(facts.seconds.toFixed(2) + '\u202fs of audio');
  else if (facts.total !== undefined) about.push(`${whole.format(facts.total)} ${facts.unit || ''}`);
  if (facts.first_us !== undefined) about.push('first after ' + ms(facts.first_us / 1000));
  if (facts.longest_gap_us) about.push('longest gap ' + ms(facts.longest_gap_us / 1000));
  if (facts.merged) about.push('merged past a bound');
  box.append(el('h3', '', shown(stream.name), el('span', 'count', about.join(' · '))));
  if (stream.kind === 'text') {
    const flow = el('div', 'flow'), parts = texts(stream);
    if (lane) flow.style.setProperty('--c', `var(--${lane.colour})`);
    stream.marks = parts.map((part, k) => {
      if (k >= DETAIL) return null;
      const mark = fill(el('span', 'c'), part);
      mark.title = '+' + ms(times[k]);
      return mark;
    }).filter(Boolean);
    flow.append(...stream.marks);
    if (parts.length > DETAIL) flow.append(parts.slice(DETAIL).map(plain).join(''));
    box.append(flow);
  } else if (stream.kind === 'event') {
    stream.marks = unpack(stream.rest[0]).map((event, k) => {
      const told = event && typeof event === 'object' ? event : { type: event };
      return el('div', 'ev', el('span', '', '+' + ms(times[k])), el('span', '', shown(String(told.type || '').replace(/_/g, ' ')), told.text ? ': ' : '', told.text ? shown(told.text) : ''));
    });
    box.append(...stream.marks);
  } else {
    const canvas = el('canvas', 'wave');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', 'Loudness of each chunk when it came');
    stream.paint = elapsed => paint(canvas, stream, lane, elapsed);
    box.append(canvas);
    requestAnimationFrame(() => stream.paint(Infinity));
  }
  return box;
}
function paint(canvas, stream, lane, elapsed) {
  const ratio = Math.min(3, window.devicePixelRatio || 1), w = canvas.clientWidth, h = 46, times = stream.times;
  if (!w) return;
  canvas.width = w * ratio; canvas.height = h * ratio;
  const pen = canvas.getContext('2d'), levels = stream.levels || (stream.levels = bytes(stream.rest[1])), span = Math.max(1, times[times.length - 1] || 1);
  pen.scale(ratio, ratio);
  pen.fillStyle = colours.rule; pen.fillRect(0, h - 1, w, 1);
  pen.fillStyle = lane ? colours[lane.colour] : colours.ink;
  const bar = Math.max(1, Math.min(6, w / times.length - 1));
  for (let i = 0; i < times.length; i++) {
    pen.globalAlpha = times[i] <= elapsed ? 0.9 : 0.15;
    const tall = Math.max(1, HEIGHT_OF[levels[i] & 127] * (h - 3));
    pen.fillRect(times[i] / span * (w - bar), h - 1 - tall, bar, tall);
  }
}

let replay = null;
function replayBar(i) {
  const play = el('button', 'play', '▶ Play'), speed = el('select'), at = el('output');
  play.type = 'button';
  play.dataset.play = '';
  speed.setAttribute('aria-label', 'Speed');
  for (const [value, text] of [['0.1', '⅒ speed'], ['0.25', '¼ speed'], ['1', 'own speed'], ['4', '4 × speed']]) {
    const option = el('option', '', text);
    option.value = value;
    option.selected = value === '1';
    speed.append(option);
  }
  play.addEventListener('click', () => replay ? stopReplay() : startReplay(i, play, speed, at));
  return el('div', 'replay', play, speed, at);
}
function startReplay(i, play, speed, at) {
  const list = streams.get(i), total = Math.max(0, ...list.map(s => s.times.length ? s.times[s.times.length - 1] : 0));
  let elapsed = 0, before = performance.now();
  panel.classList.add('playing');
  for (const stream of list) for (const mark of stream.marks || []) mark.classList.remove('on');
  play.textContent = '■ Stop';
  const next = list.map(() => 0);
  replay = { play, at, list, frame: 0 };
  const step = now => {
    elapsed += Math.max(0, now - before) * Number(speed.value);
    before = now;
    list.forEach((stream, n) => {
      const marks = stream.marks || [];
      while (next[n] < marks.length && stream.times[next[n]] <= elapsed) marks[next[n]++].classList.add('on');
      if (stream.paint) stream.paint(elapsed);
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
  for (const stream of replay.list) if (stream.paint) stream.paint(Infinity);
  panel.classList.remove('playing');
  replay = null; playhead = -1;
  request();
}

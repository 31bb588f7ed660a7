// Playing, and the one time that everything on the page shows.

let position = FIRST; // the moment that is heard, or will be
let until = Infinity; // where playing stops by itself
let frame = 0;

const isPlaying = () => !audio.paused && !audio.ended;
const isOver = at => at > LAST - 50; // where a browser would play from the beginning
function play(from = isOver(position) ? FIRST : position, to = Infinity) {
  if (audio.error || isOver(from)) return;
  if (from !== position) seek(from);
  until = to;
  openMixer();
  if (mixer) mixer.resume();
  audio.play().catch(explain);
}
function pause() {
  audio.pause();
}
function seek(at) {
  until = Infinity;
  audio.currentTime = (within(at) - FIRST) / 1000;
  setPosition(within(at), true);
}
function setPosition(at, jumped = false) {
  const before = position;
  position = at;
  follow(at, before, jumped);
  placePlayhead();
  paintStreams(at);
  showTime(at);
}
function advance() {
  setPosition(heardAt());
  if (position >= until) return pause();
  if (isPlaying()) frame = requestAnimationFrame(advance);
}
audio.addEventListener('play', () => {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(advance);
  showPlaying();
});
for (const over of ['pause', 'ended']) {
  audio.addEventListener(over, () => {
    cancelAnimationFrame(frame);
    until = Infinity;
    setPosition(heardAt());
    showPlaying();
    if (mixer && !isPlaying()) mixer.suspend();
  });
}
audio.addEventListener('error', explain);

// The streams of the span that is described come as they came, while its time is played.

let watched = null;

function replayBar(i) {
  const list = streams.get(i);
  const lasted = Math.max(0, ...list.map(({ times }) => times.length ? times[times.length - 1] : 0));
  const button = el('button', 'play'), at = el('output');
  button.type = 'button';
  button.dataset.play = '';
  button.disabled = isOver(start[i]);
  button.addEventListener('click', () => watched.on ? pause() : play(start[i], start[i] + lasted + 1));
  watched = { i, list, lasted, button, at, on: false, lit: list.map(() => 0) };
  showWatched();
  return el('div', 'replay', button, at);
}
// The details change.
function stopReplay() {
  if (watched && watched.on && until < Infinity) pause();
  panel.classList.remove('playing');
  watched = null;
}
function paintStreams(at) {
  if (!watched) return;
  const { i, list, lasted, lit } = watched, elapsed = at - start[i];
  const on = isPlaying() && elapsed >= 0 && elapsed <= lasted, changed = on !== watched.on;
  if (!on && !changed) return;
  watched.on = on;
  watched.at.textContent = on ? '+' + whole.format(elapsed) + '\u202fms' : '';
  list.forEach(({ marks = [], times, paint }, n) => {
    while (lit[n] < marks.length && times[lit[n]] <= elapsed) marks[lit[n]++].classList.add('on');
    while (lit[n] > 0 && times[lit[n] - 1] > elapsed) marks[--lit[n]].classList.remove('on');
    if (paint) paint(on ? elapsed : Infinity);
  });
  if (changed) showWatched();
}
function showWatched() {
  panel.classList.toggle('playing', watched.on);
  watched.button.textContent = watched.on ? '■ Stop' : '▶ Play';
}

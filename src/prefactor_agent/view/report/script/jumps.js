// Going to a moment of the recording: by a click on the timeline or in the conversation, or by a key.

const LEAD = 1000; // milliseconds that are heard before dead air
const SKIP = 5000; // that the keys go back and ahead
const AGAIN = 1500; // after which "previous" means the beginning of what is heard
const RATES = [0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];

const beginsAt = i => turnAt.has(i) ? turnAt.get(i).from : start[i];
const playGap = gap => play(gap.from - LEAD);
const gapsInOrder = [...gaps].sort((p, q) => p.from - q.from);
const turnsInOrder = [...turns].sort((p, q) => p.from - q.from);

// The part that begins next, or began before.
function neighbour(parts, beginOf, by) {
  if (by > 0) return parts.find(part => beginOf(part) > position + 1);
  return parts.findLast(part => beginOf(part) < position - (isPlaying() ? AGAIN : 1));
}
function goTurn(by) {
  const turn = neighbour(turnsInOrder, ({ from }) => within(from), by);
  if (!turn) return;
  select(turn.span, { by: 'keys' });
  if (isPlaying()) play(turn.from);
  else seek(turn.from);
}
function goGap(by) {
  const gap = neighbour(gapsInOrder, ({ from }) => within(from - LEAD), by);
  if (!gap) return;
  select(gap.span, { by: 'keys' });
  playGap(gap);
}
// Slower or faster by so many steps.
function changeRate(by) {
  const n = RATES.indexOf(audio.playbackRate) + by;
  if (n >= 0 && n < RATES.length) setRate(RATES[n]);
}
function setRate(rate) {
  audio.defaultPlaybackRate = audio.playbackRate = rate;
  showRate();
}
function toggleSide(side) {
  if (!APART) return;
  setAudible(side, !audible[side]);
  showSides();
}
const togglePlaying = () => isPlaying() ? pause() : play();

// Only while the timeline has the focus: elsewhere the keys are the browser's and the screen reader's.
Object.assign(KEYS, {
  ' ': togglePlaying, n: () => goTurn(1), p: () => goTurn(-1), d: () => goGap(1), D: () => goGap(-1),
  j: () => seek(position - SKIP), l: () => seek(position + SKIP), '<': () => changeRate(-1), '>': () => changeRate(1),
  c: () => toggleSide(0), a: () => toggleSide(1), w: goSlowest,
});

function goSlowest() {
  goWorst();
  if (worst) seek(worst.from - LEAD);
}
BUTTONS.worst = goSlowest;

// A click on the timeline is one that moved nothing.
for (const box of [voicesBox, lanesBox]) {
  const canvas = box.querySelector('canvas');
  let down = null;
  box.addEventListener('pointerdown', event => { down = event.button ? null : event.clientX; });
  box.addEventListener('pointerup', event => {
    if (down === null || Math.abs(event.clientX - down) > 2 || gesture === 'drag' || gesture === 'pinch') return;
    const corner = canvas.getBoundingClientRect(), px = event.clientX - corner.left, py = event.clientY - corner.top;
    if (px < gutter) return;
    if (gesture === 'map') return seek((px - gutter) / (width - gutter) * END);
    const gap = canvas === voicesCanvas && py >= TOP ? gapAt(px) : null;
    if (gap) playGap(gap);
    else jump(timeAt(px));
  });
}
function gapAt(px) {
  const slack = 4 / scale();
  return gaps.find(({ from, to }) => timeAt(px) >= from - slack && timeAt(px) <= to + slack);
}
// What is played goes on from there.
function jump(at) {
  if (isPlaying()) play(at);
  else seek(at);
}

// The span that an address or a link names.
function idOf({ hash }) {
  try { return decodeURIComponent(hash.slice(1)); } catch { return ''; }
}

// In the conversation: dead air and the time of a turn play, a turn or a note is gone to. Other links
// within the page go to where they lead.
document.addEventListener('click', event => {
  const link = event.target.closest('a[href^="#"]'), place = event.target.closest('main [data-span]');
  const id = link ? idOf(link) : place ? place.dataset.span : '';
  const i = spanOf.get(id);
  if (i === undefined || event.target.closest('[data-details]') || !link && String(getSelection())) return;
  const gap = gapBefore.get(i);
  if (gap && event.target.closest('.silence, .bars')) return playGap(gap);
  if (link && link.closest('.turn')) return play(beginsAt(i));
  jump(gap && link ? gap.from - LEAD : beginsAt(i));
});

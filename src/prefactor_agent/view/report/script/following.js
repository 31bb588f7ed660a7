// What is heard is lit in the conversation, and both it and the timeline are kept in
// sight, unless the reader has gone elsewhere.

const turns = data.recording.turns.map(([span, from, to]) => ({ span, from: from * TICK, to: to * TICK }));
const turnAt = new Map(turns.map(turn => [turn.span, turn]));
const playerBox = one('[data-player]');
const rowOfSpan = span => document.getElementById(data.ids[span]);
function rowOfGap({ span }) {
  const row = rowOfSpan(span), before = row && row.previousElementSibling;
  return before && before.classList.contains('silence') ? before : null;
}
const heard = [
  ...turns.map(({ span, from, to }) => ({ from, to, row: rowOfSpan(span) })),
  ...gaps.map(gap => ({ from: gap.from, to: gap.to, row: rowOfGap(gap) })),
].filter(({ row }) => row);
let lit = [], latest = null; // rows: those that are heard, and the last one that was

function follow(at, before, jumped) {
  keepInView(at, before, jumped);
  const now = heard.filter(({ from, to }) => at >= from && at < to).map(({ row }) => row);
  if (now.length === lit.length && now.every((row, n) => row === lit[n])) return;
  for (const row of lit) row.classList.remove('heard');
  for (const row of now) row.classList.add('heard');
  lit = now;
  if (!now.length) return;
  const next = now[now.length - 1], stays = jumped || !latest ? innerWidth >= WIDE : isInSight(latest);
  latest = next;
  if (isPlaying() && stays) bringRow(next);
}
function bringRow(row) {
  row.scrollIntoView({ block: 'nearest', behavior: calm.matches ? 'auto' : 'smooth' });
}
audio.addEventListener('play', () => {
  if (lit.length && innerWidth >= WIDE) bringRow(latest);
});
// Below what stays at the top of the window.
function isInSight(row) {
  const top = (innerWidth >= WIDE ? voicesBox : playerBox).getBoundingClientRect().bottom;
  const { top: begins, bottom: ends } = row.getBoundingClientRect();
  return ends > top && begins < innerHeight;
}
function keepInView(at, before, jumped) {
  const size = view.to - view.from, isIn = moment => moment >= view.from && moment <= view.to;
  if (jumped) {
    if (!isIn(at)) move(at - size * 0.2, at + size * 0.8);
  } else if (isIn(before) && at > view.to - size * 0.03 && view.to < END) {
    show(at - size * 0.05, at + size * 0.95);
  }
}

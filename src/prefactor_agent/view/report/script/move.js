// Moving the view.

const widest = END + 2 * pad, narrowest = Math.min(LEAST, END);
let glide = 0;

function show(from, to) {
  const size = Math.min(widest, Math.max(narrowest, to - from));
  view.from = Math.max(-pad, Math.min(END + pad - size, (from + to) / 2 - size / 2));
  view.to = view.from + size;
  request();
}
function move(from, to) {
  cancelAnimationFrame(glide);
  if (calm.matches) return show(from, to);
  const before = { ...view }, began = performance.now();
  const step = now => {
    const t = Math.min(1, (now - began) / 220), eased = 1 - (1 - t) ** 3;
    show(before.from + (from - before.from) * eased, before.to + (to - before.to) * eased);
    if (t < 1) glide = requestAnimationFrame(step);
  };
  glide = requestAnimationFrame(step);
}
function zoom(factor, at = (view.from + view.to) / 2) {
  cancelAnimationFrame(glide);
  const size = Math.max(narrowest, Math.min(widest, (view.to - view.from) * factor));
  const share = (at - view.from) / (view.to - view.from);
  show(at - size * share, at + size * (1 - share));
}
function pan(by) {
  cancelAnimationFrame(glide);
  show(view.from + by, view.to + by);
}
const fit = () => move(-pad, END + pad);
const isFit = () => view.to - view.from >= widest - 1;

// A span, with the silence before it, into the view. What is seen already stays where it is, unless it
// takes less than a share of the width.
function bring(i, least) {
  const gap = gapBefore.get(i), from = Math.min(start[i], gap ? gap.from : Infinity), to = end[i];
  const size = Math.max(to - from, 200), seen = view.to - view.from;
  if (size / seen > least) {
    if (from >= view.from && to <= view.to) return;
    if (size < seen * 0.9) return move((from + to) / 2 - seen / 2, (from + to) / 2 + seen / 2);
  }
  move(from - size * 0.7, to + size * 0.7);
}

// Size, colours, paper; and what is seen first.

function measure() {
  const w = Math.round(voicesBox.clientWidth);
  if (!w || w === width) return;
  width = w;
  gutter = w < 520 ? 46 : 58;
  request();
}
new ResizeObserver(measure).observe(voicesBox);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  readColours();
  request();
});

// On paper the whole call is seen.
let kept = null;
addEventListener('beforeprint', () => {
  kept = { ...view };
  root.dataset.print = '';
  readColours();
  view.from = -pad;
  view.to = END + pad;
  draw();
});
addEventListener('afterprint', () => {
  delete root.dataset.print;
  readColours();
  if (kept) Object.assign(view, kept);
  request();
});

// The page gives the time in UTC; a reader elsewhere has another.
const when = one('.facts time'), here = daytime(0);
if (here && !when.textContent.includes(here)) when.after(` (${here} here)`);

panel.classList.add('idle');
readColours();
measure();
draw();
fromHash();
// Where there is room beside the timeline, the slowest turn is open from the start.
if (selected < 0 && worst) {
  if (innerWidth >= WIDE) select(worst.span, { quiet: true, bringIt: false });
  // A long call is not seen as a whole: it opens where it was slowest.
  if (END > 150e3) show(worst.from - 15e3, worst.to + 15e3);
}
root.dataset.ready = performance.now().toFixed(0);

// The playhead: lines over the surfaces that are moved, so that nothing is drawn again while they run.

function lineIn(box, className) {
  const line = el('i', className);
  box.append(line);
  return line;
}
const onCall = lineIn(voicesBox, 'playhead of-call');
const onView = [voicesBox, lanesBox].map(box => lineIn(box, 'playhead'));

function placeLine(line, px) {
  line.hidden = px < gutter || px > width;
  line.style.transform = `translateX(${px.toFixed(2)}px)`;
}
function placePlayhead() {
  placeLine(onCall, gutter + Math.max(0, position) / END * (width - gutter));
  for (const line of onView) placeLine(line, x(position));
}
// The timeline says what it shows each time it is drawn.
new MutationObserver(placePlayhead).observe(root, { attributeFilter: ['data-view'] });

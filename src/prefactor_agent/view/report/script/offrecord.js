// The parts that were kept off the record, of which there is nothing to hear: hatched over the voices.

const unheard = data.recording.off.map(([from, to]) => ({ from: from * TICK, to: to * TICK }));
const isOff = at => unheard.some(({ from, to }) => at >= from && at < to);
const hatched = unheard.map(part => {
  const onView = el('i', 'unheard', el('span', '', 'off the record'));
  return { part, onCall: lineIn(voicesBox, 'unheard of-call'), onView: voicesBox.appendChild(onView) };
});

function placeBand(band, left, right) {
  const from = Math.max(gutter, left), to = Math.min(width, right);
  band.hidden = to <= from;
  band.style.left = from + 'px';
  band.style.width = Math.max(2, to - from) + 'px';
}
function placeBands() {
  const wide = (width - gutter) / END;
  for (const { part, onCall, onView } of hatched) {
    placeBand(onCall, gutter + part.from * wide, gutter + part.to * wide);
    placeBand(onView, x(part.from), x(part.to));
  }
}
if (hatched.length) new MutationObserver(placeBands).observe(root, { attributeFilter: ['data-view'] });

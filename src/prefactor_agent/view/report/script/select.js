// Selecting a span: -1 is none. `by` says where it was chosen: there, nothing moves.

function select(i, { by = '', bringIt = true, quiet = false } = {}) {
  if (i === selected && by !== 'link') {
    if (by) reveal(i, by);
    return;
  }
  stopReplay();
  selected = i;
  for (const marked of document.querySelectorAll('[aria-current]')) marked.removeAttribute('aria-current');
  panel.classList.toggle('idle', i < 0);
  if (i < 0) {
    panel.replaceChildren(el('p', 'empty', 'Choose a turn, a span or dead air to see what it carried, and to replay its stream as it came.'));
    address(location.pathname + location.search);
    return request();
  }
  const anchor = data.anchor[i] < 0 ? null : data.ids[data.anchor[i]];
  for (const place of document.querySelectorAll('[data-span]')) {
    if (place.dataset.span === anchor || place.dataset.span === data.ids[i]) place.setAttribute('aria-current', 'true');
  }
  describe(i);
  if (quiet) return request();
  address('#' + encodeURIComponent(data.ids[i]));
  live.textContent = `${kindOf(i)}, ${plain(labelOf(i))}, at ${clock(start[i])}, ${lengthOf(i)}`;
  reveal(i, by, bringIt);
  request();
}
function address(to) {
  try { history.replaceState(null, '', to); } catch { /* not from disk */ }
}

function reveal(i, by, bringIt = true) {
  if (by !== 'timeline' && bringIt && isDrawn(i)) bring(i, by === 'link' ? 0.15 : 0.06);
  if (by === 'conversation' || by === 'keys' || by === 'details') return;
  const place = [...document.querySelectorAll('.talk [aria-current]')].pop();
  if (!place) return;
  if (by === 'link') {
    // A span that the conversation does not name is seen in the timeline.
    if (place.dataset.span !== data.ids[i]) return one('#page-timeline h2').scrollIntoView({ block: 'start' });
    return place.scrollIntoView({ block: innerWidth >= WIDE ? 'center' : 'start' });
  }
  // Only where both fit on the screen: the timeline stays where the pointer is.
  if (innerWidth >= WIDE && place.getBoundingClientRect().top < innerHeight * 1.6) {
    place.scrollIntoView({ block: 'nearest', behavior: calm.matches ? 'auto' : 'smooth' });
  }
}

// To the span before or after in its lane, or to the nearest in the lane above or below.
function along(by) {
  const lane = isDrawn(selected) ? lanes[laneOf[selected]] : drawn.find(lane => lane.spans.length);
  if (!lane) return;
  const n = isDrawn(selected) ? lane.spans.indexOf(selected) + by : by > 0 ? 0 : lane.spans.length - 1;
  if (n >= 0 && n < lane.spans.length) select(lane.spans[n], { by: 'keys' });
}
function across(by) {
  const filled = drawn.filter(lane => lane.spans.length), here = filled.indexOf(lanes[laneOf[selected]]);
  const lane = filled[here < 0 ? 0 : here + by];
  if (!lane) return;
  const at = selected >= 0 ? (start[selected] + Math.min(end[selected], start[selected] + 400)) / 2 : view.from;
  let nearest = lane.spans[0];
  for (const span of lane.spans) if (Math.abs(start[span] - at) < Math.abs(start[nearest] - at)) nearest = span;
  select(nearest, { by: 'keys' });
}
function goWorst() {
  if (!worst) return;
  const size = Math.max(worst.ms, 300);
  select(worst.span, { by: 'button', bringIt: false });
  move(worst.from - size * 0.8, worst.to + size * 1.2);
}

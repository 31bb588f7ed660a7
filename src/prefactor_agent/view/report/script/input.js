// Pointers, wheel, keys.

function hit(canvas, px, py) {
  const at = timeAt(px), slack = 4 / scale();
  if (px < gutter) return -1;
  if (canvas === voices) {
    if (py < MAP + RULER) return -1;
    const gap = gaps.find(g => at >= g.from - slack && at <= g.to + slack);
    if (gap) return gap.span;
    const lane = lanes[py < MAP + RULER + CURVES / 2 ? 0 : 1];
    return lane.hidden ? -1 : within(lane, at, slack, -1);
  }
  const lane = drawn.find(l => py >= l.top - 2 && py < l.top + l.rows * ROW + 2);
  return lane ? within(lane, at, slack, Math.min(lane.rows - 1, Math.max(0, Math.floor((py - lane.top) / ROW)))) : -1;
}
function within(lane, at, slack, row) {
  if (lane.label === 'Events') slack *= 2;
  let best = -1, size = Infinity;
  for (let n = firstAtLeast(lane.reach || [], at - slack); n < lane.spans.length && start[lane.spans[n]] <= at + slack; n++) {
    const span = lane.spans[n];
    if (end[span] < at - slack || row >= 0 && rowOf[span] !== row) continue;
    if (end[span] - start[span] < size) { best = span; size = end[span] - start[span]; }
  }
  return best;
}

const pointers = new Map();
let dragged = false, mapping = false, pinch = 0;
for (const box of [voicesBox, lanesBox]) {
  const canvas = box.querySelector('canvas');
  const place = event => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
  box.addEventListener('pointerdown', event => {
    if (event.button) return;
    const [px, py] = place(event);
    voicesBox.focus({ preventScroll: true });
    pointers.set(event.pointerId, px);
    dragged = false; pinch = 0;
    mapping = canvas === voices && py < MAP && pointers.size === 1;
    if (mapping) toMap(px);
    try { box.setPointerCapture(event.pointerId); } catch { /* gone already */ }
    box.classList.add('panning');
  });
  box.addEventListener('pointermove', event => {
    const [px, py] = place(event);
    if (!pointers.has(event.pointerId)) return hover(hit(canvas, px, py), event, box);
    const before = pointers.get(event.pointerId);
    pointers.set(event.pointerId, px);
    if (pointers.size === 2) {
      const [p, q] = [...pointers.values()], apart = Math.max(12, Math.abs(p - q));
      if (pinch) zoom(pinch / apart, timeAt((p + q) / 2));
      pinch = apart; dragged = true;
    } else if (mapping) toMap(px);
    else if (dragged || Math.abs(px - before) > 2) { dragged = true; pan((before - px) / scale()); }
    else pointers.set(event.pointerId, before);
  });
  const up = event => {
    if (!pointers.delete(event.pointerId)) return;
    box.classList.remove('panning');
    const [px, py] = place(event);
    if (event.type === 'pointerup' && !dragged && !mapping) { const span = hit(canvas, px, py); if (span >= 0) select(span, { by: 'timeline' }); }
    pinch = 0;
  };
  box.addEventListener('pointerup', up);
  box.addEventListener('pointercancel', up);
  box.addEventListener('pointerleave', () => hover(-1));
  box.addEventListener('dblclick', event => { const [px] = place(event); if (px > gutter) zoom(0.4, timeAt(px)); });
  box.addEventListener('wheel', event => {
    const unit = event.deltaMode ? 24 : 1, [px] = place(event);
    if (!event.ctrlKey && (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey)) {
      event.preventDefault();
      return pan((event.deltaX || event.deltaY) * unit / scale());
    }
    // Once the whole call is seen, the wheel scrolls the page again.
    if (event.deltaY > 0 && isFit()) return;
    event.preventDefault();
    zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0025)))), timeAt(Math.max(gutter, px)));
  }, { passive: false });
}
function toMap(px) {
  const at = (px - gutter) / (width - gutter) * END, half = (view.to - view.from) / 2;
  cancelAnimationFrame(glide);
  if (!isFit()) show(at - half, at + half);
}
function hover(i, event, box) {
  if (box) box.classList.toggle('over', i >= 0);
  if (i !== hovered) { hovered = i; request(); }
  if (i < 0) { tip.hidden = true; return; }
  const gap = gaps[gapOf.get(i)];
  tip.replaceChildren(el('b', '', kindOf(i)), ` ${clock(start[i], 2)} · ${took[i] < 0 ? 'no end' : ms(end[i] - start[i])}${gap ? ` · after ${ms(gap.ms)} of dead air` : ''}`, el('br'), shown(labelOf(i)));
  tip.hidden = false;
  const r = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(innerWidth - r.width - 8, event.clientX + 14)) + 'px';
  tip.style.top = (event.clientY + 18 + r.height > innerHeight ? event.clientY - r.height - 10 : event.clientY + 18) + 'px';
}

function along(by) {
  const lane = selected >= 0 && laneOf[selected] >= 0 ? lanes[laneOf[selected]] : drawn.find(l => l.spans.length);
  if (!lane) return;
  const n = selected >= 0 && laneOf[selected] >= 0 ? lane.spans.indexOf(selected) + by : by > 0 ? 0 : lane.spans.length - 1;
  if (n >= 0 && n < lane.spans.length) select(lane.spans[n], { by: 'keys' });
}
function across(by) {
  const filled = drawn.filter(l => l.spans.length), here = filled.indexOf(lanes[laneOf[selected]]);
  const lane = filled[here < 0 ? 0 : here + by];
  if (!lane) return;
  const at = selected >= 0 ? (start[selected] + Math.min(end[selected], start[selected] + 400)) / 2 : view.from;
  let best = lane.spans[0];
  for (const span of lane.spans) if (Math.abs(start[span] - at) < Math.abs(start[best] - at)) best = span;
  select(best, { by: 'keys' });
}
const goWorst = () => { if (worst) { const size = Math.max(worst.ms, 300); select(worst.span, { by: 'button', bringIt: false }); move(worst.from - size * 0.8, worst.to + size * 1.2); } };
const DO = { in: () => zoom(0.5), out: () => zoom(2), fit, worst: goWorst };
for (const button of document.querySelectorAll('[data-do]')) button.addEventListener('click', () => DO[button.dataset.do]());
one('[data-do=worst]').hidden = !worst;
voicesBox.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const w = view.to - view.from;
  const key = {
    ArrowLeft: () => pan(-w * (event.shiftKey ? 0.5 : 0.12)), ArrowRight: () => pan(w * (event.shiftKey ? 0.5 : 0.12)),
    ArrowUp: () => across(-1), ArrowDown: () => across(1), ',': () => along(-1), '.': () => along(1),
    '+': () => zoom(0.6), '=': () => zoom(0.6), '-': () => zoom(1 / 0.6), '0': fit, Home: fit, w: goWorst,
    Enter: () => panel.focus(), Escape: () => select(-1),
    ' ': () => { const play = panel.querySelector('[data-play]'); if (play) play.click(); },
  }[event.key];
  if (key) { event.preventDefault(); key(); }
});
panel.addEventListener('keydown', event => { if (event.key === 'Escape') voicesBox.focus(); });

document.addEventListener('click', event => {
  const go = event.target.closest('[data-go]');
  if (go) { event.preventDefault(); return select(Number(go.dataset.go), { by: 'details' }); }
  const anchor = event.target.closest('a[href^="#"]');
  if (anchor) {
    const i = index.get(decodeURIComponent(anchor.hash.slice(1)));
    if (i !== undefined) { event.preventDefault(); select(i, { by: anchor.closest('.talk') ? 'conversation' : 'link' }); }
    return;
  }
  const place = event.target.closest('main [data-span]');
  if (place && !String(getSelection())) { const i = index.get(place.dataset.span); if (i !== undefined) select(i, { by: place.closest('.talk') ? 'conversation' : 'button' }); }
});
function fromHash() {
  let id = '';
  try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
  const i = index.get(id);
  if (i !== undefined) select(i, { by: 'link' });
}
addEventListener('hashchange', fromHash);

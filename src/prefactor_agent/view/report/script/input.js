// Pointers, wheel, keys.

// The span at a place of a surface; -1: there is none.
function hit(canvas, px, py) {
  if (px < gutter) return -1;
  const at = timeAt(px), slack = 4 / scale();
  if (canvas === voicesCanvas) {
    if (py < TOP) return -1;
    const gap = gaps.find(gap => at >= gap.from - slack && at <= gap.to + slack);
    return gap ? gap.span : shortestAt(lanes[py < TOP + CURVES / 2 ? 0 : 1], at, slack);
  }
  const lane = drawn.find(lane => py >= lane.top - 2 && py < lane.top + lane.rows * ROW + 2);
  return lane ? shortestAt(lane, at, slack, Math.min(lane.rows - 1, Math.max(0, Math.floor((py - lane.top) / ROW)))) : -1;
}
function shortestAt(lane, at, slack, row = -1) {
  if (lane.label === 'Events') slack *= 2;
  let best = -1, least = Infinity;
  for (let n = firstAtLeast(lane.reach, at - slack); n < lane.spans.length && start[lane.spans[n]] <= at + slack; n++) {
    const span = lane.spans[n], size = end[span] - start[span];
    if (end[span] < at - slack || row >= 0 && rowOf[span] !== row) continue;
    if (size < least) {
      best = span;
      least = size;
    }
  }
  return best;
}

function toMap(px) {
  const at = (px - gutter) / (width - gutter) * END, half = (view.to - view.from) / 2;
  cancelAnimationFrame(glide);
  if (!isFit()) show(at - half, at + half);
}
function hover(i, event, box) {
  if (box) box.classList.toggle('over', i >= 0);
  if (i !== hovered) {
    hovered = i;
    request();
  }
  tip.hidden = i < 0;
  if (i < 0) return;
  const gap = gapBefore.get(i), after = gap ? ` · after ${ms(gap.ms)} of dead air` : '';
  tip.replaceChildren(el('b', '', kindOf(i)), ` ${clock(start[i], 2)} · ${lengthOf(i)}${after}`, el('br'), shown(labelOf(i)));
  const size = tip.getBoundingClientRect(), below = event.clientY + 18;
  tip.style.left = Math.max(4, Math.min(innerWidth - size.width - 8, event.clientX + 14)) + 'px';
  tip.style.top = (below + size.height > innerHeight ? event.clientY - size.height - 10 : below) + 'px';
}

// What the pointers that are down do: nothing yet, move the view ('drag', 'pinch'), or move in the map.
const pointers = new Map();
let gesture = '', apart = 0;
for (const box of [voicesBox, lanesBox]) {
  const canvas = box.querySelector('canvas');
  const place = event => {
    const corner = canvas.getBoundingClientRect();
    return [event.clientX - corner.left, event.clientY - corner.top];
  };
  box.addEventListener('pointerdown', event => {
    if (event.button) return;
    const [px, py] = place(event);
    voicesBox.focus({ preventScroll: true });
    pointers.set(event.pointerId, px);
    gesture = canvas === voicesCanvas && py < MAP && pointers.size === 1 ? 'map' : '';
    apart = 0;
    if (gesture === 'map') toMap(px);
    try { box.setPointerCapture(event.pointerId); } catch { /* gone already */ }
    box.classList.add('panning');
  });
  box.addEventListener('pointermove', event => {
    const [px, py] = place(event), before = pointers.get(event.pointerId);
    if (before === undefined) return hover(hit(canvas, px, py), event, box);
    if (pointers.size < 2 && !gesture && Math.abs(px - before) <= 2) return;
    pointers.set(event.pointerId, px);
    if (pointers.size === 2) {
      const [p, q] = pointers.values(), now = Math.max(12, Math.abs(p - q));
      if (apart) zoom(apart / now, timeAt((p + q) / 2));
      apart = now;
      gesture = 'pinch';
    } else if (gesture === 'map') {
      toMap(px);
    } else {
      gesture = 'drag';
      pan((before - px) / scale());
    }
  });
  const up = event => {
    if (!pointers.delete(event.pointerId)) return;
    box.classList.remove('panning');
    apart = 0;
    if (event.type !== 'pointerup' || gesture) return;
    const span = hit(canvas, ...place(event));
    if (span >= 0) select(span, { by: 'timeline' });
  };
  box.addEventListener('pointerup', up);
  box.addEventListener('pointercancel', up);
  box.addEventListener('pointerleave', () => hover(-1));
  box.addEventListener('dblclick', event => {
    const [px] = place(event);
    if (px > gutter) zoom(0.4, timeAt(px));
  });
  box.addEventListener('wheel', event => {
    const unit = event.deltaMode ? 24 : 1, [px] = place(event);
    if (!event.ctrlKey && (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey)) {
      event.preventDefault();
      return pan((event.deltaX || event.deltaY) * unit / scale());
    }
    // Once the whole call is seen, the wheel scrolls the page again.
    if (event.deltaY > 0 && isFit()) return;
    event.preventDefault();
    const turned = event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0025);
    zoom(Math.exp(Math.max(-1, Math.min(1, turned))), timeAt(Math.max(gutter, px)));
  }, { passive: false });
}

const BUTTONS = { in: () => zoom(0.5), out: () => zoom(2), fit, worst: goWorst };
for (const button of document.querySelectorAll('[data-do]')) button.addEventListener('click', () => BUTTONS[button.dataset.do]());
one('[data-do=worst]').hidden = !worst;

const stride = event => (view.to - view.from) * (event.shiftKey ? 0.5 : 0.12);
const KEYS = {
  ArrowLeft: event => pan(-stride(event)), ArrowRight: event => pan(stride(event)),
  ArrowUp: () => across(-1), ArrowDown: () => across(1), ',': () => along(-1), '.': () => along(1),
  '+': () => zoom(0.6), '=': () => zoom(0.6), '-': () => zoom(1 / 0.6), '0': fit, Home: fit, w: goWorst,
  Enter: () => panel.focus(), Escape: () => select(-1),
  ' ': () => { const play = panel.querySelector('[data-play]'); if (play) play.click(); },
};
voicesBox.addEventListener('keydown', event => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act(event);
});
panel.addEventListener('keydown', event => { if (event.key === 'Escape') voicesBox.focus(); });

document.addEventListener('click', event => {
  const go = event.target.closest('[data-go]');
  if (go) {
    event.preventDefault();
    return select(Number(go.dataset.go), { by: 'details' });
  }
  const anchor = event.target.closest('a[href^="#"]');
  if (anchor) {
    const i = spanOf.get(decodeURIComponent(anchor.hash.slice(1)));
    if (i === undefined) return;
    event.preventDefault();
    return select(i, { by: anchor.closest('.talk') ? 'conversation' : 'link' });
  }
  const place = event.target.closest('main [data-span]');
  if (!place || String(getSelection())) return;
  const i = spanOf.get(place.dataset.span);
  if (i !== undefined) select(i, { by: place.closest('.talk') ? 'conversation' : 'button' });
});
function fromHash() {
  let id = '';
  try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
  const i = spanOf.get(id);
  if (i !== undefined) select(i, { by: 'link' });
}
addEventListener('hashchange', fromHash);

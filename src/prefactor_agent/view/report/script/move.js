// Moving the view.

let glide = 0;
function show(from, to) {
  const least = Math.min(LEAST, END), most = END + 2 * pad;
  let size = Math.min(most, Math.max(least, to - from));
  const middle = (from + to) / 2;
  from = middle - size / 2;
  from = Math.max(-pad, Math.min(END + pad - size, from));
  view.from = from; view.to = from + size;
  request();
}
function move(from, to) {
  cancelAnimationFrame(glide);
  if (calm.matches) return show(from, to);
  const a = view.from, b = view.to, began = performance.now();
  const step = now => {
    const t = Math.min(1, (now - began) / 220), e = 1 - (1 - t) ** 3;
    show(a + (from - a) * e, b + (to - b) * e);
    if (t < 1) glide = requestAnimationFrame(step);
  };
  glide = requestAnimationFrame(step);
}
function zoom(factor, at = (view.from + view.to) / 2) {
  cancelAnimationFrame(glide);
  const size = Math.max(Math.min(LEAST, END), Math.min(END + 2 * pad, (view.to - view.from) * factor)), share = (at - view.from) / (view.to - view.from);
  show(at - size * share, at + size * (1 - share));
}
function pan(by) { cancelAnimationFrame(glide); show(view.from + by, view.to + by); }
const fit = () => move(-pad, END + pad);
const isFit = () => view.to - view.from >= END + 2 * pad - 1;
function bring(i, least) {
  const gap = gaps[gapOf.get(i)], from = Math.min(start[i], gap ? gap.from : Infinity), to = end[i], size = Math.max(to - from, 200);
  const w = view.to - view.from, inside = from >= view.from && to <= view.to;
  if (inside && size / w > least) return;
  if (size / w > least && size < w * 0.9) return move((from + to) / 2 - w / 2, (from + to) / 2 + w / 2);
  move(from - size * 0.7, to + size * 0.7);
}

// Selecting.

function select(i, { by = '', bringIt = true, quiet = false } = {}) {
  if (i === selected && by !== 'link') { if (by) reveal(i, by); return; }
  stopReplay();
  selected = i;
  for (const marked of document.querySelectorAll('[aria-current]')) marked.removeAttribute('aria-current');
  if (i < 0) {
    panel.classList.add('idle');
    panel.replaceChildren(el('p', 'empty', 'Choose a turn, a span or a silence to see what it carried, and to replay its stream as it came.'));
    try { history.replaceState(null, '', location.pathname + location.search); } catch { /* not from disk */ }
    return request();
  }
  panel.classList.remove('idle');
  const anchor = data.anchor[i] < 0 ? null : data.ids[data.anchor[i]];
  for (const place of document.querySelectorAll('[data-span]')) {
    if (place.dataset.span === anchor || place.dataset.span === data.ids[i]) place.setAttribute('aria-current', 'true');
  }
  describe(i);
  if (quiet) return request();
  try { history.replaceState(null, '', '#' + encodeURIComponent(data.ids[i])); } catch { /* not from disk */ }
  live.textContent = `${kindOf(i)}, ${plain(labelOf(i))}, at ${clock(start[i])}, ${took[i] < 0 ? 'no end' : ms(end[i] - start[i])}`;
  reveal(i, by, bringIt);
  request();
}
function reveal(i, by, bringIt = true) {
  if (by !== 'timeline' && bringIt && laneOf[i] >= 0) bring(i, by === 'link' ? 0.15 : 0.06);
  if (by === 'conversation') return;
  const place = [...document.querySelectorAll('.talk [aria-current]')].pop();
  if (!place || by === 'keys' || by === 'details') return;
  if (by === 'link') {
    // A span that the conversation does not name is seen in the timeline.
    if (place.dataset.span !== data.ids[i]) return one('#page-timeline h2').scrollIntoView({ block: 'start' });
    return place.scrollIntoView({ block: innerWidth >= 1080 ? 'center' : 'start' });
  }
  // Only where both fit on the screen: the timeline stays where the pointer is.
  if (innerWidth >= 1080 && place.getBoundingClientRect().top < innerHeight * 1.6) place.scrollIntoView({ block: 'nearest', behavior: calm.matches ? 'auto' : 'smooth' });
}
const KINDS = { 'livekit:user_turn': "Caller's turn", 'livekit:assistant_turn': "Agent's turn", 'livekit:llm': 'LLM', 'livekit:stt': 'STT', 'livekit:tts': 'TTS', 'livekit:transcription': 'Transcription', 'livekit:session': 'Session', 'livekit:error': 'Error', 'livekit:handoff': 'Handoff', 'livekit:tool_result': 'Tool result', 'livekit:state': 'State', 'livekit:realtime': 'Realtime' };
const kindOf = i => KINDS[typeOf(i)] || (typeOf(i).startsWith('livekit:tool') ? 'Tool ' + plain(titleOf(i)) : plain(typeOf(i)));

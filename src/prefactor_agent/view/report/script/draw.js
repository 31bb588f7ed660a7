// The view, and drawing it.

const voicesBox = one('[data-stage]'), lanesBox = one('.lanes');
const voices = one('[data-voices]'), lanesCanvas = one('[data-lanes]');
const tip = one('[data-tip]'), live = one('[data-live]'), panel = one('[data-details]');
const MAP = 34, RULER = 20, CURVES = 136, VOICES = MAP + RULER + CURVES;
const LEAST = 20; // milliseconds that fill the width when zoomed in all the way
const pad = END * 0.012 + 40;
const view = { from: -pad, to: END + pad };
let width = 800, gutter = 58, selected = -1, hovered = -1, playhead = -1, dirty = false, colours = {};

function readColours() {
  const style = getComputedStyle(root);
  colours = {};
  for (const name of ['paper', 'sheet', 'ink', 'soft', 'rule', 'faint', 'user', 'agent', 'dead', 'dead-wash', 'focus', 'text-0']) colours[name] = style.getPropertyValue('--' + name).trim();
  for (const family of ['hear', 'hook', 'llm', 'tool', 'tts', 'play', 'quiet', 'none']) for (const shade of [0, 1, 2]) colours[`${family}-${shade}`] = style.getPropertyValue(`--${family}-${shade}`).trim();
}
const scale = () => (width - gutter) / (view.to - view.from);
const x = at => gutter + (at - view.from) * scale();
const timeAt = px => view.from + (px - gutter) / scale();

function surface(canvas, height) {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; canvas.style.height = height + 'px'; }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '11.5px ' + FONT;
  pen.textBaseline = 'middle';
  return pen;
}
const FONT = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif';

function request() {
  if (!dirty) { dirty = true; requestAnimationFrame(draw); }
}
function draw() {
  dirty = false;
  const began = performance.now();
  drawVoices();
  drawLanes();
  root.dataset.drawMs = (performance.now() - began).toFixed(1);
  root.dataset.view = `${view.from.toFixed(1)} ${view.to.toFixed(1)}`;
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3];
function ruler(pen) {
  const k = scale(), step = STEPS.find(s => s * k >= 78) || 7200e3;
  const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
  const marks = [];
  for (let at = Math.max(0, Math.ceil(view.from / step) * step); at <= Math.min(view.to, END + step); at += step) marks.push([x(at), clock(at, digits)]);
  return marks;
}

// The peaks; where a pixel stands for many frames, they are washed and the mean is solid.
function curve(pen, voice, base, height, up, from, to, left, right) {
  const k = (to - from) / (right - left);
  const many = k > 60;
  if (many) {
    const alpha = pen.globalAlpha;
    pen.globalAlpha = alpha * 0.38;
    outline(pen, voice, base, height, up, from, k, left, right, false);
    pen.globalAlpha = alpha;
  }
  outline(pen, voice, base, height, up, from, k, left, right, many);
}
function outline(pen, voice, base, height, up, from, k, left, right, mean) {
  pen.beginPath();
  pen.moveTo(left, base);
  let silent = true;
  for (let px = Math.floor(left); px <= right; px++) {
    const at = from + (px - left) * k, h = at > END + BIN || at + k < 0 ? 0 : loudest(voice, at, at + k, mean) * height;
    if (h === 0 && silent) continue;
    if (silent) { pen.lineTo(px, base); silent = false; }
    pen.lineTo(px, up ? base - h : base + h);
    pen.lineTo(px + 1, up ? base - h : base + h);
    if (h === 0) { silent = true; }
  }
  pen.lineTo(right, base);
  pen.closePath();
  pen.fill();
}

function drawVoices() {
  const pen = surface(voices, VOICES), right = width;
  // The whole call, and which part of it is seen.
  pen.fillStyle = colours.faint;
  pen.fillRect(gutter, 0, right - gutter, MAP);
  const mapX = at => gutter + at / END * (right - gutter);
  pen.globalAlpha = 0.4;
  pen.fillStyle = colours.user; curve(pen, userVoice, MAP / 2, MAP / 2 - 5, true, 0, END, gutter, right);
  pen.fillStyle = colours.agent; curve(pen, agentVoice, MAP / 2, MAP / 2 - 5, false, 0, END, gutter, right);
  // The longer a silence, the taller: the slow turns of a long call stand out.
  pen.globalAlpha = 0.85;
  pen.fillStyle = colours.dead;
  for (const gap of gaps) {
    const l = mapX(gap.from), tall = Math.max(2, (gap.ms / worst.ms) ** 1.5 * (MAP - 5));
    pen.fillRect(l, MAP - tall, Math.max(1, Math.min(mapX(gap.to) - l, 3)), tall);
  }
  pen.globalAlpha = 1;
  const a = Math.max(gutter, mapX(view.from)), b = Math.min(right, Math.max(mapX(view.to), a + 3));
  if (b - a < right - gutter - 1) {
    pen.fillStyle = colours.sheet; pen.globalAlpha = 0.5;
    pen.fillRect(gutter, 0, a - gutter, MAP); pen.fillRect(b, 0, right - b, MAP);
    pen.globalAlpha = 1; pen.strokeStyle = colours.ink; pen.lineWidth = 1.5;
    pen.strokeRect(a + 0.75, 0.75, Math.max(2, b - a - 1.5), MAP - 1.5);
  }

  pen.save();
  pen.beginPath(); pen.rect(gutter, MAP, right - gutter, VOICES - MAP); pen.clip();
  const top = MAP + RULER, middle = top + CURVES / 2 + 2, tall = CURVES / 2 - 12;
  pen.textAlign = 'left';
  for (const [px, label] of ruler(pen)) {
    pen.fillStyle = colours.faint; pen.fillRect(Math.round(px), top, 1, CURVES);
    pen.fillStyle = colours.rule; pen.fillRect(Math.round(px), top - 5, 1, 5);
    pen.fillStyle = colours.soft; pen.fillText(label, px + 4, MAP + RULER / 2 + 1);
  }
  pen.fillStyle = colours.rule; pen.fillRect(gutter, Math.round(middle), right - gutter, 1);
  const visible = gaps.filter(gap => gap.to >= view.from && gap.from <= view.to);
  for (const gap of visible) {
    const l = x(gap.from), w = Math.max(1, x(gap.to) - l);
    pen.fillStyle = colours['dead-wash']; pen.fillRect(l, top, w, CURVES);
    pen.fillStyle = colours.dead;
    if (w > 6) { pen.globalAlpha = 0.7; pen.fillRect(l, top, 1, CURVES); pen.fillRect(l + w - 1, top, 1, CURVES); pen.globalAlpha = 1; }
  }
  pen.fillStyle = colours.user; curve(pen, userVoice, middle, tall, true, view.from, view.to, gutter, right);
  pen.fillStyle = colours.agent; curve(pen, agentVoice, middle + 1, tall, false, view.from, view.to, gutter, right);
  // What each silence was made of.
  for (const gap of visible) {
    if (x(gap.to) - x(gap.from) < 4) continue;
    let at = gap.from;
    for (const [stage, taken] of gap.stages) {
      pen.fillStyle = colours[data.stages[stage][1]] || colours['none-0'];
      pen.fillRect(x(at), VOICES - 8, Math.max(0.5, x(at + taken) - x(at) - 0.6), 8);
      at += taken;
    }
  }
  // The longest silences are labelled first; a label that has no room is left out.
  pen.textAlign = 'center';
  pen.font = '600 12px ' + FONT;
  const taken = [];
  const narrow = visible.length > 30;
  for (const gap of [...visible].sort((p, q) => q.ms - p.ms).slice(0, narrow ? 4 : 30)) {
    const label = ms(gap.ms), w = pen.measureText(label).width;
    let px = (Math.max(x(gap.from), gutter) + Math.min(x(gap.to), right)) / 2;
    px = Math.min(right - w / 2 - 4, Math.max(gutter + w / 2 + 4, px));
    if (taken.some(([p, q]) => px - w / 2 - 6 < q && px + w / 2 + 6 > p)) continue;
    taken.push([px - w / 2, px + w / 2]);
    const y = top + 10;
    pen.fillStyle = colours.sheet; pen.globalAlpha = 0.85; pen.fillRect(px - w / 2 - 3, y - 8, w + 6, 16); pen.globalAlpha = 1;
    pen.fillStyle = colours.dead; pen.fillText(label, px, y);
  }
  marks(pen, MAP, VOICES);
  pen.restore();

  pen.font = '11.5px ' + FONT; pen.textAlign = 'right';
  pen.fillStyle = colours.soft; pen.fillText('call', gutter - 8, MAP / 2);
  pen.fillStyle = colours.user; pen.fillText('caller', gutter - 8, middle - tall / 2);
  pen.fillStyle = colours.agent; pen.fillText('agent', gutter - 8, middle + tall / 2);
}

function marks(pen, top, bottom) {
  if (selected >= 0 && laneOf[selected] >= 0) {
    const l = x(start[selected]), w = Math.max(2, x(end[selected]) - l);
    pen.fillStyle = colours.focus;
    if (bottom === VOICES) pen.fillRect(l, MAP + RULER - 2, w, 2);
    pen.globalAlpha = 0.3; pen.fillRect(l, top + (bottom === VOICES ? RULER : 0), 1, bottom); pen.fillRect(l + w - 1, top + (bottom === VOICES ? RULER : 0), 1, bottom);
    pen.globalAlpha = 1;
  }
  if (playhead >= 0) { pen.fillStyle = colours.focus; pen.fillRect(x(playhead) - 0.75, top, 1.5, bottom - top); }
}

const labels = new Map();
function labelOf(i) {
  if (!labels.has(i)) {
    const type = typeOf(i);
    let text = titleOf(i);
    if (type === 'livekit:user_turn' || type === 'livekit:assistant_turn' || type === 'livekit:llm' || type === 'livekit:tts' || type === 'livekit:transcription' || type === 'livekit:stt') {
      const result = data.details[i][1], value = result.spoken_text || result.transcript || result.generated_text || result.text;
      const words = unpack(value);
      if (typeof words === 'string' && words) text = words;
    } else if (type === 'livekit:state') {
      const payload = data.details[i][0];
      text = `${unpack(payload.actor) || ''} ${unpack(payload.new_state) || ''}`;
    } else if (type === 'livekit:handoff') {
      const payload = data.details[i][0];
      text = `${unpack(payload.from) || '?'} → ${unpack(payload.to) || '?'}`;
    } else if (type === 'livekit:error') text = unpack(data.details[i][0].error_type) || 'error';
    labels.set(i, plain(text).slice(0, 160));
  }
  return labels.get(i);
}

function drawLanes() {
  const pen = surface(lanesCanvas, lanesHeight);
  pen.save();
  pen.beginPath(); pen.rect(gutter, 0, width - gutter, lanesHeight); pen.clip();
  for (const [px] of ruler(pen)) { pen.fillStyle = colours.faint; pen.fillRect(Math.round(px), 0, 1, lanesHeight); }
  for (const gap of gaps) {
    if (gap.to < view.from || gap.from > view.to) continue;
    pen.fillStyle = colours['dead-wash']; pen.globalAlpha = 0.45;
    pen.fillRect(x(gap.from), 0, Math.max(1, x(gap.to) - x(gap.from)), lanesHeight);
  }
  pen.globalAlpha = 1;
  marks(pen, 0, lanesHeight);
  pen.textAlign = 'left'; pen.font = '11px ' + FONT;
  const k = scale();
  for (const lane of drawn) {
    const crowd = Math.min(0.9, Math.max(0.3, k * END / Math.max(1, lane.spans.length) / 6));
    const until = new Float64Array(lane.rows).fill(-1);
    for (let n = firstAtLeast(lane.reach || [], view.from); n < lane.spans.length; n++) {
      const span = lane.spans[n];
      if (start[span] > view.to) break;
      if (end[span] < view.from) continue;
      const row = rowOf[span], l = x(start[span]), r = Math.max(l + 2.5, x(end[span]));
      if (r <= until[row] && span !== selected && span !== hovered) continue;
      until[row] = Math.ceil(r) + 0.01;
      drawSpan(pen, lane, span, l, r, lane.top + row * ROW, crowd);
    }
  }
  pen.restore();
  pen.textAlign = 'right'; pen.font = '11.5px ' + FONT;
  for (const lane of drawn) {
    pen.fillStyle = lane.spans.length ? colours.ink : colours.soft;
    pen.fillText(lane.label, gutter - 8, lane.top + ROW / 2);
  }
}

function drawSpan(pen, lane, span, l, r, y, crowd) {
  const h = ROW - 3, w = r - l, failed = statusOf(span) === 'failed';
  const colour = failed ? colours.dead : colours[lane.colour];
  const a = Math.max(l, gutter - 4), b = Math.min(r, width + 4);
  pen.fillStyle = colour;
  if (lane.label === 'Events') {
    if (typeOf(span) === 'livekit:handoff') pen.fillStyle = colours['play-0'];
    const m = y + h / 2;
    pen.beginPath(); pen.moveTo(l, m - 6); pen.lineTo(l + 6, m); pen.lineTo(l, m + 6); pen.lineTo(l - 6, m); pen.fill();
  } else {
    pen.globalAlpha = w < 4 ? (failed ? 0.9 : crowd) : span === selected ? 0.42 : span === hovered ? 0.36 : 0.24;
    pen.fillRect(a, y, b - a, h);
    pen.globalAlpha = 1;
    if (w >= 4) { if (l >= gutter) pen.fillRect(l, y, 1.5, h); if (took[span] < 0) for (let at = Math.max(a, l); at < b; at += 6) pen.fillRect(at, y + h - 1.5, 3, 1.5); }
    if (w > 10) drawTicks(pen, span, y, h, a, b);
  }
  if (span === selected || span === hovered) {
    pen.strokeStyle = span === selected ? colours.focus : colours.ink; pen.lineWidth = span === selected ? 2 : 1;
    pen.strokeRect(a, y, Math.max(3, b - a), h);
  }
  if (b - a > 44 && (lane.label === 'Caller' || lane.label === 'Agent' || lane.label === 'Tools' || lane.label === 'States')) {
    pen.save(); pen.beginPath(); pen.rect(a, y, b - a - 3, h); pen.clip();
    pen.fillStyle = colours.ink; pen.fillText(labelOf(span), Math.max(a, gutter) + 6, y + h / 2 + 0.5); pen.restore();
  }
}

function drawTicks(pen, span, y, h, a, b) {
  const list = streams.get(span);
  if (!list) return;
  const from = timeAt(a) - start[span], to = timeAt(b) - start[span], k = scale(), x0 = x(start[span]);
  pen.globalAlpha = 0.85;
  list.forEach((stream, n) => {
    const times = stream.times, part = list.length > 1;
    const top = part && n ? y + h / 2 : y, high = part ? h / 2 - (n ? 0 : 1) : h;
    let last = -9;
    for (let i = firstAtLeast(times, from); i < times.length && times[i] <= to; i++) {
      const px = x0 + times[i] * k;
      if (px - last < 1.6) continue;
      last = px;
      pen.fillRect(px, top + (stream.kind === 'audio' ? 2 : 0), 1, stream.kind === 'audio' ? high - 3 : high);
    }
  });
  pen.globalAlpha = 1;
}

'use strict';
(() => {
  const root = document.documentElement;
  const one = selector => document.querySelector(selector);
  const data = JSON.parse(one('script[data-call]').textContent);
  const calm = matchMedia('(prefers-reduced-motion: reduce)');
  const TICK = data.tick_us / 1000; // milliseconds

  // What the page holds, unpacked. All times are milliseconds from the beginning of the call.

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }
  function integers(text) {
    const raw = bytes(text), out = [];
    let value = 0, unit = 1;
    for (const byte of raw) {
      value += (byte & 127) * unit;
      if (byte & 128) unit *= 128;
      else { out.push(value % 2 ? -(value + 1) / 2 : value / 2); value = 0; unit = 1; }
    }
    return out;
  }
  function sums(text) {
    const steps = integers(text), out = new Float64Array(steps.length);
    let at = 0;
    for (let i = 0; i < steps.length; i++) out[i] = (at += steps[i]) * TICK;
    return out;
  }
  function unpack(value) {
    if (Array.isArray(value)) return value.map(unpack);
    if (value === null || typeof value !== 'object') return value;
    if ('$s' in value) return data.strings[value.$s];
    if ('$l' in value) return value.$l.map(i => unpack(data.values[i]));
    const out = Object.create(null);
    for (const key of Object.keys(value)) out[key.startsWith('$') ? key.slice(1) : key] = unpack(value[key]);
    return out;
  }

  const END = Math.max(data.end * TICK, 1);
  const count = data.ids.length;
  const start = sums(data.start);
  const took = integers(data.took);
  const end = start.map((at, i) => took[i] < 0 ? END : at + took[i] * TICK);
  const index = new Map(data.ids.map((id, i) => [id, i]));
  const typeOf = i => data.names[data.types[i]];
  const titleOf = i => data.names[data.titles[i]];
  const statusOf = i => data.names[data.status[i]];
  const detailOf = i => ({ payload: unpack(data.details[i][0]), result: unpack(data.details[i][1]) });
  const children = new Map();
  data.parent.forEach((parent, i) => children.has(parent) ? children.get(parent).push(i) : children.set(parent, [i]));
  const turns = integers(data.turn);
  const gapOf = new Map(data.gaps.map((gap, i) => [gap[3], i]));
  const gaps = data.gaps.map(([a, b, ms, span, stages]) => ({ from: a * TICK, to: b * TICK, ms, span, stages }));
  const worst = gaps.reduce((most, gap) => !most || gap.ms > most.ms ? gap : most, null);

  const streams = new Map();
  for (const [span, name, kind, facts, times, ...rest] of data.streams) {
    const stream = {
      name: data.names[name], kind, facts, rest,
      get times() { const t = sums(times); Object.defineProperty(this, 'times', { value: t }); return t; },
    };
    streams.has(span) ? streams.get(span).push(stream) : streams.set(span, [stream]);
  }
  function texts(stream) {
    const whole = data.strings[stream.rest[1]];
    let at = 0;
    return integers(stream.rest[0]).map(size => whole.slice(at, at += size));
  }

  // What a stranger's text may do to the page: nothing. The same rules as text.py.

  const ACTING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/;
  const CONTROLS = 'NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(' ');
  const NAMES = { 0x7f: 'DEL', 0x61c: 'ALM', 0x2028: 'LSEP', 0x2029: 'PSEP', 0x202a: 'LRE', 0x202b: 'RLE', 0x202c: 'PDF', 0x202d: 'LRO', 0x202e: 'RLO', 0x2066: 'LRI', 0x2067: 'RLI', 0x2068: 'FSI', 0x2069: 'PDI', 0xfeff: 'BOM' };
  function nameOf(character) {
    const code = character.charCodeAt(0);
    return code < 32 ? CONTROLS[code] : NAMES[code] || 'U+' + code.toString(16).toUpperCase().padStart(4, '0');
  }
  const plain = text => String(text).replace(new RegExp(ACTING, 'g'), nameOf);
  function el(tag, className, ...parts) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...parts);
    return made;
  }
  function fill(into, text) {
    if (!ACTING.test(text)) { into.append(text); return into; }
    for (const part of text.split(new RegExp('(' + ACTING.source + ')'))) {
      into.append(part && ACTING.test(part) ? el('span', 'ctl', nameOf(part)) : part);
    }
    return into;
  }
  const shown = text => fill(el('bdi'), String(text));

  const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
  const ms = value => (value < 10 ? value.toFixed(1) : whole.format(value)) + '\u202fms';
  function clock(at, digits = 1) {
    const unit = 10 ** digits, ticks = Math.max(0, Math.round(at / 1000 * unit)), seconds = Math.floor(ticks / unit);
    const tail = (seconds % 60 + (ticks % unit) / unit).toFixed(digits).padStart(digits ? 3 + digits : 2, '0');
    const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
    return hours ? `${hours}:${String(minutes % 60).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`;
  }

  // Lanes: what is drawn under the voices.

  const LANES = [
    ['Caller', 'user', t => t === 'livekit:user_turn'],
    ['Agent', 'agent', t => t === 'livekit:assistant_turn'],
    ['States', 'quiet-0', t => t === 'livekit:state'],
    ['STT', 'hear-0', t => t === 'livekit:stt'],
    ['LLM', 'llm-0', t => t === 'livekit:llm'],
    ['Realtime', 'llm-0', t => t === 'livekit:realtime'],
    ['TTS', 'tts-0', t => t === 'livekit:tts'],
    ['Text', 'text-0', t => t === 'livekit:transcription'],
    ['Tools', 'tool-0', t => t === 'livekit:tool' || t.startsWith('livekit:tool:')],
    ['Events', 'dead', t => t === 'livekit:error' || t === 'livekit:handoff'],
    ['Other', 'quiet-0', t => t !== 'livekit:session' && t !== 'livekit:tool_result'],
  ];
  const ROW = 17, LANE_GAP = 5, MOST_ROWS = 4;
  const lanes = LANES.map(([label, colour, takes]) => ({ label, colour, takes, spans: [], rows: 1 }));
  const laneOf = new Int8Array(count).fill(-1);
  const rowOf = new Uint8Array(count);
  const kinds = new Map();
  for (let i = 0; i < count; i++) {
    const type = typeOf(i);
    if (!kinds.has(type)) kinds.set(type, lanes.findIndex(lane => lane.takes(type)));
    const k = kinds.get(type);
    if (k >= 0) { laneOf[i] = k; lanes[k].spans.push(i); }
  }
  const always = new Set(['Caller', 'Agent', 'STT', 'LLM', 'TTS', 'Text', 'Tools']);
  let lanesHeight = 8;
  for (const lane of lanes) {
    if (!lane.spans.length && !always.has(lane.label)) { lane.hidden = true; continue; }
    const ends = [];
    let furthest = -Infinity;
    lane.reach = new Float64Array(lane.spans.length); // the latest end so far: for finding what overlaps a moment
    lane.spans.forEach((span, n) => {
      let row = ends.findIndex(at => at <= start[span]);
      if (row < 0) row = ends.length < MOST_ROWS ? ends.length : ends.indexOf(Math.min(...ends));
      ends[row] = end[span];
      rowOf[span] = row;
      lane.reach[n] = furthest = Math.max(furthest, end[span]);
    });
    lane.rows = Math.max(1, ends.length);
    lane.top = lanesHeight;
    lanesHeight += lane.rows * ROW + LANE_GAP;
  }
  lanesHeight += 4;
  const drawn = lanes.filter(lane => !lane.hidden);

  function firstAtLeast(sorted, value) {
    let low = 0, high = sorted.length;
    while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] < value) low = middle + 1; else high = middle; }
    return low;
  }

  // Voices: the loudest level of each 5 ms, and of each twice as long stretch above that.

  const BIN = END > 4 * 3600e3 ? 20 : 5;
  function pyramid(runs) {
    const base = new Uint8Array(Math.ceil(END / BIN) + 4);
    for (const [begins, text] of runs) {
      const levels = bytes(text), first = begins * TICK;
      for (let i = 0; i < levels.length; i++) {
        const a = Math.max(0, Math.round((first + i * 10) / BIN)), b = Math.max(a + 1, Math.round((first + i * 10 + 10) / BIN));
        for (let at = a; at < b && at < base.length; at++) if (levels[i] > base[at]) base[at] = levels[i];
      }
    }
    const levels = [base];
    while (levels[levels.length - 1].length > 64) {
      const below = levels[levels.length - 1], above = new Uint8Array((below.length + 1) >> 1);
      for (let i = 0; i < above.length; i++) above[i] = Math.max(below[2 * i], below[2 * i + 1] || 0);
      levels.push(above);
    }
    return levels;
  }
  const userVoice = pyramid(data.user), agentVoice = pyramid(data.agent);
  // Each voice fills its half at its loudest; 12 dB less is half as tall.
  function heights(loudest) {
    const top = Math.max(loudest, 127 - 34);
    return new Float32Array(128).map((_, byte) => byte < 127 - 62 ? 0 : Math.min(1, 10 ** ((byte - top) / 40)));
  }
  const highest = voice => voice[voice.length - 1].reduce((a, b) => Math.max(a, b), 0);
  const HEIGHT_OF = heights(107);
  for (const voice of [userVoice, agentVoice]) {
    voice.heights = heights(highest(voice));
    let below = new Uint8Array(voice[0].length);
    for (let i = 0; i < below.length; i++) if (voice[0][i]) below[i] = voice.heights[voice[0][i]] * 255;
    voice.means = [below];
    while (voice.means.length < voice.length) {
      const above = new Uint8Array((below.length + 1) >> 1);
      for (let i = 0; i < above.length; i++) above[i] = (below[2 * i] + (below[2 * i + 1] || 0) + 1) >> 1;
      voice.means.push(above);
      below = above;
    }
  }
  function loudest(voice, from, to, mean) {
    let k = 0, size = BIN;
    while (k + 1 < voice.length && size * 2 <= (to - from)) { k++; size *= 2; }
    const level = voice[k], a = Math.max(0, Math.floor(from / size)), b = Math.min(level.length - 1, Math.max(a, Math.ceil(to / size) - 1));
    if (mean) {
      let sum = 0;
      for (let i = a; i <= b; i++) sum += voice.means[k][i];
      return sum / 255 / Math.max(1, b - a + 1);
    }
    let most = 0;
    for (let i = a; i <= b; i++) if (level[i] > most) most = level[i];
    return voice.heights[most];
  }

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

  // The details of a span.

  function link(i, text) {
    const a = el('a', '', text);
    a.href = '#' + encodeURIComponent(data.ids[i]);
    a.dataset.go = i;
    return a;
  }
  function describe(i) {
    const { payload, result } = detailOf(i), lane = lanes[laneOf[i]], parts = [];
    const close = el('button', 'close', 'Close');
    close.type = 'button';
    close.addEventListener('click', () => { select(-1); voicesBox.focus({ preventScroll: true }); });
    const index_ = turns[i] ? ` · turn ${turns[i]}` : '';
    parts.push(close, el('h2', '', el('span', '', kindOf(i)), el('span', statusOf(i) === 'failed' ? 'chip bad' : 'chip', plain(statusOf(i)))));
    parts.push(el('p', 'sub', `${clock(start[i], 3)} · ${took[i] < 0 ? 'no end was recorded' : ms(end[i] - start[i])}${index_}`));
    const links = el('p', 'links');
    if (data.parent[i] >= 0) links.append(link(data.parent[i], '↑ ' + kindOf(data.parent[i])));
    for (const child of (children.get(i) || []).slice(0, 40)) links.append(link(child, kindOf(child)));
    if (links.childNodes.length) parts.push(links);
    const gap = gaps[gapOf.get(i)];
    if (gap) {
      parts.push(el('h3', '', 'Dead air ', el('span', 'count', ms(gap.ms))));
      const list = el('ul', 'parts'), most = Math.max(1, ...gap.stages.map(([, taken]) => taken));
      for (const [stage, taken] of gap.stages) {
        const bar = el('i');
        bar.style.width = `${taken / most * 100}%`;
        list.append(el('li', 'f-' + data.stages[stage][1], el('span', '', plain(data.stages[stage][0])), el('span', 'track', bar), el('b', '', ms(taken))));
      }
      parts.push(list);
    }
    const list = streams.get(i) || [];
    if (list.length) parts.push(replayBar(i));
    for (const stream of list) parts.push(streamView(stream, lane));
    for (const [title, value] of [['Result', result], ['Payload', payload]]) {
      if (Object.keys(value).length) parts.push(el('h3', '', title), el('div', 'tree', tree(value)));
    }
    panel.replaceChildren(...parts);
    panel.scrollTop = 0;
  }

  function tree(value) {
    const list = el('ul');
    for (const [key, part] of Object.entries(value)) {
      const name = el('span', 'k', shown(key), ': ');
      if (key === 'messages' && Array.isArray(part)) {
        const box = el('details', '', el('summary', '', `messages (${part.length})`));
        for (const message of part) box.append(el('div', 'msg', el('span', 'k', shown(message && message.role || '')), ' ', leaf(message && 'content' in message ? message.content : message)));
        list.append(el('li', '', box));
      } else if (part !== null && typeof part === 'object' && Object.keys(part).length) {
        const box = el('details', '', el('summary', '', shown(key), Array.isArray(part) ? ` (${part.length})` : ''));
        const small = JSON.stringify(part).length < 400;
        box.open = small;
        box.append(tree(part));
        list.append(el('li', '', box));
      } else list.append(el('li', '', name, leaf(part)));
    }
    return list;
  }
  function leaf(value) {
    if (typeof value === 'string') return el('span', 'v', shown(value));
    return el('span', typeof value === 'number' ? 'v num' : 'v', shown(JSON.stringify(value)));
  }

  // Streams, and replaying them.

  const DETAIL = 1500;
  function streamView(stream, lane) {
    const box = el('div', 'stream'), facts = stream.facts, times = stream.times;
    const n = facts.count === undefined ? times.length : facts.count;
    const about = [`${whole.format(n)} chunk${n === 1 ? '' : 's'}`];
    if (facts.seconds !== undefined) about.push(facts.seconds.toFixed(2) + '\u202fs of audio');
    else if (facts.total !== undefined) about.push(`${whole.format(facts.total)} ${facts.unit || ''}`);
    if (facts.first_us !== undefined) about.push('first after ' + ms(facts.first_us / 1000));
    if (facts.longest_gap_us) about.push('longest gap ' + ms(facts.longest_gap_us / 1000));
    if (facts.merged) about.push('merged past a bound');
    box.append(el('h3', '', shown(stream.name), el('span', 'count', about.join(' · '))));
    if (stream.kind === 'text') {
      const flow = el('div', 'flow'), parts = texts(stream);
      if (lane) flow.style.setProperty('--c', `var(--${lane.colour})`);
      stream.marks = parts.map((part, k) => {
        if (k >= DETAIL) return null;
        const mark = fill(el('span', 'c'), part);
        mark.title = '+' + ms(times[k]);
        return mark;
      }).filter(Boolean);
      flow.append(...stream.marks);
      if (parts.length > DETAIL) flow.append(parts.slice(DETAIL).map(plain).join(''));
      box.append(flow);
    } else if (stream.kind === 'event') {
      stream.marks = unpack(stream.rest[0]).map((event, k) => {
        const told = event && typeof event === 'object' ? event : { type: event };
        return el('div', 'ev', el('span', '', '+' + ms(times[k])), el('span', '', shown(String(told.type || '').replace(/_/g, ' ')), told.text ? ': ' : '', told.text ? shown(told.text) : ''));
      });
      box.append(...stream.marks);
    } else {
      const canvas = el('canvas', 'wave');
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', 'Loudness of each chunk when it came');
      stream.paint = elapsed => paint(canvas, stream, lane, elapsed);
      box.append(canvas);
      requestAnimationFrame(() => stream.paint(Infinity));
    }
    return box;
  }
  function paint(canvas, stream, lane, elapsed) {
    const ratio = Math.min(3, window.devicePixelRatio || 1), w = canvas.clientWidth, h = 46, times = stream.times;
    if (!w) return;
    canvas.width = w * ratio; canvas.height = h * ratio;
    const pen = canvas.getContext('2d'), levels = stream.levels || (stream.levels = bytes(stream.rest[1])), span = Math.max(1, times[times.length - 1] || 1);
    pen.scale(ratio, ratio);
    pen.fillStyle = colours.rule; pen.fillRect(0, h - 1, w, 1);
    pen.fillStyle = lane ? colours[lane.colour] : colours.ink;
    const bar = Math.max(1, Math.min(6, w / times.length - 1));
    for (let i = 0; i < times.length; i++) {
      pen.globalAlpha = times[i] <= elapsed ? 0.9 : 0.15;
      const tall = Math.max(1, HEIGHT_OF[levels[i] & 127] * (h - 3));
      pen.fillRect(times[i] / span * (w - bar), h - 1 - tall, bar, tall);
    }
  }

  let replay = null;
  function replayBar(i) {
    const play = el('button', 'play', '▶ Play'), speed = el('select'), at = el('output');
    play.type = 'button';
    play.dataset.play = '';
    speed.setAttribute('aria-label', 'Speed');
    for (const [value, text] of [['0.1', '⅒ speed'], ['0.25', '¼ speed'], ['1', 'own speed'], ['4', '4 × speed']]) {
      const option = el('option', '', text);
      option.value = value;
      option.selected = value === '1';
      speed.append(option);
    }
    play.addEventListener('click', () => replay ? stopReplay() : startReplay(i, play, speed, at));
    return el('div', 'replay', play, speed, at);
  }
  function startReplay(i, play, speed, at) {
    const list = streams.get(i), total = Math.max(0, ...list.map(s => s.times.length ? s.times[s.times.length - 1] : 0));
    let elapsed = 0, before = performance.now();
    panel.classList.add('playing');
    for (const stream of list) for (const mark of stream.marks || []) mark.classList.remove('on');
    play.textContent = '■ Stop';
    const next = list.map(() => 0);
    replay = { play, at, list, frame: 0 };
    const step = now => {
      elapsed += Math.max(0, now - before) * Number(speed.value);
      before = now;
      list.forEach((stream, n) => {
        const marks = stream.marks || [];
        while (next[n] < marks.length && stream.times[next[n]] <= elapsed) marks[next[n]++].classList.add('on');
        if (stream.paint) stream.paint(elapsed);
      });
      at.textContent = '+' + whole.format(Math.min(elapsed, total)) + '\u202fms';
      playhead = start[i] + elapsed;
      request();
      if (elapsed >= total) return stopReplay();
      replay.frame = requestAnimationFrame(step);
    };
    replay.frame = requestAnimationFrame(step);
  }
  function stopReplay() {
    if (!replay) return;
    cancelAnimationFrame(replay.frame);
    replay.play.textContent = '▶ Play';
    for (const stream of replay.list) if (stream.paint) stream.paint(Infinity);
    panel.classList.remove('playing');
    replay = null; playhead = -1;
    request();
  }

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

  // Size, colours, paper.

  function measure() {
    const w = Math.round(voicesBox.clientWidth);
    if (w && w !== width) { width = w; gutter = w < 520 ? 46 : 58; request(); }
  }
  new ResizeObserver(measure).observe(voicesBox);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readColours(); request(); });
  let kept = null;
  addEventListener('beforeprint', () => { kept = { ...view }; root.dataset.print = ''; readColours(); view.from = -pad; view.to = END + pad; draw(); });
  addEventListener('afterprint', () => { delete root.dataset.print; readColours(); if (kept) Object.assign(view, kept); request(); });

  panel.classList.add('idle');
  readColours();
  measure();
  draw();
  fromHash();
  // Where there is room beside the timeline, the slowest turn is open from the start.
  if (selected < 0 && worst) {
    if (innerWidth >= 1080) select(worst.span, { quiet: true, bringIt: false });
    // A long call is not seen as a whole: it opens where it was slowest.
    if (END > 150e3) show(worst.from - 15e3, worst.to + 15e3);
  }
  root.dataset.ready = performance.now().toFixed(0);
})();

// The page is told in JSON what it draws; here is that JSON, and short names for what all parts use.

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

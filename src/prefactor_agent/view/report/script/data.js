// The page's data, unpacked from JSON. All times are milliseconds from the beginning of the call.
// A span is a number: its place in each of the lists that are of the spans.

const root = document.documentElement;
const one = selector => document.querySelector(selector);
const data = JSON.parse(one('script[data-call]').textContent);
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const TICK = data.tick_us / 1000;

// The counterparts of encoding.py: base64, varints, rising numbers, and what is kept once.

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
function integers(text) {
  const out = [];
  let value = 0, unit = 1;
  for (const byte of bytes(text)) {
    value += (byte & 127) * unit;
    if (byte & 128) {
      unit *= 128;
    } else {
      out.push(value % 2 ? -(value + 1) / 2 : value / 2);
      value = 0;
      unit = 1;
    }
  }
  return out;
}
function moments(text) {
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
function grouped(pairs) {
  const groups = new Map();
  for (const [key, member] of pairs) {
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(member);
  }
  return groups;
}

// Spans.

const END = Math.max(data.end * TICK, 1);
const count = data.ids.length;
const spanOf = new Map(data.ids.map((id, i) => [id, i]));
const start = moments(data.start);
const took = integers(data.took); // in ticks; -1: no end was recorded; -2: how long is not known
const end = start.map((at, i) => took[i] === -1 ? END : at + Math.max(took[i], 0) * TICK);
const turnOf = integers(data.turn); // its number; 0: in none
const typeOf = i => data.names[data.types[i]];
const titleOf = i => data.names[data.titles[i]];
const statusOf = i => data.names[data.status[i]];
const payloadOf = i => data.details[i][0]; // packed
const resultOf = i => data.details[i][1]; // packed
const children = grouped(data.parent.map((parent, i) => [parent, i]));

// Silences, each with the span of the answer that ended it.

const gaps = data.gaps.map(([from, to, ms, span, stages]) => ({ from: from * TICK, to: to * TICK, ms, span, stages }));
const gapBefore = new Map(gaps.map(gap => [gap.span, gap]));
const worst = gaps.reduce((most, gap) => !most || gap.ms > most.ms ? gap : most, null);
const stageLabel = stage => data.stages[stage][0];
const stageStyle = stage => data.stages[stage][1];

// Keys of a telephone, which have no spans.

const keys = data.keys.map(([at, digit, sent]) => ({ at: at * TICK, digit: digit.length === 1 ? digit : '•', sent }));

// How the sound travelled: stretches of time, of which `bad` goes from 0 to 1.

const travelled = data.sound.map(([from, to, agent, bad]) => ({ from: from * TICK, to: to * TICK, agent, bad }));

// Streams, by span. What a long call's chunks are is unpacked only when it is looked at.

const streams = grouped(data.streams.map(([span, name, kind, facts, offsets, ...rest]) => [span, {
  name: data.names[name], kind, facts, rest,
  get times() {
    const unpacked = moments(offsets);
    Object.defineProperty(this, 'times', { value: unpacked });
    return unpacked;
  },
}]));
function textsOf(stream) {
  const [sizes, whole] = stream.rest;
  let at = 0;
  return integers(sizes).map(size => data.strings[whole].slice(at, at += size));
}
const eventsOf = stream => unpack(stream.rest[0]);
const levelsOf = stream => bytes(stream.rest[1]);

// Streams, and replaying them as they came.

const MOST_MARKS = 1500; // chunks of a text that are marked one by one
const WAVE = 46; // pixels, the height of a stream of audio

function streamView(stream, lane) {
  const parts = { text: textView, event: eventView, audio: audioView }[stream.kind];
  return el('div', 'stream', el('h3', '', shown(stream.name), el('span', 'count', about(stream))), ...parts(stream, lane));
}
function about({ facts, times }) {
  const n = facts.count === undefined ? times.length : facts.count;
  const parts = [`${whole.format(n)} chunk${n === 1 ? '' : 's'}`];
  if (facts.seconds !== undefined) parts.push(facts.seconds.toFixed(2) + '\u202fs of audio');
  else if (facts.total !== undefined) parts.push(`${whole.format(facts.total)} ${facts.unit || ''}`);
  if (facts.first_us !== undefined) parts.push('first after ' + ms(facts.first_us / 1000));
  if (facts.longest_gap_us) parts.push('longest gap ' + ms(facts.longest_gap_us / 1000));
  if (facts.merged) parts.push('merged past a bound');
  return parts.join(' · ');
}

// Each makes the elements of a stream, and what its replay needs: `marks`, one for each chunk, which are
// lit when it passes, or `paint`, which draws what has passed until then.

function textView(stream, lane) {
  const texts = textsOf(stream), flow = el('div', 'flow');
  if (lane) flow.style.setProperty('--c', `var(--${lane.colour})`);
  stream.marks = texts.slice(0, MOST_MARKS).map((text, n) => {
    const mark = fill(el('span', 'c'), text);
    mark.title = '+' + ms(stream.times[n]);
    return mark;
  });
  flow.append(...stream.marks);
  if (texts.length > MOST_MARKS) flow.append(texts.slice(MOST_MARKS).map(plain).join(''));
  return [flow];
}
function eventView(stream) {
  stream.marks = eventsOf(stream).map((event, n) => {
    const message = event && typeof event === 'object' ? event : { type: event };
    const type = shown(String(message.type || '').replace(/_/g, ' '));
    return el('div', 'ev', el('span', '', '+' + ms(stream.times[n])), el('span', '', type, ...message.text ? [': ', shown(message.text)] : []));
  });
  return stream.marks;
}
function audioView(stream, lane) {
  const canvas = el('canvas', 'wave'), levels = levelsOf(stream);
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', 'Loudness of each chunk when it came');
  stream.paint = elapsed => paintWave(canvas, stream.times, levels, lane ? colours[lane.colour] : colours.ink, elapsed);
  requestAnimationFrame(() => stream.paint(Infinity));
  return [canvas];
}
function paintWave(canvas, times, levels, colour, elapsed) {
  const ratio = Math.min(3, window.devicePixelRatio || 1), wide = canvas.clientWidth;
  if (!wide) return;
  canvas.width = wide * ratio;
  canvas.height = WAVE * ratio;
  const pen = canvas.getContext('2d'), lasted = Math.max(1, times[times.length - 1] || 1);
  pen.scale(ratio, ratio);
  rect(pen, colours.rule, 0, WAVE - 1, wide, 1);
  const bar = Math.max(1, Math.min(6, wide / times.length - 1));
  for (let i = 0; i < times.length; i++) {
    const tall = Math.max(1, HEIGHT_OF[levels[i] & 127] * (WAVE - 3));
    rect(pen, colour, times[i] / lasted * (wide - bar), WAVE - 1 - tall, bar, tall, times[i] <= elapsed ? 0.9 : 0.15);
  }
}

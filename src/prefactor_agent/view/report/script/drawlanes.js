// The lower surface: the spans in their lanes, with a tick for each chunk of their streams.

const NAMED_LANES = new Set(['Caller', 'Agent', 'Tools', 'States']); // whose spans have room for their words

function drawLanes() {
  const pen = surface(lanesCanvas, lanesHeight), wide = width - gutter;
  clipped(pen, gutter, 0, wide, lanesHeight, () => {
    for (const [px] of ruler()) rect(pen, colours.faint, Math.round(px), 0, 1, lanesHeight);
    for (const gap of gaps.filter(isSeen)) rect(pen, colours['dead-wash'], x(gap.from), 0, Math.max(1, x(gap.to) - x(gap.from)), lanesHeight, 0.45);
    drawMarks(pen, 0, 0, lanesHeight);
    pen.textAlign = 'left';
    pen.font = '11px ' + FONT;
    for (const lane of drawn) (WITHOUT_SPANS[lane.label] || drawLane)(pen, lane);
  });
  pen.textAlign = 'right';
  pen.font = '11.5px ' + FONT;
  for (const lane of drawn) {
    pen.fillStyle = lane.spans.length || lane.label in WITHOUT_SPANS ? colours.ink : colours.soft;
    pen.fillText(lane.label, gutter - 8, lane.top + ROW / 2);
  }
}

// Of spans that fall into the same pixels one is drawn, the fainter the more there are of them.
function drawLane(pen, lane) {
  const crowd = Math.min(0.9, Math.max(0.3, scale() * END / Math.max(1, lane.spans.length) / 6));
  const until = new Float64Array(lane.rows).fill(-1);
  for (let n = firstAtLeast(lane.reach, view.from); n < lane.spans.length; n++) {
    const span = lane.spans[n];
    if (start[span] > view.to) break;
    if (end[span] < view.from) continue;
    const row = rowOf[span], left = x(start[span]), right = Math.max(left + 2.5, x(end[span]));
    if (right <= until[row] && span !== selected && span !== hovered) continue;
    until[row] = Math.ceil(right) + 0.01;
    drawSpan(pen, lane, span, left, right, lane.top + row * ROW, crowd);
  }
}

function drawSpan(pen, lane, span, left, right, y, crowd) {
  const high = ROW - 3, failed = statusOf(span) === 'failed';
  const from = Math.max(left, gutter - 4), to = Math.min(right, width + 4); // the part that is seen
  if (lane.label === 'Events') {
    const handoff = typeOf(span) === 'livekit:handoff';
    drawDiamond(pen, handoff ? colours['play-0'] : colours.dead, left, y + high / 2);
  } else {
    const colour = failed ? colours.dead : colours[lane.colour], narrow = right - left < 4;
    const faint = span === selected ? 0.42 : span === hovered ? 0.36 : 0.24;
    rect(pen, colour, from, y, to - from, high, !narrow ? faint : failed ? 0.9 : crowd);
    if (!narrow && left >= gutter) pen.fillRect(left, y, 1.5, high);
    if (!narrow && took[span] === -1) for (let at = from; at < to; at += 6) pen.fillRect(at, y + high - 1.5, 3, 1.5);
    if (right - left > 10) drawTicks(pen, span, y, high, from, to);
  }
  if (span === selected || span === hovered) {
    pen.strokeStyle = span === selected ? colours.focus : colours.ink;
    pen.lineWidth = span === selected ? 2 : 1;
    pen.strokeRect(from, y, Math.max(3, to - from), high);
  }
  if (to - from > 44 && NAMED_LANES.has(lane.label)) {
    clipped(pen, from, y, to - from - 3, high, () => {
      pen.fillStyle = colours.ink;
      pen.fillText(labelOf(span), Math.max(from, gutter) + 6, y + high / 2 + 0.5);
    });
  }
}
// Each key at its moment, with its digit beside it, or beside those before it.
const MOST_ASIDE = 40; // pixels
function drawKeys(pen, lane) {
  const high = ROW - 3;
  let free = -Infinity;
  for (const { at, digit, sent } of keys) {
    const left = x(at);
    if (left < gutter - 12 || left > width + 4) continue;
    rect(pen, colours[sent ? 'agent' : 'user'], left, lane.top, 1.5, high);
    const from = Math.max(left + 4, free);
    if (from > left + MOST_ASIDE) continue;
    pen.fillStyle = colours.ink;
    pen.fillText(digit, from, lane.top + high / 2 + 0.5);
    free = from + 2 + pen.measureText(digit).width;
  }
}
// How the sound of both sides travelled: a thin line each, and the more was lost of it the more red.
function drawTravel(pen, lane) {
  const high = (ROW - 5) / 2;
  for (const { from, to, agent, bad } of travelled) {
    const left = x(from), wide = Math.max(1, x(to) - left - 1), y = lane.top + (agent ? high + 2 : 0);
    if (left > width || left + wide < gutter) continue;
    rect(pen, colours[agent ? 'agent' : 'user'], left, y + high / 2 - 0.5, wide, 1, 0.6);
    if (bad >= 0.02) rect(pen, colours.dead, left, y + high * (1 - bad) / 2, wide, Math.max(1, high * bad), 0.4 + 0.6 * bad);
  }
}
function drawDiamond(pen, colour, px, y) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(px, y - 6);
  pen.lineTo(px + 6, y);
  pen.lineTo(px, y + 6);
  pen.lineTo(px - 6, y);
  pen.fill();
}

// A tick for each chunk, as far as they can be seen apart; of two streams, each has half of the height.
function drawTicks(pen, span, y, high, left, right) {
  const list = streams.get(span);
  if (!list) return;
  const from = timeAt(left) - start[span], to = timeAt(right) - start[span], k = scale(), zero = x(start[span]);
  pen.globalAlpha = 0.85;
  list.forEach((stream, n) => {
    const several = list.length > 1, inset = stream.kind === 'audio' ? 2 : 0;
    const top = several && n ? y + high / 2 : y, tall = several ? high / 2 - (n ? 0 : 1) : high;
    let last = -9;
    for (let i = firstAtLeast(stream.times, from); i < stream.times.length && stream.times[i] <= to; i++) {
      const px = zero + stream.times[i] * k;
      if (px - last < 1.6) continue;
      last = px;
      pen.fillRect(px, top + inset, 1, inset ? tall - 3 : tall);
    }
  });
  pen.globalAlpha = 1;
}

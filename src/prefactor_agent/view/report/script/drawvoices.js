// The upper surface: the whole call as a map, and under it both voices with the silences between them.

const TOP = MAP + RULER, MIDDLE = TOP + CURVES / 2 + 2, TALL = CURVES / 2 - 12;

function drawVoices() {
  const pen = surface(voicesCanvas, VOICES), wide = width - gutter;
  const seen = gaps.filter(isSeen);
  drawMap(pen);
  clipped(pen, gutter, MAP, wide, VOICES - MAP, () => {
    drawRuler(pen);
    rect(pen, colours.rule, gutter, Math.round(MIDDLE), wide, 1);
    for (const gap of seen) drawGap(pen, gap);
    drawCurve(pen, userVoice, colours.user, MIDDLE, TALL, view);
    drawCurve(pen, agentVoice, colours.agent, MIDDLE + 1, -TALL, view);
    for (const gap of seen) drawStages(pen, gap);
    drawGapLabels(pen, seen);
    if (isDrawn(selected)) rect(pen, colours.focus, x(start[selected]), TOP - 2, drawnWidth(selected), 2);
    drawMarks(pen, MAP, TOP, VOICES);
  });
  pen.font = '11.5px ' + FONT;
  pen.textAlign = 'right';
  for (const [label, colour, y] of [['call', colours.soft, MAP / 2], ['caller', colours.user, MIDDLE - TALL / 2], ['agent', colours.agent, MIDDLE + TALL / 2]]) {
    pen.fillStyle = colour;
    pen.fillText(label, gutter - 8, y);
  }
}

// The whole call, and which part of it is seen.
function drawMap(pen) {
  const wide = width - gutter, call = { from: 0, to: END }, mapX = at => gutter + at / END * wide;
  rect(pen, colours.faint, gutter, 0, wide, MAP);
  drawCurve(pen, userVoice, colours.user, MAP / 2, MAP / 2 - 5, call, 0.4);
  drawCurve(pen, agentVoice, colours.agent, MAP / 2, 5 - MAP / 2, call, 0.4);
  // The longer a silence, the taller: the slow turns of a long call stand out.
  for (const gap of gaps) {
    const left = mapX(gap.from), tall = Math.max(2, (gap.ms / worst.ms) ** 1.5 * (MAP - 5));
    rect(pen, colours.dead, left, MAP - tall, Math.max(1, Math.min(mapX(gap.to) - left, 3)), tall, 0.85);
  }
  const from = Math.max(gutter, mapX(view.from)), to = Math.min(width, Math.max(mapX(view.to), from + 3));
  if (to - from >= wide - 1) return;
  rect(pen, colours.sheet, gutter, 0, from - gutter, MAP, 0.5);
  rect(pen, colours.sheet, to, 0, width - to, MAP, 0.5);
  pen.strokeStyle = colours.ink;
  pen.lineWidth = 1.5;
  pen.strokeRect(from + 0.75, 0.75, Math.max(2, to - from - 1.5), MAP - 1.5);
}

// A voice in a stretch of time over the whole width, upwards or (a negative height) downwards. The
// peaks; where a pixel stands for many frames, they are washed and the mean is solid.
function drawCurve(pen, voice, colour, base, height, stretch, alpha = 1) {
  const perPixel = (stretch.to - stretch.from) / (width - gutter), many = perPixel > 60;
  pen.fillStyle = colour;
  if (many) {
    pen.globalAlpha = alpha * 0.38;
    fillCurve(pen, voice, base, height, stretch.from, perPixel, false);
  }
  pen.globalAlpha = alpha;
  fillCurve(pen, voice, base, height, stretch.from, perPixel, many);
  pen.globalAlpha = 1;
}
function fillCurve(pen, voice, base, height, from, perPixel, mean) {
  let silent = true;
  pen.beginPath();
  pen.moveTo(gutter, base);
  for (let px = Math.floor(gutter); px <= width; px++) {
    const at = from + (px - gutter) * perPixel;
    const tall = at > END + BIN || at + perPixel < 0 ? 0 : heightIn(voice, at, at + perPixel, mean) * height;
    if (tall === 0 && silent) continue;
    if (silent) pen.lineTo(px, base);
    pen.lineTo(px, base - tall);
    pen.lineTo(px + 1, base - tall);
    silent = tall === 0;
  }
  pen.lineTo(width, base);
  pen.closePath();
  pen.fill();
}

function drawRuler(pen) {
  pen.textAlign = 'left';
  for (const [px, label] of ruler()) {
    rect(pen, colours.faint, Math.round(px), TOP, 1, CURVES);
    rect(pen, colours.rule, Math.round(px), TOP - 5, 1, 5);
    // Half a number would be another number.
    if (px + 4 + pen.measureText(label).width > width) continue;
    pen.fillStyle = colours.soft;
    pen.fillText(label, px + 4, MAP + RULER / 2 + 1);
  }
}
function drawGap(pen, gap) {
  const left = x(gap.from), wide = Math.max(1, x(gap.to) - left);
  rect(pen, colours['dead-wash'], left, TOP, wide, CURVES);
  if (wide <= 6) return;
  rect(pen, colours.dead, left, TOP, 1, CURVES, 0.7);
  rect(pen, colours.dead, left + wide - 1, TOP, 1, CURVES, 0.7);
}
// What a silence was made of.
function drawStages(pen, gap) {
  if (x(gap.to) - x(gap.from) < 4) return;
  let at = gap.from;
  for (const [stage, taken] of gap.stages) {
    rect(pen, colours[stageStyle(stage)] || colours['none-0'], x(at), VOICES - 8, Math.max(0.5, x(at + taken) - x(at) - 0.6), 8);
    at += taken;
  }
}
// The longest silences are labelled first; a label that has no room is left out.
function drawGapLabels(pen, seen) {
  const y = TOP + 10, taken = [], most = seen.length > 30 ? 4 : 30;
  pen.textAlign = 'center';
  pen.font = '600 12px ' + FONT;
  for (const gap of [...seen].sort((p, q) => q.ms - p.ms).slice(0, most)) {
    const label = ms(gap.ms), half = pen.measureText(label).width / 2;
    const middle = (Math.max(x(gap.from), gutter) + Math.min(x(gap.to), width)) / 2;
    const px = Math.min(width - half - 4, Math.max(gutter + half + 4, middle));
    if (taken.some(([from, to]) => px - half - 6 < to && px + half + 6 > from)) continue;
    taken.push([px - half, px + half]);
    rect(pen, colours.sheet, px - half - 3, y - 8, half * 2 + 6, 16, 0.85);
    pen.fillStyle = colours.dead;
    pen.fillText(label, px, y);
  }
}

// Where the selected span begins and ends, and how far a replay is.
const isDrawn = i => i >= 0 && laneOf[i] >= 0;
const drawnWidth = i => Math.max(2, x(end[i]) - x(start[i]));
function drawMarks(pen, top, from, bottom) {
  if (isDrawn(selected)) {
    const left = x(start[selected]), wide = drawnWidth(selected);
    rect(pen, colours.focus, left, from, 1, bottom, 0.3);
    rect(pen, colours.focus, left + wide - 1, from, 1, bottom, 0.3);
  }
  if (playhead >= 0) rect(pen, colours.focus, x(playhead) - 0.75, top, 1.5, bottom - top);
}

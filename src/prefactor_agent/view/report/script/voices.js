// Voices: how loud each was, at any zoom. Each level of a pyramid has one value for two of the level
// below; the lowest has one for each BIN.

const BIN = END > 4 * 3600e3 ? 20 : 5; // milliseconds
const LEVEL = 10; // milliseconds that a level of the data is of (curves.py)
const LOUDEST = 127; // full scale; 0 is digital silence

function pyramid(base, join) {
  const levels = [base];
  while (levels[levels.length - 1].length > 64) {
    const below = levels[levels.length - 1], above = new Uint8Array((below.length + 1) >> 1);
    for (let i = 0; i < above.length; i++) above[i] = join(below[2 * i], below[2 * i + 1] || 0);
    levels.push(above);
  }
  return levels;
}
function binned(runs) {
  const bins = new Uint8Array(Math.ceil(END / BIN) + 4);
  for (const [begins, text] of runs) {
    const levels = bytes(text), first = begins * TICK;
    for (let i = 0; i < levels.length; i++) {
      const from = Math.max(0, Math.round((first + i * LEVEL) / BIN));
      const to = Math.max(from + 1, Math.round((first + i * LEVEL + LEVEL) / BIN));
      for (let at = from; at < to && at < bins.length; at++) bins[at] = Math.max(bins[at], levels[i]);
    }
  }
  return bins;
}
// Each voice fills its half at its loudest; 12 dB less is half as tall.
function heights(loudest) {
  const top = Math.max(loudest, LOUDEST - 34);
  return new Float32Array(LOUDEST + 1).map((_, level) => level < LOUDEST - 62 ? 0 : Math.min(1, 10 ** ((level - top) / 40)));
}
const HEIGHT_OF = heights(LOUDEST - 20);

function voice(runs) {
  const peaks = pyramid(binned(runs), Math.max); // levels
  const heightOf = heights(Math.max(...peaks[peaks.length - 1]));
  const tall = peaks[0].map(level => level && heightOf[level] * 255);
  return { heightOf, peaks, means: pyramid(tall, (a, b) => (a + b + 1) >> 1) }; // heights, up to 255
}
const userVoice = voice(data.user), agentVoice = voice(data.agent);

// How tall a voice is drawn in a stretch of time, from 0 to 1: its loudest, or its mean.
function heightIn(voice, from, to, mean) {
  let k = 0, size = BIN;
  while (k + 1 < voice.peaks.length && size * 2 <= (to - from)) {
    k++;
    size *= 2;
  }
  const values = (mean ? voice.means : voice.peaks)[k];
  const first = Math.max(0, Math.floor(from / size)), last = Math.min(values.length - 1, Math.max(first, Math.ceil(to / size) - 1));
  if (mean) {
    let sum = 0;
    for (let i = first; i <= last; i++) sum += values[i];
    return sum / 255 / Math.max(1, last - first + 1);
  }
  let most = 0;
  for (let i = first; i <= last; i++) most = Math.max(most, values[i]);
  return voice.heightOf[most];
}

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

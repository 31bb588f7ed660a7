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

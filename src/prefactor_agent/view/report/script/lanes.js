// Lanes: what is drawn under the voices, and in which row of its lane each span is.

const ROW = 17, LANE_GAP = 5, MOST_ROWS = 4;
const LANES = [
  ['Caller', 'user', type => type === 'livekit:user_turn'],
  ['Agent', 'agent', type => type === 'livekit:assistant_turn'],
  ['Keys', 'user', () => false],
  ['Sound', 'user', () => false],
  ['States', 'quiet-0', type => type === 'livekit:state'],
  ['STT', 'hear-0', type => type === 'livekit:stt'],
  ['LLM', 'llm-0', type => type === 'livekit:llm'],
  ['Realtime', 'llm-0', type => type === 'livekit:realtime'],
  ['TTS', 'tts-0', type => type === 'livekit:tts'],
  ['Text', 'text-0', type => type === 'livekit:transcription'],
  ['Tools', 'tool-0', type => type === 'livekit:tool' || type.startsWith('livekit:tool:')],
  ['Events', 'dead', type => type === 'livekit:error' || type === 'livekit:handoff'],
  ['Other', 'quiet-0', type => type !== 'livekit:session' && type !== 'livekit:tool_result'],
];
const ALWAYS = new Set(['Caller', 'Agent', 'STT', 'LLM', 'TTS', 'Text', 'Tools', ...keys.length ? ['Keys'] : [], ...travelled.length ? ['Sound'] : []]);
const WITHOUT_SPANS = { Keys: drawKeys, Sound: drawTravel };
const lanes = LANES.map(([label, colour, takes]) => ({ label, colour, takes, spans: [], reach: [], rows: 1 }));
const laneOf = new Int8Array(count).fill(-1); // -1: it is in none
const rowOf = new Uint8Array(count);

const laneOfType = new Map();
for (let i = 0; i < count; i++) {
  const type = typeOf(i);
  if (!laneOfType.has(type)) laneOfType.set(type, lanes.findIndex(lane => lane.takes(type)));
  laneOf[i] = laneOfType.get(type);
  if (laneOf[i] >= 0) lanes[laneOf[i]].spans.push(i);
}

// Spans of a lane that overlap are in rows of their own, as long as there are rows.
function arrange(lane) {
  const ends = []; // of each row
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
}
let lanesHeight = 8;
const drawn = lanes.filter(lane => lane.spans.length || ALWAYS.has(lane.label));
for (const lane of drawn) {
  arrange(lane);
  lane.top = lanesHeight;
  lanesHeight += lane.rows * ROW + LANE_GAP;
}
lanesHeight += 4;

function firstAtLeast(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

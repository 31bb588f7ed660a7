// What a stranger's text may do to the page: nothing. The same rules as safe.py.

const ACTING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/;
const EACH_ACTING = new RegExp(ACTING, 'g');
const AROUND_ACTING = new RegExp(`(${ACTING.source})`);
const CONTROLS = 'NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(' ');
const NAMES = {
  0x7f: 'DEL', 0x61c: 'ALM', 0x2028: 'LSEP', 0x2029: 'PSEP', 0x202a: 'LRE', 0x202b: 'RLE', 0x202c: 'PDF',
  0x202d: 'LRO', 0x202e: 'RLO', 0x2066: 'LRI', 0x2067: 'RLI', 0x2068: 'FSI', 0x2069: 'PDI', 0xfeff: 'BOM',
};
function nameOf(character) {
  const code = character.charCodeAt(0);
  return code < 32 ? CONTROLS[code] : NAMES[code] || 'U+' + code.toString(16).toUpperCase().padStart(4, '0');
}
const plain = text => String(text).replace(EACH_ACTING, nameOf);
function el(tag, className, ...parts) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...parts);
  return made;
}
function fill(into, text) {
  if (!ACTING.test(text)) {
    into.append(text);
    return into;
  }
  for (const part of text.split(AROUND_ACTING)) {
    into.append(part && ACTING.test(part) ? el('span', 'ctl', nameOf(part)) : part);
  }
  return into;
}
const shown = text => fill(el('bdi'), String(text));

// Numbers, of milliseconds.

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const ms = value => (value < 10 ? value.toFixed(1) : whole.format(value)) + '\u202fms';
const lengthOf = (i, open = 'no end') => took[i] === -1 ? open : took[i] === -2 ? 'time not known' : ms(end[i] - start[i]);
function clock(at, digits = 1) {
  const unit = 10 ** digits, ticks = Math.max(0, Math.round(at / 1000 * unit)), seconds = Math.floor(ticks / unit);
  const tail = (seconds % 60 + (ticks % unit) / unit).toFixed(digits).padStart(digits ? 3 + digits : 2, '0');
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`;
}

// The time of day where the reader is.
const DAYTIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
function daytime(at) {
  const moment = new Date(data.origin_us / 1000 + at);
  return isNaN(moment) ? '' : DAYTIME.format(moment);
}

// What a span is called.

const KINDS = {
  'livekit:user_turn': "Caller's turn", 'livekit:assistant_turn': "Agent's turn", 'livekit:llm': 'LLM', 'livekit:stt': 'STT',
  'livekit:tts': 'TTS', 'livekit:transcription': 'Transcription', 'livekit:session': 'Session', 'livekit:error': 'Error',
  'livekit:handoff': 'Handoff', 'livekit:tool_result': 'Tool result', 'livekit:state': 'State', 'livekit:realtime': 'Realtime',
};
function kindOf(i) {
  const type = typeOf(i);
  return KINDS[type] || (type.startsWith('livekit:tool') ? 'Tool ' + plain(titleOf(i)) : plain(type));
}

// What a span says in a few words.

const SPEAKING = new Set(['user_turn', 'assistant_turn', 'llm', 'tts', 'transcription', 'stt'].map(type => 'livekit:' + type));
const labels = new Map();
function labelOf(i) {
  if (!labels.has(i)) labels.set(i, plain(saidBy(i)).slice(0, 160));
  return labels.get(i);
}
function saidBy(i) {
  const type = typeOf(i), payload = payloadOf(i), result = resultOf(i);
  if (SPEAKING.has(type)) {
    const words = unpack(result.spoken_text || result.transcript || result.generated_text || result.text);
    return typeof words === 'string' && words ? words : titleOf(i);
  }
  switch (type) {
    case 'livekit:state': return `${unpack(payload.actor) || ''} ${unpack(payload.new_state) || ''}`;
    case 'livekit:handoff': return `${unpack(payload.from) || '?'} → ${unpack(payload.to) || '?'}`;
    case 'livekit:error': return unpack(payload.error_type) || 'error';
    default: return titleOf(i);
  }
}

// The details of a span.

const MOST_LINKS = 40;

function describe(i) {
  const list = streams.get(i) || [];
  panel.replaceChildren(
    closeButton(),
    el('h2', '', el('span', '', kindOf(i)), el('span', statusOf(i) === 'failed' ? 'chip bad' : 'chip', plain(statusOf(i)))),
    el('p', 'sub', [
      clock(start[i], 3), daytime(start[i]), lengthOf(i, 'no end was recorded'), turnOf[i] ? `turn ${turnOf[i]}` : '',
    ].filter(Boolean).join(' · ')),
    ...links(i),
    ...given(i),
    ...gapBefore.has(i) ? stages(gapBefore.get(i)) : [],
    ...list.length ? [replayBar(i)] : [],
    ...list.map(stream => streamView(stream, lanes[laneOf[i]])),
    ...values('Result', unpack(resultOf(i))),
    ...values('Payload', unpack(payloadOf(i))),
  );
  panel.scrollTop = 0;
}
function closeButton() {
  const close = el('button', 'close', 'Close');
  close.type = 'button';
  close.addEventListener('click', () => {
    select(-1);
    voicesBox.focus({ preventScroll: true });
  });
  return close;
}
function links(i) {
  const parent = data.parent[i], below = (children.get(i) || []).slice(0, MOST_LINKS);
  const all = [
    ...parent >= 0 ? [link(parent, '↑ ' + kindOf(parent))] : [],
    ...below.map(child => link(child, kindOf(child))),
    ...related(payloadOf(i).reply_to, 'tool_id').map(tool => link(tool, '← reports ' + kindOf(tool))),
    ...related(resultOf(i).updates, 'reply_id').map(answer => link(answer, '→ ' + kindOf(answer))),
  ];
  return all.length ? [el('p', 'links', ...all)] : [];
}
// The spans that a list refers to by their ids.
function related(list, key) {
  const parts = Array.isArray(list) ? unpack(list) : [];
  const found = parts.map(part => part && spanOf.get(part[key])).filter(place => place !== undefined && place !== null);
  return [...new Set(found)].slice(0, MOST_LINKS);
}
// What a voice was given to say in place of the text that its node was given.
function given(i) {
  const text = unpack(resultOf(i).given_text);
  if (typeof text !== 'string' || !text) return [];
  return [el('h3', '', 'Given to the voice', el('span', 'count', 'other words than the node got')), el('p', 'flow given', shown(text))];
}
function link(i, text) {
  const a = el('a', '', text);
  a.href = '#' + encodeURIComponent(data.ids[i]);
  a.dataset.go = i;
  return a;
}
function stages(gap) {
  const most = Math.max(1, ...gap.stages.map(([, taken]) => taken));
  const rows = gap.stages.map(([stage, taken]) => {
    const bar = el('i');
    bar.style.width = `${taken / most * 100}%`;
    return el('li', 'f-' + stageStyle(stage), el('span', '', plain(stageLabel(stage))), el('span', 'track', bar), el('b', '', ms(taken)));
  });
  return [el('h3', '', 'Dead air ', el('span', 'count', ms(gap.ms))), el('ul', 'parts', ...rows)];
}

// A payload or a result, as a tree.

const SMALL = 400; // characters of JSON up to which a part is open from the start
function values(title, value) {
  return Object.keys(value).length ? [el('h3', '', title), el('div', 'tree', tree(value))] : [];
}
function tree(value) {
  return el('ul', '', ...Object.entries(value).map(([key, part]) => el('li', '', ...branch(key, part))));
}
function branch(key, part) {
  if (key === 'messages' && Array.isArray(part)) {
    return [el('details', '', el('summary', '', `messages (${part.length})`), ...part.map(message))];
  }
  if (part === null || typeof part !== 'object' || !Object.keys(part).length) {
    return [el('span', 'k', shown(key), ': '), leaf(part)];
  }
  const box = el('details', '', el('summary', '', shown(key), Array.isArray(part) ? ` (${part.length})` : ''), tree(part));
  box.open = JSON.stringify(part).length < SMALL;
  return [box];
}
function message(said) {
  return el('div', 'msg', el('span', 'k', shown(said && said.role || '')), ' ', leaf(said && 'content' in said ? said.content : said));
}
function leaf(value) {
  if (typeof value === 'string') return el('span', 'v', shown(value));
  return el('span', typeof value === 'number' ? 'v num' : 'v', shown(JSON.stringify(value)));
}

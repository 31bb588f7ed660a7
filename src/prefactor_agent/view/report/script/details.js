// The details of a span.

function link(i, text) {
  const a = el('a', '', text);
  a.href = '#' + encodeURIComponent(data.ids[i]);
  a.dataset.go = i;
  return a;
}
function describe(i) {
  const { payload, result } = detailOf(i), lane = lanes[laneOf[i]], parts = [];
  const close = el('button', 'close', 'Close');
  close.type = 'button';
  close.addEventListener('click', () => { select(-1); voicesBox.focus({ preventScroll: true }); });
  const index_ = turns[i] ? ` · turn ${turns[i]}` : '';
  parts.push(close, el('h2', '', el('span', '', kindOf(i)), el('span', statusOf(i) === 'failed' ? 'chip bad' : 'chip', plain(statusOf(i)))));
  parts.push(el('p', 'sub', `${clock(start[i], 3)} · ${took[i] < 0 ? 'no end was recorded' : ms(end[i] - start[i])}${index_}`));
  const links = el('p', 'links');
  if (data.parent[i] >= 0) links.append(link(data.parent[i], '↑ ' + kindOf(data.parent[i])));
  for (const child of (children.get(i) || []).slice(0, 40)) links.append(link(child, kindOf(child)));
  if (links.childNodes.length) parts.push(links);
  const gap = gaps[gapOf.get(i)];
  if (gap) {
    parts.push(el('h3', '', 'Dead air ', el('span', 'count', ms(gap.ms))));
    const list = el('ul', 'parts'), most = Math.max(1, ...gap.stages.map(([, taken]) => taken));
    for (const [stage, taken] of gap.stages) {
      const bar = el('i');
      bar.style.width = `${taken / most * 100}%`;
      list.append(el('li', 'f-' + data.stages[stage][1], el('span', '', plain(data.stages[stage][0])), el('span', 'track', bar), el('b', '', ms(taken))));
    }
    parts.push(list);
  }
  const list = streams.get(i) || [];
  if (list.length) parts.push(replayBar(i));
  for (const stream of list) parts.push(streamView(stream, lane));
  for (const [title, value] of [['Result', result], ['Payload', payload]]) {
    if (Object.keys(value).length) parts.push(el('h3', '', title), el('div', 'tree', tree(value)));
  }
  panel.replaceChildren(...parts);
  panel.scrollTop = 0;
}

function tree(value) {
  const list = el('ul');
  for (const [key, part] of Object.entries(value)) {
    const name = el('span', 'k', shown(key), ': ');
    if (key === 'messages' && Array.isArray(part)) {
      const box = el('details', '', el('summary', '', `messages (${part.length})`));
      for (const message of part) box.append(el('div', 'msg', el('span', 'k', shown(message && message.role || '')), ' ', leaf(message && 'content' in message ? message.content : message)));
      list.append(el('li', '', box));
    } else if (part !== null && typeof part === 'object' && Object.keys(part).length) {
      const box = el('details', '', el('summary', '', shown(key), Array.isArray(part) ? ` (${part.length})` : ''));
      const small = JSON.stringify(part).length < 400;
      box.open = small;
      box.append(tree(part));
      list.append(el('li', '', box));
    } else list.append(el('li', '', name, leaf(part)));
  }
  return list;
}
function leaf(value) {
  if (typeof value === 'string') return el('span', 'v', shown(value));
  return el('span', typeof value === 'number' ? 'v num' : 'v', shown(JSON.stringify(value)));
}

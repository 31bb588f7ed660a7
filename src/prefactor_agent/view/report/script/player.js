// The bar above the timeline: what it shows, and what its controls do.

const control = name => playerBox.querySelector(`[data-${name}]`);
const listen = control('listen'), clockNow = control('now'), slider = control('seek'), rates = control('rate'), trouble = control('trouble');
const sides = [...playerBox.querySelectorAll('[data-side]')];

// Ten times a second at most: on the page of a long call each of its changes is dear.
function showTime(at) {
  const text = clock(at);
  if (clockNow.textContent === text && slider.value !== '') return;
  clockNow.textContent = text;
  slider.value = at;
  slider.setAttribute('aria-valuetext', isOff(at) ? `${text}, off the record` : text);
}
function showPlaying() {
  listen.textContent = isPlaying() ? '❚❚ Pause' : '▶ Play';
}
function showRate() {
  rates.value = audio.playbackRate;
}
function showSides() {
  for (const button of sides) button.setAttribute('aria-pressed', audible[button.dataset.side]);
}
// Why nothing is to be heard.
function explain() {
  if (audio.error) {
    const known = audio.canPlayType('audio/ogg; codecs=opus'), disk = location.protocol === 'file:';
    trouble.textContent = !known ? 'This browser cannot play Opus in Ogg (docs/recording.md).'
      : disk && !APART ? `The recording cannot be read: ${decodeURIComponent(audio.src.split('/').pop())} belongs beside this page.`
        : 'The recording cannot be read: it is no longer kept, or damaged.';
    for (const part of playerBox.querySelectorAll('button, input, select')) part.disabled = true;
  } else {
    showPlaying();
  }
}

control('whole').textContent = clock(LAST);
slider.min = FIRST;
slider.max = LAST;
slider.addEventListener('input', () => jump(Number(slider.value)));
listen.addEventListener('click', togglePlaying);
for (const rate of RATES) {
  const option = el('option', '', `${rate}×`);
  option.value = rate;
  rates.append(option);
}
rates.addEventListener('change', () => setRate(Number(rates.value)));
showRate();
for (const button of sides) {
  button.addEventListener('click', () => toggleSide(Number(button.dataset.side)));
  if (APART) continue;
  button.disabled = true;
  button.title = 'A page from disk cannot mute one side of a file beside it. Write it with --embed-audio, or use prefactor-agent ui.';
}
if (audio.error) explain();
setPosition(FIRST);

// A link to a span is one to its moment.
function toHash() {
  const i = spanOf.get(idOf(location));
  if (i !== undefined) seek(beginsAt(i));
}
addEventListener('hashchange', toHash);
toHash();

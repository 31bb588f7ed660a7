// The recording. Its element is the page's clock; times are milliseconds from the beginning of the
// call, as everywhere.

const audio = one('[data-sound]');
const FIRST = data.recording.from * TICK, LAST = data.recording.to * TICK; // between them there is sound
const heardAt = () => FIRST + audio.currentTime * 1000;
const within = at => Math.min(LAST, Math.max(FIRST, at));

// The caller is on the left, the agent on the right. Both are played to both ears, each through a gain
// that can be 0. To the browser a file beside a page from disk is of another origin, whose sound a page
// cannot take apart: there it is played as it is.
const APART = location.protocol !== 'file:' || audio.src.startsWith('data:');
const audible = [true, true]; // caller, agent
let mixer = null, gains = [];

function openMixer() {
  if (mixer || !APART || !window.AudioContext) return;
  mixer = new AudioContext();
  const sides = mixer.createChannelSplitter(2), ears = mixer.createChannelMerger(2);
  mixer.createMediaElementSource(audio).connect(sides);
  gains = audible.map((on, side) => {
    const gain = mixer.createGain();
    gain.gain.value = Number(on);
    sides.connect(gain, side);
    for (const ear of [0, 1]) gain.connect(ears, 0, ear);
    return gain;
  });
  ears.connect(mixer.destination);
}
function setAudible(side, on) {
  audible[side] = on;
  // Over a few milliseconds: a jump would click.
  if (gains[side]) gains[side].gain.setTargetAtTime(Number(on), mixer.currentTime, 0.01);
}

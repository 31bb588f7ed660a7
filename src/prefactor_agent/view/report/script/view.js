// The view: which part of the call is seen, and the surfaces that it is drawn on.

const voicesBox = one('[data-stage]'), lanesBox = one('.lanes');
const voicesCanvas = one('[data-voices]'), lanesCanvas = one('[data-lanes]');
const tip = one('[data-tip]'), live = one('[data-live]'), panel = one('[data-details]');
const MAP = 34, RULER = 20, CURVES = 136, VOICES = MAP + RULER + CURVES; // pixels, from the top
const LEAST = 20; // milliseconds that fill the width when zoomed in all the way
const FONT = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif';
const WIDE = 1080; // pixels from which on the details are beside the timeline, as page.css has it
const pad = END * 0.012 + 40;
const view = { from: -pad, to: END + pad };
let width = 800, gutter = 58, selected = -1, hovered = -1, playhead = -1, dirty = false, colours = {};

const scale = () => (width - gutter) / (view.to - view.from);
const x = at => gutter + (at - view.from) * scale();
const timeAt = px => view.from + (px - gutter) / scale();
const isSeen = gap => gap.to >= view.from && gap.from <= view.to;

function readColours() {
  const style = getComputedStyle(root), shades = [0, 1, 2];
  const families = ['hear', 'hook', 'llm', 'tool', 'tts', 'play', 'quiet', 'none'].flatMap(family => shades.map(shade => `${family}-${shade}`));
  const names = ['paper', 'sheet', 'ink', 'soft', 'rule', 'faint', 'user', 'agent', 'dead', 'dead-wash', 'focus', 'text-0', ...families];
  colours = Object.fromEntries(names.map(name => [name, style.getPropertyValue('--' + name).trim()]));
}

function surface(canvas, height) {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.height = height + 'px';
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '11.5px ' + FONT;
  pen.textBaseline = 'middle';
  return pen;
}
function rect(pen, colour, left, top, wide, high, alpha = 1) {
  pen.fillStyle = colour;
  pen.globalAlpha = alpha;
  pen.fillRect(left, top, wide, high);
  pen.globalAlpha = 1;
}
function clipped(pen, left, top, wide, high, drawIt) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, wide, high);
  pen.clip();
  drawIt();
  pen.restore();
}

function request() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(draw);
}
function draw() {
  dirty = false;
  const began = performance.now();
  drawVoices();
  drawLanes();
  root.dataset.drawMs = (performance.now() - began).toFixed(1);
  root.dataset.view = `${view.from.toFixed(1)} ${view.to.toFixed(1)}`;
}

// The marks of the axis that are seen: where each is, and its time.
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3];
function ruler() {
  const k = scale(), step = STEPS.find(s => s * k >= 78) || 7200e3;
  const digits = step >= 1000 ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3;
  const marks = [];
  for (let at = Math.max(0, Math.ceil(view.from / step) * step); at <= Math.min(view.to, END + step); at += step) marks.push([x(at), clock(at, digits)]);
  return marks;
}

'use strict';
// The page of a call that runs follows it: it is read anew when a span begins or ends, but not under
// the hands of somebody who is looking at something.
(() => {
  const bar = document.querySelector('[data-live-call]');
  if (!bar) return;
  const button = bar.querySelector('[data-refresh]'), says = bar.querySelector('span');
  const call = encodeURIComponent(location.pathname.split('/').pop());
  const again = () => location.reload();
  let touched = false, coming = 0;
  for (const kind of ['pointerdown', 'keydown', 'wheel']) {
    addEventListener(kind, () => { touched = true; }, { capture: true, passive: true });
  }
  button.addEventListener('click', again);
  const source = new EventSource(`/events?call=${call}&since=${bar.dataset.liveCall}`);
  source.addEventListener('change', () => {
    if (touched) {
      says.textContent = 'This call is running.';
      button.hidden = false;
    } else if (!coming) {
      coming = setTimeout(again, 700);
    }
  });
  source.addEventListener('error', () => { says.textContent = 'This call was running when the server was last heard.'; });
})();

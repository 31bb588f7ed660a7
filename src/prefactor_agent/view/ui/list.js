'use strict';
// The list as the server makes it, made anew when something has changed.
(() => {
  const form = document.querySelector('form'), state = document.querySelector('[data-state]');
  let refreshed = 0, waiting = 0, asked = 0;

  // What the form asks for, and as many calls as are shown.
  function address() {
    const query = new URLSearchParams(new FormData(form));
    for (const [key, value] of [...query]) if (!value) query.delete(key);
    const shown = new URLSearchParams(location.search).get('n');
    if (shown) query.set('n', shown);
    return '/' + (query.size ? '?' + query : '');
  }
  async function refresh() {
    clearTimeout(waiting);
    waiting = 0;
    const mine = ++asked, from = address();
    try {
      const answer = await fetch(from, { headers: { Accept: 'text/html' } });
      if (!answer.ok || mine !== asked) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      replace(page.querySelector('main'));
      history.replaceState(null, '', from);
      refreshed = Date.now();
    } catch { /* the server is gone; the stream says so */ }
  }
  function replace(main) {
    const focused = document.activeElement && document.activeElement.dataset.call;
    document.querySelector('main').replaceWith(document.adoptNode(main));
    const again = focused && document.querySelector(`[data-call="${CSS.escape(focused)}"]`);
    if (again) again.focus({ preventScroll: true });
  }
  const soon = delay => { if (!waiting) waiting = setTimeout(refresh, delay); };

  form.addEventListener('submit', event => {
    event.preventDefault();
    refresh();
  });
  form.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = 0;
    soon(250);
  });
  document.documentElement.classList.add('scripted');

  function say(text, className) {
    state.textContent = text;
    state.className = className;
  }
  const source = new EventSource('/events?since=' + document.documentElement.dataset.version);
  source.addEventListener('open', () => say('live', 'on'));
  source.addEventListener('error', () => say('the server has stopped', 'off'));
  source.addEventListener('change', () => soon(Math.max(0, 500 - (Date.now() - refreshed))));
  // A call that runs gets longer, and its process may die without a word.
  setInterval(() => { if (!document.hidden && document.querySelector('[data-running]')) refresh(); }, 5000);
})();

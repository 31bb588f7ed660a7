'use strict';
// The list as the server makes it, made anew when something has changed.
(() => {
  const form = document.querySelector('form'), state = document.querySelector('[data-state]');
  let at = 0, waiting = 0, asked = 0;
  async function refresh() {
    clearTimeout(waiting);
    waiting = 0;
    const mine = ++asked, query = new URLSearchParams(new FormData(form));
    for (const [key, value] of [...query]) if (!value) query.delete(key);
    const shown = new URLSearchParams(location.search).get('n');
    if (shown) query.set('n', shown);
    const address = '/' + (query.size ? '?' + query : '');
    try {
      const answer = await fetch(address, { headers: { Accept: 'text/html' } });
      if (!answer.ok || mine !== asked) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const here = document.querySelector('main'), focused = document.activeElement && document.activeElement.dataset.call;
      here.replaceWith(document.adoptNode(page.querySelector('main')));
      if (focused) { const again = document.querySelector(`[data-call="${CSS.escape(focused)}"]`); if (again) again.focus({ preventScroll: true }); }
      history.replaceState(null, '', address);
      at = Date.now();
    } catch { /* the server is gone; the stream says so */ }
  }
  const soon = delay => { if (!waiting) waiting = setTimeout(refresh, delay); };
  form.addEventListener('submit', event => { event.preventDefault(); refresh(); });
  form.addEventListener('input', () => { clearTimeout(waiting); waiting = 0; soon(250); });
  document.documentElement.classList.add('scripted');

  const source = new EventSource('/events?since=' + document.documentElement.dataset.version);
  source.addEventListener('open', () => { state.textContent = 'live'; state.className = 'on'; });
  source.addEventListener('error', () => { state.textContent = 'the server has stopped'; state.className = 'off'; });
  source.addEventListener('change', () => soon(Math.max(0, 500 - (Date.now() - at))));
  // A call that runs gets longer, and its process may die without a word.
  setInterval(() => { if (!document.hidden && document.querySelector('[data-running]')) refresh(); }, 5000);
})();

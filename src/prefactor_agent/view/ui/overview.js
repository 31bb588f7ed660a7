'use strict';
// A choice is shown as it is made; the intervals, which take longer, follow the page; and of the
// points of a picture one is in the order of the Tab key, from which the arrows lead to the others.
(() => {
  const form = document.querySelector('form'), fields = form.elements;
  const dates = () => fields.period.value === 'dates';
  form.addEventListener('change', event => {
    // Both ends of a period are chosen before it is asked for.
    const waits = [fields.begin, fields.end].includes(event.target) || (event.target === fields.period && dates());
    if (!waits) form.requestSubmit();
  });
  form.addEventListener('submit', event => {
    event.preventDefault();
    const query = new URLSearchParams(new FormData(form));
    for (const [key, value] of [...query]) if (!value) query.delete(key);
    if (!dates()) for (const key of ['begin', 'end']) query.delete(key);
    location.assign('/overview?' + query);
  });

  for (const picture of document.querySelectorAll('[data-points]')) {
    const points = [...picture.querySelectorAll('.point')];
    const enter = index => points.forEach((point, i) => point.setAttribute('tabindex', i === index ? 0 : -1));
    enter(points.length - 1);
    picture.addEventListener('focusin', event => enter(points.indexOf(event.target.closest('.point'))));
    picture.addEventListener('keydown', event => {
      const here = points.indexOf(document.activeElement), last = points.length - 1;
      const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last }[event.key];
      if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      points[Math.max(0, Math.min(last, to))].focus();
    });
  }

  const section = document.querySelector('[data-sure]');
  if (!section) return;
  const says = section.querySelector('[data-status]');
  fetch(section.dataset.sure, { headers: { Accept: 'text/html' } })
    .then(answer => answer.ok ? answer.text() : Promise.reject())
    .then(text => {
      const page = new DOMParser().parseFromString(text, 'text/html');
      section.querySelector('[data-differences]').replaceWith(document.adoptNode(page.querySelector('[data-differences]')));
      section.removeAttribute('data-sure');
      says.textContent = '';
    })
    .catch(() => { says.textContent = 'How sure the differences are could not be worked out: load the page again.'; });
})();

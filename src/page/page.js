'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const form = $('filter'), status = $('status'), text = $('q'), found = $('found'), none = $('none');
  const groups = [...document.querySelectorAll('.group')];
  let rows = null;

  // What a row is found by: the texts of the catalog and the service, which alone stand in <bdi>, and its line.
  const words = (row) =>
    Array.from(row.getElementsByTagName('bdi'), (part) => part.textContent).concat('line ' + row.dataset.line).join('\n');

  const read = () => {
    rows = Array.from(document.querySelectorAll('[data-line]'), (element) => ({
      element,
      group: element.closest('.group'),
      counts: element.id !== '',
      status: element.dataset.status,
      words: words(element).normalize('NFKC').toLowerCase(),
    }));
  };

  const say = (shown, all) => {
    const number = (n) => n.toLocaleString('en');
    found.textContent = shown === all ? `${number(all)} ${all === 1 ? 'row' : 'rows'}` : `${number(shown)} of ${number(all)} rows`;
    none.hidden = shown > 0 || all === 0;
  };

  const show = () => {
    if (!rows) read();
    const wanted = status.value, part = text.value.trim().normalize('NFKC').toLowerCase();
    const full = new Set();
    let shown = 0, all = 0;
    for (const row of rows) {
      const fits = (!wanted || row.status === wanted) && (!part || row.words.includes(part));
      if (row.element.hidden === fits) row.element.hidden = !fits;
      if (fits) full.add(row.group);
      all += row.counts;
      shown += fits && row.counts;
    }
    for (const group of groups) group.hidden = !full.has(group);
    say(shown, all);
  };

  const keep = () => {
    const view = new URLSearchParams();
    if (status.value) view.set('status', status.value);
    if (text.value.trim()) view.set('q', text.value.trim());
    try {
      history.replaceState(null, '', '#' + view.toString().replace(/\+/g, '%20'));
    } catch {
      // A browser that lets no local page change its address still filters.
    }
  };

  // A hash with `=` is a view; any other is a place, which must not be filtered away.
  const restore = () => {
    const hash = location.hash.slice(1);
    const view = new URLSearchParams(hash.includes('=') ? hash.replace(/\+/g, '%2B') : '');
    const place = hash && !hash.includes('=') ? $(hash) : null;
    if (place && !place.dataset.line) return show();
    status.value = view.get('status') ?? '';
    if (status.selectedIndex < 0) status.value = '';
    text.value = view.get('q') ?? '';
    show();
    if (place) place.scrollIntoView({ block: 'center' });
    return view.size > 0;
  };

  const go = () => {
    if (restore()) $('rows').focus();
  };

  // The page may be read days after it was written.
  const age = () => {
    const now = Date.now(), day = 864e5;
    for (const time of document.querySelectorAll('[data-end]')) {
      const left = time.dataset.end - now, days = Math.ceil(left / day), line = time.parentNode;
      line.classList.remove('later', 'soon', 'gone');
      line.classList.add(left <= 0 ? 'gone' : left < 3 * day ? 'soon' : 'later');
      line.lastElementChild.textContent = left <= 0 ? 'gone' : days === 1 ? 'last day' : `${days} days left`;
    }
  };

  form.hidden = false;
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', () => { show(); keep(); });
  form.addEventListener('reset', () => setTimeout(() => { show(); keep(); text.focus(); }));
  addEventListener('hashchange', go);
  age();
  go();
})();

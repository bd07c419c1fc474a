'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const form = $('filter'), status = $('status'), text = $('q'), found = $('found'), none = $('none');
  let rows = [];

  // What a row is found by: the texts of the catalog and the service, which alone stand in <bdi>, and its line.
  const words = (row) =>
    Array.from(row.getElementsByTagName('bdi'), (part) => part.textContent).concat('line ' + row.dataset.line).join('\n');

  // Rows stand in chunks that the browser lays out only when they come into view. A filtered view fills them anew:
  // chunks of a few rows each would leave holes, and hiding rows one by one takes the browser a second.
  const groups = Array.from(document.querySelectorAll('.group'), (element) => {
    const chunks = Array.from(element.querySelectorAll('.chunk'), (chunk) => ({ chunk, held: [...chunk.children] }));
    return { element, chunks, size: chunks[0].held.length, rows: chunks.flatMap(({ held }) => held) };
  });

  const fill = (group, shown) => {
    group.element.hidden = shown.length === 0;
    group.chunks.forEach((part, place) => {
      const due = shown.slice(place * group.size, (place + 1) * group.size);
      if (due.length === part.held.length && due.every((row, at) => row === part.held[at])) return;
      part.chunk.replaceChildren(...due);
      part.chunk.hidden = due.length === 0;
      part.held = due;
    });
  };

  const read = () => {
    rows = groups.flatMap((group) => group.rows.map((element) => ({
      element,
      group,
      counts: element.id !== '',
      status: element.dataset.status,
      words: words(element).normalize('NFKC').toLowerCase(),
    })));
  };

  const say = (shown, all) => {
    const number = (n) => n.toLocaleString('en');
    found.textContent = shown === all ? `${number(all)} ${all === 1 ? 'row' : 'rows'}` : `${number(shown)} of ${number(all)} rows`;
    none.hidden = shown > 0 || all === 0;
  };

  const show = () => {
    const wanted = status.value, part = text.value.trim().normalize('NFKC').toLowerCase();
    const shown = rows.filter((row) => (!wanted || row.status === wanted) && (!part || row.words.includes(part)));
    for (const group of groups) fill(group, shown.filter((row) => row.group === group).map((row) => row.element));
    const counted = (some) => some.filter((row) => row.counts).length;
    say(counted(shown), counted(rows));
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
    const place = rows.find((row) => row.counts && row.element.id === hash)?.element;
    if (hash && !hash.includes('=') && !place) return show();
    status.value = view.get('status') ?? '';
    if (status.selectedIndex < 0) status.value = '';
    text.value = view.get('q') ?? '';
    show();
    if (place) place.scrollIntoView({ block: 'center' });
    return view.size > 0;
  };

  const go = () => {
    if (!restore()) return;
    $('rows').focus({ preventScroll: true });
    $('rows').scrollIntoView();
  };

  // The page may be read days after it was written.
  const age = () => {
    const now = Date.now(), day = 864e5;
    for (const time of document.querySelectorAll('[data-end]')) {
      const left = time.dataset.end - now, days = Math.ceil(left / day), line = time.parentNode;
      line.classList.remove('later', 'soon', 'gone');
      line.classList.add(left <= 0 ? 'gone' : left < 3 * day ? 'soon' : 'later');
      line.lastElementChild.textContent = left <= 0 ? 'may be gone' : days === 1 ? 'last day' : `${days} days left`;
    }
  };

  read();
  form.hidden = false;
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', () => { show(); keep(); });
  form.addEventListener('reset', (event) => {
    event.preventDefault();
    status.value = text.value = '';
    show();
    keep();
    text.focus();
  });
  addEventListener('hashchange', go);
  age();
  go();
})();

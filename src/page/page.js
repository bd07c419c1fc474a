'use strict';
(() => {
  const $ = (id) => document.getElementById(id);

  // The page may be read days after it was written, and far from UTC.
  const now = Date.now(), day = 864e5;

  const age = () => {
    for (const line of document.querySelectorAll('.expiry[data-end]')) {
      const left = line.dataset.end - now, days = Math.ceil(left / day);
      line.classList.remove('later', 'soon', 'gone');
      line.classList.add(left <= 0 ? 'gone' : left < 3 * day ? 'soon' : 'later');
      line.lastElementChild.textContent = left <= 0 ? 'may be gone' : days === 1 ? 'last day' : `${days} days left`;
    }
  };

  const tellLocalTimes = () => {
    if (new Date(now).getTimezoneOffset() === 0) return;
    const hour = { hour: '2-digit', minute: '2-digit' }, zone = { timeZoneName: 'short' };
    const clock = new Intl.DateTimeFormat('en-GB', hour), named = new Intl.DateTimeFormat('en-GB', { ...hour, ...zone });
    const dated = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', ...hour, ...zone });
    for (const time of document.querySelectorAll('time.clock')) {
      const at = new Date(time.dateTime), isSameDay = at.getDate() === at.getUTCDate();
      const local = document.createElement('span');
      local.className = 'local';
      local.textContent = ` (${(isSameDay ? named : dated).format(at)})`;
      time.after(local);
    }
    // Beneath each time of the plot's axis, in the row that is kept for it.
    for (const label of document.querySelectorAll('.plot [data-at]')) {
      label.textContent = label.classList.contains('zone')
        ? named.formatToParts(+label.dataset.at).find((part) => part.type === 'timeZoneName').value
        : clock.format(+label.dataset.at);
    }
  };

  age();
  tellLocalTimes();
  const form = $('filter'), status = $('status'), text = $('q'), sort = $('sort'), found = $('found'), none = $('none');
  if (!form) return;

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

  const rows = groups.flatMap((group) => group.rows.map((element, place) => ({
    element,
    group,
    place,
    counts: element.id !== '',
    status: element.dataset.status,
    end: Number(element.dataset.end ?? Infinity),
    saved: 'saved' in element.dataset,
    name: element.querySelector('.name').textContent,
    words: words(element).normalize('NFKC').toLowerCase(),
  })));

  const statuses = Array.from(status.options, (option) => option.value);
  const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
  const orders = {
    '': () => 0,
    title: (one, other) => collator.compare(one.name, other.name),
    status: (one, other) => statuses.indexOf(one.status) - statuses.indexOf(other.status),
    // What is saved is in nobody's hurry.
    expiry: (one, other) => one.saved - other.saved || one.end - other.end,
  };

  let order = '';
  const inOrder = () => {
    if (order === sort.value) return;
    order = sort.value;
    rows.sort((one, other) => orders[order](one, other) || one.place - other.place);
  };

  const say = (shown, all) => {
    const number = (n) => n.toLocaleString('en');
    found.textContent = shown === all ? `${number(all)} ${all === 1 ? 'row' : 'rows'}` : `${number(shown)} of ${number(all)} rows`;
    none.hidden = shown > 0 || all === 0;
  };

  const show = () => {
    inOrder();
    const wanted = status.value, part = text.value.trim().normalize('NFKC').toLowerCase();
    const shown = rows.filter((row) => (!wanted || row.status === wanted) && (!part || row.words.includes(part)));
    for (const group of groups) fill(group, shown.filter((row) => row.group === group).map((row) => row.element));
    const counted = (some) => some.filter((row) => row.counts).length;
    say(counted(shown), counted(rows));
  };

  const fields = { status, q: text, sort };

  const keep = () => {
    const view = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value.trim()) view.set(name, field.value.trim());
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
    for (const [name, field] of Object.entries(fields)) {
      field.value = view.get(name) ?? '';
      if (field.selectedIndex < 0) field.value = '';
    }
    show();
    if (place) place.scrollIntoView({ block: 'center' });
    return view.size > 0;
  };

  const go = () => {
    if (!restore()) return;
    $('rows').focus({ preventScroll: true });
    $('rows').scrollIntoView();
  };

  form.hidden = false;
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', () => { show(); keep(); });
  form.addEventListener('reset', (event) => {
    event.preventDefault();
    for (const field of Object.values(fields)) field.value = '';
    show();
    keep();
    text.focus();
  });
  addEventListener('hashchange', go);
  go();

  // The larger view: a copy of a card, both images side by side, from one cover to the next of those that are shown.
  const view = $('view'), large = $('large');
  let at = null;

  const cards = () => rows.filter((row) => row.element.isConnected && row.element.matches('.card')).map((row) => row.element);

  const enlarge = (card) => {
    const all = cards(), place = all.indexOf(card);
    at = card;
    large.replaceChildren(...Array.from(card.children, (part) => part.cloneNode(true)));
    for (const details of large.getElementsByTagName('details')) details.open = true;
    $('view-place').textContent = `Cover ${place + 1} of ${all.length}`;
    $('back').disabled = place <= 0;
    $('on').disabled = place + 1 >= all.length;
    if (view.open) return;
    view.showModal();
    $('close').focus();
  };

  const step = (by) => {
    const all = cards(), next = all[all.indexOf(at) + by];
    if (next) enlarge(next);
  };

  document.addEventListener('click', (event) => {
    const card = event.target.closest('.open')?.closest('.card');
    if (!card || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    enlarge(card);
  });
  $('back').addEventListener('click', () => step(-1));
  $('on').addEventListener('click', () => step(1));
  view.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) step(by);
  });
  view.addEventListener('click', (event) => { if (event.target === view) view.close(); });
  view.addEventListener('close', () => {
    at?.scrollIntoView({ block: 'nearest' });
    at?.querySelector('.open')?.focus({ preventScroll: true });
  });
})();

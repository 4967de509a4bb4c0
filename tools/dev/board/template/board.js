(() => {
  'use strict';
  document.documentElement.classList.add('js');
  const form = document.querySelector('.filters');
  const sections = [...document.querySelectorAll('section[data-sets]')];
  const rowsOf = (section) => [...section.querySelectorAll('tbody tr')];

  // A cell's own order: unknown values stay at the end either way.
  function sortBy(table, index) {
    const heads = [...table.tHead.rows[0].cells];
    const head = heads[index];
    const numeric = head.dataset.sort === 'number';
    const now = head.getAttribute('aria-sort') || (numeric ? 'ascending' : 'descending');
    const next = now === 'ascending' ? 'descending' : 'ascending';
    const sign = next === 'ascending' ? 1 : -1;
    const value = (row) => row.cells[index].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === '' || y === '') return (x === '') - (y === '');
      return sign * (numeric ? parseFloat(x) - parseFloat(y) : x.localeCompare(y, 'en', { numeric: true }));
    });
    table.tBodies[0].append(...rows);
    heads.forEach((other) => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', next);
  }

  function filter() {
    const { dataset, pretraining, search } = form.elements;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    let total = 0;
    for (const section of sections) {
      const inSet = !dataset.value || section.dataset.sets.split(' ').includes(dataset.value);
      let visible = 0;
      for (const row of rowsOf(section)) {
        const text = row.textContent.toLowerCase();
        const fits = inSet
          && (!pretraining.value || row.dataset.pretraining === pretraining.value)
          && words.every((word) => text.includes(word));
        row.hidden = !fits;
        visible += fits;
        total += 1;
      }
      section.hidden = visible === 0;
      shown += visible;
    }
    form.querySelector('output').value = `${shown} of ${total} shown`;
  }

  for (const table of document.querySelectorAll('section[data-sets] table')) {
    [...table.tHead.rows[0].cells].forEach((head, index) => {
      if (!head.dataset.sort) return;
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...head.childNodes);
      button.addEventListener('click', () => sortBy(table, index));
      head.append(button);
    });
  }
  form.addEventListener('input', filter);
  form.addEventListener('submit', (event) => event.preventDefault());
  form.hidden = sections.length === 0;
  filter();

  // Escape puts the protocol away until it is asked for again.
  const cells = [...document.querySelectorAll('tbody th')];
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      cells.filter((cell) => cell.matches(':hover, :focus-within'))
        .forEach((cell) => cell.classList.add('closed'));
    }
  });
  for (const cell of cells) {
    for (const name of ['pointerleave', 'focusin', 'click']) {
      cell.addEventListener(name, () => cell.classList.remove('closed'));
    }
  }
})();

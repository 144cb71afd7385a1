"use strict";
// Tables are sorted by the column whose head is pressed, and paper, which nobody can press, has all
// that is folded. All else works without a script.
const scale = { "µs": 1e-6, ms: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const number = /^[x+]?([-−]?[\d,]*\.?\d+(?:e[-+]?\d+)?)\s?(µs|ms|[KMGT]iB|[kMGT]\b)?/;

function value(text) {
  const match = number.exec(text);
  return match ? parseFloat(match[1].replaceAll(",", "")) * (scale[match[2]] ?? 1) : NaN;
}

function order(a, b) {
  const [x, y] = [value(a), value(b)];
  // What is no number comes last among numbers.
  if (!isNaN(x) || !isNaN(y)) return isNaN(x) ? 1 : isNaN(y) ? -1 : x - y;
  return a.localeCompare(b);
}

function sort(head) {
  const down = head.ariaSort === "ascending";
  for (const other of head.parentNode.cells) other.ariaSort = null;
  head.ariaSort = down ? "descending" : "ascending";
  const body = head.closest("table").tBodies[0];
  const text = (row) => row.cells[head.cellIndex].textContent;
  const rows = [...body.rows].sort((a, b) => (down ? order(text(b), text(a)) : order(text(a), text(b))));
  body.append(...rows);
}

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const block of opened) block.open = true;
});
addEventListener("afterprint", () => {
  for (const block of opened) block.open = false;
});

for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length < 3) continue;
  table.classList.add("sortable");
  for (const head of table.tHead.rows[0].cells) {
    head.tabIndex = 0;
    head.title = "sort by this column";
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort(head);
      }
    });
  }
}

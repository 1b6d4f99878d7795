"use strict";
// The table of the chosen metric and split is shown, every other one is hidden.
const metric = document.getElementById("metric"), split = document.getElementById("split");
function choose() {
  for (const table of document.querySelectorAll("[data-metric]"))
    table.hidden = table.dataset.metric !== metric.value || table.dataset.split !== split.value;
}
for (const select of [metric, split]) if (select) select.addEventListener("change", choose);
if (metric && split) choose();
// A click on a column's name sorts by it: numbers from the largest, text from A; a second click turns the order round.
for (const button of document.querySelectorAll(".sortable th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0], column = head.cellIndex;
    const cells = [...body.rows].map((row) => row.cells[column]);
    const numeric = cells.every((cell) => cell.dataset.value !== undefined);
    const key = (row) => numeric ? parseFloat(row.cells[column].dataset.value) : row.cells[column].textContent.trim();
    const first = numeric ? "descending" : "ascending", second = numeric ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? second : first;
    const turn = order === "ascending" ? 1 : -1;
    const compare = (a, b) => {
      const x = key(a), y = key(b);
      if (!numeric) return turn * x.localeCompare(y);
      return isNaN(x) - isNaN(y) || turn * (x - y);
    };
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    body.append(...[...body.rows].sort(compare));
  });
}

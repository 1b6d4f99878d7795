"use strict";
// Tables: the chosen one is shown, a column's name sorts, words filter.
const metric = document.getElementById("metric"), split = document.getElementById("split");
function choose() {
  for (const table of document.querySelectorAll("[data-metric]"))
    table.hidden = table.dataset.metric !== metric.value || table.dataset.split !== split.value;
}
for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
for (const select of [metric, split]) if (select) select.addEventListener("change", choose);
if (metric && split) choose();

// Numbers from the largest, text from A; a second press turns the order round.
function sortBy(head) {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const numeric = [...body.rows].every((row) => row.cells[column].dataset.value !== undefined);
  const key = (row) => numeric ? parseFloat(row.cells[column].dataset.value) : row.cells[column].textContent.trim();
  const first = numeric && head.dataset.first !== "ascending" ? "descending" : "ascending";
  const second = first === "ascending" ? "descending" : "ascending";
  const order = head.getAttribute("aria-sort") === first ? second : first, turn = order === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    const x = key(a), y = key(b);
    return numeric ? isNaN(x) - isNaN(y) || turn * (x - y) : turn * x.localeCompare(y);
  };
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  body.append(...[...body.rows].sort(compare));
}
for (const button of document.querySelectorAll(".sortable th button"))
  button.addEventListener("click", () => sortBy(button.closest("th")));

// A row, or a panel of a list, stays where it holds every word. `data-filter` names what is filtered.
for (const box of document.querySelectorAll("[data-filter]")) {
  const input = box.querySelector("input"), said = box.querySelector("output");
  box.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const items = [...document.querySelectorAll(box.dataset.filter)];
    for (const item of items) {
      const text = (item.dataset.words || item.textContent).toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
    const seen = items.filter((item) => !item.closest("[hidden]")), all = items.filter((item) => !item.parentNode.closest("[hidden]"));
    said.value = words.length ? `${seen.length} of ${all.length}` : "";
  });
}

"use strict";

// Without this script the page shows every measure, best rows first. With it, readers choose the
// measure, sort the tables and save the data. It never writes markup, only moves what is there.

function chooseMeasure(suite, chosen) {
  for (const part of suite.querySelectorAll("[data-measure]")) {
    part.hidden = part.dataset.measure !== chosen;
  }
}

function prepareChooser(suite) {
  const chooser = suite.querySelector(".chooser");
  if (!chooser) return;
  chooser.hidden = false;
  chooser.addEventListener("change", (event) => chooseMeasure(suite, event.target.value));
  chooseMeasure(suite, chooser.querySelector("input:checked").value);
}

// Cells without a value stay at the end, whichever way the column is sorted.
function sortRows(table, column, kind, descending) {
  const body = table.tBodies[0];
  const value = (row) => row.cells[column].dataset.sort;
  const compare = kind === "number" ? (a, b) => a - b : (a, b) => a.localeCompare(b);
  const rows = [...body.rows].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === undefined || right === undefined) {
      return (left === undefined) - (right === undefined);
    }
    return descending ? compare(right, left) : compare(left, right);
  });
  body.append(...rows);
}

function prepareHeading(table, heading) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...[...heading.childNodes].filter((node) => node.nodeName !== "A"));
  heading.prepend(button);
  button.addEventListener("click", () => {
    const now = heading.getAttribute("aria-sort");
    const first = heading.dataset.first || "ascending";
    const next = now === null ? first : now === "ascending" ? "descending" : "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", next);
    sortRows(table, heading.cellIndex, heading.dataset.kind, next === "descending");
  });
}

function prepareSaving() {
  const button = document.getElementById("page--save");
  button.hidden = false;
  button.addEventListener("click", () => {
    const data = document.getElementById("page--data").textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([data], { type: "application/json" }));
    link.download = "initbench-leaderboard.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

for (const suite of document.querySelectorAll(".suite")) prepareChooser(suite);
for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.rows[0].cells) prepareHeading(table, heading);
}
prepareSaving();

"use strict";
// On every page: a click on a header sorts its table, only one player plays at a time, and a file that does not open is
// reported below its place.

const collator = new Intl.Collator(undefined, { numeric: true });

function sortBy(header) {
  const body = header.closest("table").tBodies[0];
  const numeric = header.classList.contains("number");
  const orders = numeric ? ["descending", "ascending"] : ["ascending", "descending"];
  const order = orders[header.getAttribute("aria-sort") === orders[0] ? 1 : 0];
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);

  const sign = order === "ascending" ? 1 : -1;
  const key = (cell) => (numeric ? parseFloat(cell.dataset.value) : cell.textContent.trim());
  const empty = (value) => value === "" || Number.isNaN(value); // below the others in both orders
  const rows = Array.from(body.rows, (row) => [key(row.cells[header.cellIndex]), row]);
  const compare = numeric ? (a, b) => Math.sign(a - b) || 0 : collator.compare;
  rows.sort(([a], [b]) => empty(a) - empty(b) || sign * compare(a, b));
  body.append(...rows.map(([, row]) => row));
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

// The events of media do not bubble up to the document: `true` listens in the capturing phase.
document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);

document.addEventListener("error", (event) => {
  const media = event.target;
  if (!(media instanceof HTMLAudioElement || media instanceof HTMLImageElement)) return;
  const report = document.createElement("span");
  report.className = "gone";
  report.textContent = `does not open: ${media.getAttribute("src")}`;
  media.after(report);
}, true);

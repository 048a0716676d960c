"use strict";
// Of every page: tables sort by a click on a header, one player plays at a time, a file that does not open is told.

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
  const empty = (value) => value === "" || Number.isNaN(value); // these stay below, whatever the order
  const rows = Array.from(body.rows, (row) => [key(row.cells[header.cellIndex]), row]);
  const compare = numeric ? (a, b) => Math.sign(a - b) || 0 : collator.compare;
  rows.sort(([a], [b]) => empty(a) - empty(b) || sign * compare(a, b));
  body.append(...rows.map(([, row]) => row));
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

// These events do not rise through the document, so they are caught on their way down.
document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);

document.addEventListener("error", (event) => {
  const media = event.target;
  if (!(media instanceof HTMLAudioElement || media instanceof HTMLImageElement)) return;
  const told = document.createElement("span");
  told.className = "gone";
  told.textContent = `does not open: ${media.getAttribute("src")}`;
  media.after(told);
}, true);

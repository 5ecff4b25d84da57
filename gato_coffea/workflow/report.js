"use strict";
// A click on a heading sorts its table by that column; a second one turns the order around.
for (const heading of document.querySelectorAll("table.sortable th")) {
  heading.tabIndex = 0;
  const sort = () => {
    const body = heading.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const key = (row) => row.cells[column].textContent.trim();
    const number = (text) => parseFloat(text.replace(/^[(]/, ""));
    const rows = [...body.rows].filter((row) => !row.classList.contains("total"));
    rows.sort((a, b) => {
      const [x, y] = [number(key(a)), number(key(b))];
      const order = isNaN(x) || isNaN(y) ? key(a).localeCompare(key(b)) : x - y;
      return rising ? order : -order;
    });
    body.prepend(...rows);
  };
  heading.addEventListener("click", sort);
  heading.addEventListener("keydown", (event) => event.key === "Enter" && sort());
}
// A click on a figure shows it as large as the window allows; another closes it.
const large = document.querySelector("dialog");
for (const image of document.querySelectorAll("figure img")) {
  image.addEventListener("click", () => {
    large.querySelector("img").src = image.src;
    large.querySelector("img").alt = image.alt;
    large.showModal();
  });
}
large.addEventListener("click", () => large.close());

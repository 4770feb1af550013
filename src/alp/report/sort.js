"use strict";
// Sorts a table by the column whose heading was pressed; empty cells come last either way.
for (const table of document.querySelectorAll("table.claims")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const key = (row, column) => row.cells[column].dataset.sort;
  const numeric = (column) =>
    [...body.rows].every((row) => key(row, column) === "" || Number.isFinite(Number(key(row, column))));
  const compare = (column) => {
    if (numeric(column)) return (a, b) => Number(a) - Number(b);
    return (a, b) => a.localeCompare(b, "en");
  };
  headings.forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const rising = heading.getAttribute("aria-sort") !== "ascending";
      const order = compare(column);
      const sorted = [...body.rows].sort((one, other) => {
        const [a, b] = [key(one, column), key(other, column)];
        if (a === "" || b === "") return (a === "") - (b === "");
        return rising ? order(a, b) : order(b, a);
      });
      body.append(...sorted);
      for (const each of headings) {
        if (each.hasAttribute("aria-sort")) each.setAttribute("aria-sort", "none");
      }
      heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    });
  });
}

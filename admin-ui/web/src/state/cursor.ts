// Moves with the keyboard from row to row: the row's link has the focus, and Enter opens it.

/** The link that a row opens: the one that is marked, or the first. */
function opener(row: Element): HTMLElement | null {
    return row.querySelector<HTMLElement>("a[data-opens]") ?? row.querySelector<HTMLElement>("a[data-inside]");
}

/** Goes on to the next row, or back with -1; from nowhere, to the first that is seen. */
export function step(by: 1 | -1): void {
    const rows = [...document.querySelectorAll("main tbody tr")].filter((row) => opener(row)?.checkVisibility());
    const current = rows.findIndex((row) => row.contains(document.activeElement));
    const seen = rows.findIndex((row) => row.getBoundingClientRect().top >= 0);
    const row = rows[current < 0 ? Math.max(seen, 0) : current + by];
    if (row === undefined) return;
    opener(row)?.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
}

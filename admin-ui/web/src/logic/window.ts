// Which rows of a long table need be there: those that are seen, and some around them.

/** Rows beyond what is seen, so that a quick scroll shows no gap. */
const AROUND = 12;

export interface Part {
    first: number;
    /** The row after the last. */
    end: number;
}

/** `above` is how far the first row is above the top of what is seen, in pixels. */
export function part(rows: number, rowHeight: number, above: number, seen: number): Part {
    const first = Math.floor(above / rowHeight) - AROUND;
    const end = Math.ceil((above + seen) / rowHeight) + AROUND;
    const clamp = (value: number) => Math.min(Math.max(value, 0), rows);
    return { first: clamp(first), end: clamp(end) };
}

// Numbers over time: a history that grows, and lines drawn from numbers.

import type { History } from "./types";

type Column = "depth" | "in_flight" | "rate_in" | "rate_out" | "requeue_rate" | "timeout_rate";

const COLUMNS: Column[] = ["depth", "in_flight", "rate_in", "rate_out", "requeue_rate", "timeout_rate"];

/** How many points each range has at most: more are forgotten. */
const POINTS_MAX: Record<number, number> = { 1: 300, 10: 360, 60: 1440 };

/** The time of the newest point, which is what to ask `since`. */
export function newest(history: History): number {
    return history.start + (history.depth.length - 1) * history.step;
}

/** The times of all points, in Unix seconds. */
export function times(history: History): number[] {
    return history.depth.map((_, index) => history.start + index * history.step);
}

/** A history with what came later. What does not follow takes its place. */
export function extended(before: History, later: History): History {
    if (later.depth.length === 0) return before;
    if (later.step !== before.step || before.depth.length === 0) return later;
    const gap = Math.round((later.start - newest(before)) / before.step) - 1;
    if (gap < 0 || gap > (POINTS_MAX[before.step] ?? 0)) return later;
    const hole: null[] = Array.from({ length: gap }, () => null);
    const joined: History = { ...before };
    for (const column of COLUMNS) joined[column] = [...before[column], ...hole, ...later[column]];
    const excess = joined.depth.length - (POINTS_MAX[before.step] ?? joined.depth.length);
    if (excess > 0) {
        for (const column of COLUMNS) joined[column] = joined[column].slice(excess);
        joined.start += excess * before.step;
    }
    return joined;
}

/**
 * The points of a sparkline for SVG, `x,y x,y`, from the right edge back; a value that is not known ends one line and begins
 * another. 0 is always the bottom.
 */
export function sparkline(values: readonly (number | null)[], points: number, width: number, height: number): string[] {
    const known = values.filter((value) => value !== null);
    const top = Math.max(1, ...known);
    const step = width / Math.max(1, points - 1);
    const lines: string[] = [];
    let line: string[] = [];
    const finish = () => {
        if (line.length > 0) lines.push(line.join(" "));
        line = [];
    };
    values.forEach((value, index) => {
        if (value === null) return finish();
        const x = width - (values.length - 1 - index) * step;
        const y = height - (Math.max(0, value) / top) * height;
        line.push(`${tenth(x)},${tenth(y)}`);
    });
    finish();
    return lines;
}

function tenth(value: number): number {
    return Math.round(value * 10) / 10;
}

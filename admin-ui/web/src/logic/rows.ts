// The overview's rows: which are shown, and in which order.

import { level, rank } from "./trouble";
import type { ChannelRow } from "./types";

export const COLUMNS = [
    "trouble",
    "name",
    "depth",
    "oldest_age_ms",
    "rate_in",
    "rate_out",
    "in_flight",
    "deferred",
    "requeued",
    "timeouts_per_min",
    "clients",
] as const;

export type Column = (typeof COLUMNS)[number];

export interface Order {
    column: Column;
    descending: boolean;
}

export const TROUBLE_FIRST: Order = { column: "trouble", descending: false };

/** What a click on a column's heading leads to: the greatest first, then the least. */
export function clicked(order: Order, column: Column): Order {
    const first = column !== "trouble" && column !== "name";
    return { column, descending: order.column === column ? !order.descending : first };
}

export function key(row: { topic: string; channel: string | null }): string {
    // No name holds a slash.
    return row.channel === null ? row.topic : `${row.topic}/${row.channel}`;
}

/** The topics among `rows` that have a row of their own beside those of their channels. */
export function withChannels(rows: readonly ChannelRow[]): Set<string> {
    const own = new Set(rows.filter(({ channel }) => channel === null).map(({ topic }) => topic));
    return new Set(rows.filter(({ topic, channel }) => channel !== null && own.has(topic)).map(({ topic }) => topic));
}

/**
 * The rows that hold every word of `text` in topic/channel, in any case. `only` is `any` for those in trouble, or the code
 * of a trouble.
 */
export function filtered(rows: readonly ChannelRow[], text: string, only: string): ChannelRow[] {
    const fits = matcher(text);
    return rows.filter((row) => {
        if (only === "any" && level(row) === null) return false;
        if (only !== "" && only !== "any" && !row.trouble.some(({ code }) => code === only)) return false;
        return fits(key(row));
    });
}

/** Whether a name holds every word of `text`, in any case. */
export function matcher(text: string): (name: string) => boolean {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return (name) => words.every((word) => name.toLowerCase().includes(word));
}

/** The topics that no row is about. */
export function withoutRows(topics: readonly string[], rows: readonly ChannelRow[]): string[] {
    if (topics.length === 0) return [];
    const shown = new Set(rows.map(({ topic }) => topic));
    return topics.filter((topic) => !shown.has(topic));
}

/** A new list in that order; rows that are equal are sorted by name, whatever the direction. */
export function sorted(rows: readonly ChannelRow[], { column, descending }: Order): ChannelRow[] {
    const compare = comparison(column);
    const sign = descending ? -1 : 1;
    return [...rows].sort((left, right) => sign * compare(left, right) || byName(left, right));
}

/** The rows in the order of `keys`; those that are not in it come last, as they are. */
export function held(rows: readonly ChannelRow[], keys: readonly string[]): ChannelRow[] {
    const places = new Map(keys.map((key, place) => [key, place]));
    const place = (row: ChannelRow) => places.get(key(row)) ?? keys.length;
    return [...rows].sort((left, right) => place(left) - place(right));
}

function comparison(column: Column): (left: ChannelRow, right: ChannelRow) => number {
    switch (column) {
        case "name":
            return byName;
        case "trouble":
            return (left, right) => rank(left) - rank(right) || right.depth - left.depth;
        default:
            // What is not known is less than all that is.
            return (left, right) => (left[column] ?? -1) - (right[column] ?? -1);
    }
}

function byName(left: ChannelRow, right: ChannelRow): number {
    return compareText(left.topic, right.topic) || compareText(left.channel ?? "", right.channel ?? "");
}

function compareText(left: string, right: string): number {
    return left < right ? -1 : left > right ? 1 : 0;
}

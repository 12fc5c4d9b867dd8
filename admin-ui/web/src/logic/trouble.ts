// What is wrong, by how much it matters. The server says what is; this says how loudly the page does.

import { plural } from "./format";
import { state } from "./node";
import type { ChannelRow, NodeRow, Totals } from "./types";

/** `bad`: nobody takes the messages. `warn`: somebody does, too slowly. `note`: somebody wanted it so. */
export type Level = "bad" | "warn" | "note";

interface Kind {
    level: Level;
    /** After a number: `3 without consumers`. */
    summary: string;
}

/** The worst first, as the server sorts. */
const KINDS: Record<string, Kind> = {
    no_channels: { level: "bad", summary: "without a channel" },
    no_consumers: { level: "bad", summary: "without consumers" },
    ready_zero: { level: "bad", summary: "not ready for messages" },
    rising: { level: "warn", summary: "with rising depth" },
    timeouts: { level: "warn", summary: "with timeouts" },
    node_silent: { level: "bad", summary: "on a silent node" },
    paused: { level: "note", summary: "paused" },
};

const CODES = Object.keys(KINDS);

/** A code that a newer server says is worth a look. */
const UNKNOWN_KIND: Kind = { level: "warn", summary: "with something else" };

export function kind(code: string): Kind {
    return Object.hasOwn(KINDS, code) ? (KINDS[code] ?? UNKNOWN_KIND) : UNKNOWN_KIND;
}

const LOUDNESS: Record<Level, number> = { note: 1, warn: 2, bad: 3 };

/** The loudest of a row's troubles; `null` when nothing is wrong. */
export function level(row: ChannelRow): Level | null {
    let loudest: Level | null = null;
    for (const { code } of row.trouble) {
        const one = kind(code).level;
        if (loudest === null || LOUDNESS[one] > LOUDNESS[loudest]) loudest = one;
    }
    return loudest;
}

/** Where a row stands in "trouble first": the lower, the worse. */
export function rank(row: ChannelRow): number {
    const first = row.trouble[0];
    if (first === undefined) return CODES.length + 1;
    const index = CODES.indexOf(first.code);
    return index < 0 ? CODES.length : index;
}

/** Whether somebody should look: what is only paused was wanted so. */
export function isLoud(row: ChannelRow): boolean {
    const loudest = level(row);
    return loudest === "bad" || loudest === "warn";
}

export interface Group {
    code: string;
    level: Level;
    summary: string;
    rows: number;
}

/** How many rows have each trouble, the worst first. */
export function groups(rows: readonly ChannelRow[]): Group[] {
    const counted = new Map<string, number>();
    for (const row of rows) {
        for (const { code } of row.trouble) counted.set(code, (counted.get(code) ?? 0) + 1);
    }
    const position = (code: string) => (CODES.includes(code) ? CODES.indexOf(code) : CODES.length);
    return [...counted]
        .map(([code, rows]) => ({ code, rows, ...kind(code) }))
        .sort((left, right) => position(left.code) - position(right.code));
}

export interface Verdict {
    level: Level | "ok";
    text: string;
    /** How many things somebody should look at: rows, nodes, nsqlookupds. */
    count: number;
}

/** How many nsqlookupds there are, and how many of them do not answer. */
interface Lookups {
    all: number;
    silent: number;
}

/** The one sentence that answers "is anything wrong?". */
export function verdict(totals: Totals, rows: readonly ChannelRow[], nodes: readonly NodeRow[], lookups: Lookups = { all: 0, silent: 0 }): Verdict {
    if (nodes.length === 0) return { level: "bad", text: "No nsqd is known", count: 1 };
    const silent = nodes.filter((node) => state(node) === "silent").length;
    const unwell = nodes.filter((node) => state(node) === "unwell").length;
    const loud = rows.filter(isLoud);
    const parts: string[] = [];
    // Without any of them no consumer finds a node that it does not know.
    if (lookups.silent > 0) parts.push(`${lookups.silent} of ${plural(lookups.all, "nsqlookupd", "nsqlookupds")} ${lookups.silent === 1 ? "does" : "do"} not answer`);
    if (silent > 0) parts.push(`${silent} of ${plural(nodes.length, "node")} ${silent === 1 ? "does" : "do"} not answer`);
    if (unwell > 0) parts.push(`${unwell} ${unwell === 1 ? "node is" : "nodes are"} unwell`);
    const needy = loud.length;
    if (needy > 0) parts.push(`${needy} of ${plural(rows.length, "row")} ${needy === 1 ? "needs" : "need"} attention`);
    if (parts.length > 0) {
        const isBad = silent + unwell > 0 || (lookups.silent > 0 && lookups.silent >= lookups.all) || loud.some((row) => level(row) === "bad");
        return { level: isBad ? "bad" : "warn", text: parts.join(", "), count: lookups.silent + silent + unwell + needy };
    }
    const paused = rows.length - rows.filter((row) => level(row) === null).length;
    if (paused > 0) return { level: "note", text: `Nothing is wrong; ${paused} of ${plural(rows.length, "row")} paused`, count: 0 };
    if (totals.channels === 0) return { level: "ok", text: "Nothing is wrong; there is no channel yet", count: 0 };
    return { level: "ok", text: "Nothing is wrong", count: 0 };
}

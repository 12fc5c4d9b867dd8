// What the stream of events has told so far. Pure: a new picture for each event, so that a view knows when to look again.

import { key } from "./rows";
import type { ChannelRow, NodeRow, Overview, Told, Totals, Update, Warning } from "./types";

/** How many depths a sparkline has, in the stream too. */
export const SPARK_POINTS = 60;

export interface Picture {
    /** Unix milliseconds; 0 as long as nothing was told. */
    at: number;
    totals: Totals;
    rows: ChannelRow[];
    nodes: NodeRow[];
    message: string;
    /** Who did not say who the nodes are. */
    warnings: Warning[];
    /** By the key of a row; oldest first, a second apart. Goes over from each picture to the next. */
    sparks: Map<string, (number | null)[]>;
    /** The rows by their keys; goes over too. */
    byKey: Map<string, ChannelRow>;
}

const NOTHING: Totals = {
    nodes: 0,
    topics: 0,
    channels: 0,
    in_trouble: 0,
    depth: 0,
    rate_in: null,
    rate_out: null,
    message_count: 0,
    without_history: 0,
};

export function empty(): Picture {
    return { at: 0, totals: NOTHING, rows: [], nodes: [], message: "", warnings: [], sparks: new Map(), byKey: new Map() };
}

/** The event `overview`: everything anew. */
export function replaced(overview: Told<Overview>): Picture {
    const sparks = new Map<string, (number | null)[]>();
    const byKey = new Map<string, ChannelRow>();
    for (const row of overview.channels) {
        sparks.set(key(row), (row.spark ?? [row.depth]).slice(-SPARK_POINTS));
        byKey.set(key(row), row);
    }
    const { at, totals, nodes, message, warnings = [] } = overview;
    return { at, totals, rows: overview.channels, nodes, message, warnings, sparks, byKey };
}

/**
 * The event `update`: what changed. It has no sparklines, so each row's goes on with its depth; and the oldest message of a
 * row that it does not have is the same as before, and older by now.
 */
export function updated(before: Picture, update: Told<Update>): Picture {
    const { sparks, byKey } = before;
    for (const [topic, channel] of update.gone) {
        byKey.delete(key({ topic, channel }));
        sparks.delete(key({ topic, channel }));
    }
    const passed = update.at - before.at;
    for (const [name, row] of byKey) {
        // 0 says that no message waits.
        if (row.oldest_age_ms) byKey.set(name, { ...row, oldest_age_ms: Math.max(row.oldest_age_ms + passed, 1) });
    }
    for (const row of update.channels) byKey.set(key(row), row);
    const seconds = Math.round(passed / 1000);
    const points = Math.min(Math.max(seconds, 0), SPARK_POINTS);
    for (const [name, row] of byKey) {
        const spark = sparks.get(name) ?? [];
        for (let point = 0; point < points; point++) spark.push(row.depth);
        if (spark.length > SPARK_POINTS) spark.splice(0, spark.length - SPARK_POINTS);
        sparks.set(name, spark);
    }
    const { at, totals, nodes, message, warnings = [] } = update;
    return { at, totals, rows: [...byKey.values()], nodes, message, warnings, sparks, byKey };
}

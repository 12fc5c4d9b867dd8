// Rows for tests.

import type { ChannelRow, NodeRow, Overview, Told } from "./types";

export function row(name: string, changes: Partial<ChannelRow> = {}, ...codes: string[]): ChannelRow {
    const [topic = "", channel] = name.split("/");
    return {
        topic,
        channel: channel ?? null,
        depth: 0,
        oldest_age_ms: null,
        rate_in: 0,
        rate_out: 0,
        in_flight: 0,
        deferred: 0,
        requeued: 0,
        timed_out: 0,
        timeouts_per_min: 0,
        clients: 1,
        ready: 1,
        paused: false,
        topic_paused: false,
        nodes: 1,
        trouble: codes.map((code) => ({ code, reason: `because of ${code}` })),
        ...changes,
    };
}

export function node(name: string, changes: Partial<NodeRow> = {}): NodeRow {
    return {
        node: name,
        hostname: "",
        version: "1.3.0",
        health: "OK",
        silent_ms: 0,
        reason: "",
        depth: 0,
        rate_in: 0,
        rate_out: 0,
        clients: 0,
        topics: 0,
        channels: 0,
        ...changes,
    };
}

export function overview(at: number, channels: ChannelRow[], nodes: NodeRow[] = [node("a:1")]): Told<Overview> {
    const totals = {
        nodes: nodes.length,
        topics: new Set(channels.map(({ topic }) => topic)).size,
        channels: channels.filter(({ channel }) => channel !== null).length,
        in_trouble: channels.filter(({ trouble }) => trouble.some(({ code }) => code !== "paused")).length,
        depth: 0,
        rate_in: null,
        rate_out: null,
        message_count: 0,
        without_history: 0,
    };
    return { at, totals, channels, nodes, message: "" };
}

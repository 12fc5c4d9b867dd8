// Names of an nsqd, the nsqlookupds that do not know it, and how it is doing.

import type { Node, NodeRow } from "./types";

/** Its `host:port` of HTTP, as everything else calls it. */
export function address(node: Node): string {
    const host = node.broadcast_address.includes(":") ? `[${node.broadcast_address}]` : node.broadcast_address;
    return `${host}:${node.http_port}`;
}

/** Which of the nsqlookupds it is not connected to. */
export function missingLookups(node: Node, lookups: readonly string[]): string[] {
    const linked = new Set((node.remote_addresses ?? []).map((link) => link.slice(0, link.lastIndexOf("/"))));
    return lookups.filter((lookup) => !linked.has(lookup));
}

/** `silent` when it does not answer, and what it said last is old; `unwell` when it says so itself. */
export function state(row: NodeRow): "ok" | "silent" | "unwell" {
    // One that has never answered is silent for 0 ms at first.
    if (row.silent_ms > 0 || row.reason !== "") return "silent";
    return row.health.startsWith("NOK") ? "unwell" : "ok";
}

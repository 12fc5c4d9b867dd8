// Names of an nsqd, and of the nsqlookupds that do not know it.

import type { Node } from "./types";

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

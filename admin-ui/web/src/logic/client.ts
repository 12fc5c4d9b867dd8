// Names for a connection of a consumer.

import type { Client } from "./types";

/** Its host and port; its own name too, where that says something else. */
export function clientName(client: Client): string {
    const port = client.remote_address.slice(client.remote_address.lastIndexOf(":") + 1);
    const host = client.hostname === "" ? client.remote_address : `${client.hostname}:${port}`;
    const isSaid = client.client_id === "" || client.client_id === client.hostname || client.client_id === client.hostname.split(".")[0];
    return isSaid ? host : `${host} (${client.client_id})`;
}

/** Whether it is in the zone of its node, or at least in the region. */
export function locality(client: Client): "" | "zone-local" | "region-local" {
    const isRegion = !!client.topology_region && client.topology_region === client.node_topology_region;
    const isZone = !!client.topology_zone && client.topology_zone === client.node_topology_zone;
    if (isRegion && isZone) return "zone-local";
    return isRegion ? "region-local" : "";
}

// What the rows of a table are together, in the shape of one of them.

import type { Channel } from "./types";

/** The name of a sum: no channel can be called so. */
export const ALL = "*";

/** The counts of all of them. How long messages took is no sum, and is left out. */
export function together(channels: readonly Channel[]): Channel {
    const sum = (part: (channel: Channel) => number | undefined) => channels.reduce((sum, channel) => sum + (part(channel) ?? 0), 0);
    return {
        node: ALL,
        hostname: "",
        topic_name: channels[0]?.topic_name ?? "",
        channel_name: ALL,
        depth: sum(({ depth }) => depth),
        memory_depth: sum(({ memory_depth }) => memory_depth),
        backend_depth: sum(({ backend_depth }) => backend_depth),
        in_flight_count: sum(({ in_flight_count }) => in_flight_count),
        deferred_count: sum(({ deferred_count }) => deferred_count),
        requeue_count: sum(({ requeue_count }) => requeue_count),
        timeout_count: sum(({ timeout_count }) => timeout_count),
        message_count: sum(({ message_count }) => message_count),
        client_count: sum(({ client_count }) => client_count),
        delivery_msg_count: sum(({ delivery_msg_count }) => delivery_msg_count),
        zone_local_msg_count: sum(({ zone_local_msg_count }) => zone_local_msg_count),
        region_local_msg_count: sum(({ region_local_msg_count }) => region_local_msg_count),
        global_msg_count: sum(({ global_msg_count }) => global_msg_count),
        nodes: null,
        clients: null,
        paused: false,
        e2e_processing_latency: { count: 0, percentiles: null, topic: "", channel: "", host: "" },
    };
}

/** The sum of what is known of them; `null` where nothing is. */
export function known(values: readonly (number | null | undefined)[]): number | null {
    return values.reduce<number | null>((sum, value) => (value == null ? sum : (sum ?? 0) + value), null);
}

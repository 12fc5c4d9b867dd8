// The numbers that the tables show of a topic or a channel, whether of one node or of all.

import { count, short } from "./format";
import type { Channel, Topic } from "./types";

export interface Column<T> {
    name: string;
    /** Explains the name, where that needs it. */
    title?: string;
    text: (one: T) => string;
}

/** Why the rates of a node, or of all, do not say whether the consumers keep up. */
export const SUMS_TITLE = "In counts a message once in its topic, Out once in each channel that finished it: the two are not to be compared";

export const DEPTHS: Column<Topic | Channel>[] = [
    { name: "Depth", text: (one) => short(one.depth) },
    { name: "Memory + disk", title: "in memory + on disk", text: (one) => `${short(one.memory_depth)} + ${short(one.backend_depth)}` },
];

export const TOPIC_COUNTS: Column<Topic>[] = [
    { name: "Messages", text: (topic) => short(topic.message_count) },
    { name: "Channels", text: (topic) => count(topic.channels?.length ?? 0) },
];

export const CHANNEL_COUNTS: Column<Channel>[] = [
    { name: "In flight", text: (channel) => count(channel.in_flight_count) },
    { name: "Deferred", text: (channel) => count(channel.deferred_count) },
    { name: "Requeued", text: (channel) => short(channel.requeue_count) },
    { name: "Timed out", text: (channel) => short(channel.timeout_count) },
    { name: "Messages", text: (channel) => short(channel.message_count) },
    { name: "Clients", text: (channel) => count(channel.client_count) },
];

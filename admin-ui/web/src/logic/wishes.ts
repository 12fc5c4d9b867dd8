// What is said before something is done: the numbers of now, and what will be lost.

import { count, plural } from "./format";
import type { Outcome } from "./types";

/** What is about to be changed, as far as it is known. */
export interface Target {
    topic: string;
    channel?: string;
    depth: number;
    in_flight: number;
    deferred: number;
    clients: number;
    /** How many nodes have it. */
    nodes: number;
    /** For a topic: its channels, and what waits in them. */
    channels?: { count: number; depth: number };
}

export type Action = "pause" | "unpause" | "empty" | "delete";

const VERBS: Record<Action, string> = { pause: "Pause", unpause: "Unpause", empty: "Empty", delete: "Delete" };

export function title(action: Action, target: Target): string {
    return `${VERBS[action]} ${target.channel === undefined ? "topic" : "channel"}`;
}

/** The name to be typed, for what cannot be taken back. */
export function nameToType(action: Action, target: Target): string {
    if (action === "pause" || action === "unpause") return "";
    return target.channel ?? target.topic;
}

export function consequences(action: Action, target: Target): string[] {
    const what = target.channel === undefined ? target.topic : `${target.topic}/${target.channel}`;
    const where = `on ${plural(target.nodes, "node")}`;
    switch (action) {
        case "pause":
            return [
                `${what} is paused ${where}.`,
                target.channel === undefined
                    ? "Its channels get no new messages until it is unpaused; they wait in the topic."
                    : `${plural(target.clients, "connected consumer")} will get no new messages until it is unpaused; ${waiting(target)}.`,
                "Publishing goes on.",
            ];
        case "unpause":
            return [`${what} goes on ${where}; ${waiting(target)}.`];
        case "empty":
            return target.channel === undefined
                ? [
                      `${plural(target.depth, "message")} that no channel has been given yet are thrown away, ${where}.`,
                      "What its channels have stays.",
                      "It cannot be undone.",
                  ]
                : [`All messages of ${what} are thrown away, ${where}: ${all(target)}.`, "It cannot be undone."];
        case "delete":
            return [
                `${what} is deleted ${where}, with its messages: ${all(target)}.`,
                ...(target.channels === undefined ? [] : [`Its ${plural(target.channels.count, "channel")} ${target.channels.count === 1 ? "goes" : "go"} with it.`]),
                target.clients === 0
                    ? "No consumer is connected."
                    : `${plural(target.clients, "consumer")} ${target.clients === 1 ? "is" : "are"} connected and will be cut off. Those that connect again make it anew, empty.`,
                "It cannot be undone.",
            ];
    }
}

/** How many of the messages that were to be published went where. */
export function published(outcomes: readonly Outcome[], wanted: number): string {
    const done = outcomes.find(({ ok }) => ok);
    if (done === undefined) return "No message was published.";
    // Messages that are published one by one have a line together, which says how many they were.
    const times = /, (\d+) times$/.exec(done.request)?.[1];
    const all = done.request === "/mpub" ? wanted : Number(times ?? 1);
    return `${all < wanted ? `${count(all)} of ` : ""}${plural(wanted, "message")} published to ${done.node}.`;
}

function waiting(target: Target): string {
    return `${plural(target.depth, "message")} ${target.depth === 1 ? "waits" : "wait"}`;
}

function all(target: Target): string {
    return `${count(target.depth + (target.channels?.depth ?? 0))} waiting, ${count(target.in_flight)} in flight, ${count(target.deferred)} deferred`;
}

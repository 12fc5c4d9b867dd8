import { describe, expect, it } from "vitest";

import { DEFAULT_VIEW, path, place, query, view, type Place } from "./address";
import { topicPath } from "./api";

describe("a place", () => {
    const places: [string, Place][] = [
        ["", { page: "overview" }],
        ["topics", { page: "overview" }],
        ["topics/orders", { page: "topic", topic: "orders" }],
        ["topics/a%23ephemeral/b%23ephemeral", { page: "channel", topic: "a#ephemeral", channel: "b#ephemeral" }],
        ["nodes", { page: "nodes" }],
        ["nodes/127.0.0.1%3A4151", { page: "node", node: "127.0.0.1:4151" }],
        ["nodes/127.0.0.1:4151", { page: "node", node: "127.0.0.1:4151" }],
        ["nodes/", { page: "nodes" }],
        ["lookup", { page: "lookup" }],
        ["counter", { page: "counter" }],
        ["counter/x", { page: "unknown" }],
        ["topics/a/b/c", { page: "unknown" }],
        ["topics/%", { page: "unknown" }],
        ["elsewhere", { page: "unknown" }],
    ];

    it.each(places)("%s is read", (text, expected) => {
        expect(place(text)).toEqual(expected);
    });

    it("is written so that it can be read", () => {
        for (const [, one] of places) {
            if (one.page !== "unknown") expect(place(path(one) ?? "")).toEqual(one);
        }
        const hostile = { page: "topic", topic: "<img src=x>/../.." } as const;
        expect(place(path(hostile) ?? "")).toEqual(hostile);
    });

    it("that a browser would take for another has no path", () => {
        expect(path({ page: "topic", topic: "." })).toBeNull();
        expect(path({ page: "channel", topic: "orders", channel: ".." })).toBeNull();
        expect(path({ page: "channel", topic: ".", channel: "orders" })).toBeNull();
        expect(path({ page: "channel", topic: "...", channel: ".a" })).toBe("topics/.../.a");
        expect(() => topicPath("orders", ".")).toThrow("No browser can ask");
    });
});

describe("a view", () => {
    it("is written only where it is not the usual one", () => {
        expect(query(DEFAULT_VIEW)).toBe("");
        expect(query({ ...DEFAULT_VIEW, filter: "a&b", range: "1h" })).toBe("?filter=a%26b&range=1h");
    });

    it("survives being written and read", () => {
        for (const descending of [true, false]) {
            const one = { filter: "x y", only: "no_consumers", order: { column: "depth" as const, descending }, range: "24h" as const };
            expect(view(query(one))).toEqual(one);
        }
    });

    it("takes the usual for what it does not understand", () => {
        expect(view("?sort=-nothing&range=9y&other=1")).toEqual(DEFAULT_VIEW);
    });
});

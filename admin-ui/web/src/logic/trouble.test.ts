import { describe, expect, it } from "vitest";

import { node, overview, row } from "./fixtures";
import { groups, isLoud, kind, level, rank, verdict } from "./trouble";

function judged(channels: ReturnType<typeof row>[], nodes = [node("a:1")]) {
    const { totals } = overview(0, channels, nodes);
    return verdict(totals, channels, nodes);
}

describe("a row", () => {
    it("is as loud as its loudest trouble", () => {
        expect(level(row("a/b"))).toBeNull();
        expect(level(row("a/b", {}, "paused"))).toBe("note");
        expect(level(row("a/b", {}, "timeouts", "paused"))).toBe("warn");
        expect(level(row("a/b", {}, "rising", "node_silent"))).toBe("bad");
        expect(isLoud(row("a/b", {}, "paused"))).toBe(false);
        expect(isLoud(row("a/b", {}, "timeouts"))).toBe(true);
    });

    it("with a trouble that a newer server has is shown too", () => {
        expect(level(row("a/b", {}, "something_new"))).toBe("warn");
        expect(kind("constructor").level).toBe("warn");
        expect(rank(row("a/b", {}, "something_new"))).toBeLessThan(rank(row("a/b")));
    });
});

describe("the verdict", () => {
    it("is calm when nothing is wrong", () => {
        expect(judged([row("a/b")])).toEqual({ level: "ok", text: "Nothing is wrong", count: 0 });
        expect(judged([])).toEqual({ level: "ok", text: "Nothing is wrong; there is no channel yet", count: 0 });
    });

    it("does not cry out for what somebody wanted", () => {
        expect(judged([row("a/b"), row("a/c", {}, "paused")])).toEqual({ level: "note", text: "Nothing is wrong; 1 of 2 rows paused", count: 0 });
    });

    it("counts what needs attention", () => {
        expect(judged([row("a/b", {}, "no_consumers"), row("a/c")])).toEqual({ level: "bad", text: "1 of 2 rows needs attention", count: 1 });
        expect(judged([row("a/b", {}, "timeouts"), row("a/c", {}, "rising")])).toEqual({ level: "warn", text: "2 of 2 rows need attention", count: 2 });
    });

    it("names silent and unwell nodes first", () => {
        const nodes = [node("a:1"), node("b:1", { silent_ms: 3000, reason: "connection refused" }), node("c:1", { health: "NOK - disk" })];
        expect(judged([row("a/b")], nodes)).toEqual({ level: "bad", text: "1 of 3 nodes does not answer, 1 node is unwell", count: 2 });
        expect(judged([], []).text).toBe("No nsqd is known");
    });

    it("is not calm while the nsqlookupds are away", () => {
        const { totals, nodes } = overview(0, []);
        const of = (silent: number) => verdict(totals, [], nodes, { all: 2, silent });
        expect(of(0).level).toBe("ok");
        expect(of(1)).toEqual({ level: "warn", text: "1 of 2 nsqlookupds does not answer", count: 1 });
        expect(of(2)).toEqual({ level: "bad", text: "2 of 2 nsqlookupds do not answer", count: 2 });
    });
});

it("troubles are counted, the worst first", () => {
    const rows = [row("a/b", {}, "paused"), row("a/c", {}, "no_consumers", "paused"), row("d", {}, "something_new")];
    expect(groups(rows).map(({ code, rows }) => [code, rows])).toEqual([["no_consumers", 1], ["paused", 2], ["something_new", 1]]);
});

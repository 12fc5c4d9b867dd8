import { describe, expect, it } from "vitest";

import { overview, row } from "./fixtures";
import { empty, replaced, SPARK_POINTS, updated } from "./picture";
import { key } from "./rows";
import type { ChannelRow, Told, Update } from "./types";

function update(at: number, channels: ChannelRow[], gone: Update["gone"] = []): Told<Update> {
    const { totals, nodes } = overview(at, channels);
    return { at, totals, channels, gone, nodes, message: "" };
}

describe("an update", () => {
    const before = () => replaced(overview(1_000, [row("a/b", { depth: 1, spark: [3, null, 1] }), row("a/c"), row("bare")]));

    it("changes, adds and removes rows", () => {
        const after = updated(before(), update(2_000, [row("a/b", { depth: 7 }), row("new/one")], [["a", "c"], ["bare", null]]));
        expect(after.rows.map(key)).toEqual(["a/b", "new/one"]);
        expect(after.rows[0]?.depth).toBe(7);
        expect(after.at).toBe(2_000);
        expect(after.sparks.has("bare")).toBe(false);
    });

    it("lets every sparkline go on, also of rows that did not change", () => {
        const after = updated(before(), update(3_000, [row("a/b", { depth: 7 })]));
        expect(after.sparks.get("a/b")).toEqual([3, null, 1, 7, 7]);
        expect(after.sparks.get("a/c")).toEqual([0, 0, 0]);
    });

    it("lets the oldest message grow older where nothing else is said", () => {
        const ages = [row("a/old", { oldest_age_ms: 5_000 }), row("a/none", { oldest_age_ms: 0 }), row("a/unknown"), row("a/told", { oldest_age_ms: 9_000 })];
        const after = updated(replaced(overview(1_000, ages)), update(3_500, [row("a/told", { oldest_age_ms: 20 })]));
        expect(after.rows.map((one) => one.oldest_age_ms)).toEqual([7_500, 0, null, 20]);
    });

    it("keeps sparklines short, even after a long pause", () => {
        let picture = before();
        for (let second = 2; second < 200; second++) picture = updated(picture, update(second * 1_000, []));
        expect(picture.sparks.get("a/b")).toHaveLength(SPARK_POINTS);
        picture = updated(picture, update(9_000_000, []));
        expect(picture.sparks.get("a/b")).toHaveLength(SPARK_POINTS);
    });
});

it("an overview replaces everything", () => {
    const picture = replaced(overview(5_000, [row("only/one")]));
    expect(picture.rows.map(key)).toEqual(["only/one"]);
    expect(empty().at).toBe(0);
});

import { describe, expect, it } from "vitest";

import { extended, newest, sparkline, times } from "./series";
import type { History } from "./types";

function history(start: number, depth: (number | null)[], step = 1): History {
    const column = () => depth.map(() => 1);
    return {
        kind: "cluster", node: "", topic: "", channel: "", step, start, depth,
        in_flight: column(), rate_in: column(), rate_out: column(), requeue_rate: column(), timeout_rate: column(),
    };
}

describe("a history", () => {
    it("knows its times", () => {
        expect(times(history(100, [1, 2, 3], 10))).toEqual([100, 110, 120]);
        expect(newest(history(100, [1, 2, 3], 10))).toBe(120);
    });

    it("goes on with what came later, and shows what is missing", () => {
        const joined = extended(history(100, [1, 2]), history(103, [4, 5]));
        expect(joined.depth).toEqual([1, 2, null, 4, 5]);
        expect(joined.rate_in).toHaveLength(5);
        expect(newest(joined)).toBe(104);
    });

    it("forgets what is older than its range", () => {
        let joined = history(0, [0]);
        for (let second = 1; second < 700; second++) joined = extended(joined, history(second, [second]));
        expect(joined.depth).toHaveLength(300);
        expect(joined.start).toBe(400);
        expect(joined.depth.at(-1)).toBe(699);
    });

    it("begins anew where nothing fits together", () => {
        const before = history(100, [1, 2]);
        expect(extended(before, history(100, [])).depth).toEqual([1, 2]);
        expect(extended(before, history(101, [9])).depth).toEqual([9]);
        expect(extended(before, history(9_999, [9])).depth).toEqual([9]);
        expect(extended(before, history(102, [9], 10)).depth).toEqual([9]);
    });
});

describe("a sparkline", () => {
    it("ends at the right edge and stands on zero", () => {
        expect(sparkline([0, 5, 10], 3, 60, 18)).toEqual(["0,18 30,9 60,0"]);
        expect(sparkline([10], 3, 60, 18)).toEqual(["60,0"]);
        expect(sparkline([], 3, 60, 18)).toEqual([]);
    });

    it("has a gap where a value is not known", () => {
        expect(sparkline([0, null, 10], 3, 60, 18)).toEqual(["0,18", "60,0"]);
    });
});

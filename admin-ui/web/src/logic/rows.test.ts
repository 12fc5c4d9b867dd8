import { describe, expect, it } from "vitest";

import { row } from "./fixtures";
import { clicked, filtered, held, key, sorted, TROUBLE_FIRST, withChannels, withoutRows } from "./rows";

const rows = [
    row("clicks/stats", { depth: 5, rate_in: null }),
    row("orders/billing", { depth: 0, rate_in: 3 }),
    row("orders/archive", { depth: 70, rate_in: 3 }, "no_consumers"),
    row("orders/mail", { depth: 900 }, "paused"),
    row("bare", { depth: 2 }, "no_channels"),
];

it("a topic with a row of its own may have channels all the same", () => {
    expect([...withChannels([...rows, row("orders", { depth: 3 }, "paused")])]).toEqual(["orders"]);
    expect([...withChannels(rows)]).toEqual([]);
});

it("topics that only the nsqlookupds know have no row", () => {
    expect(withoutRows(["orders", "idle", "bare"], rows)).toEqual(["idle"]);
});

const names = (list: typeof rows) => list.map(key);

describe("the order", () => {
    it("has trouble first, the worst before the deepest", () => {
        expect(names(sorted(rows, TROUBLE_FIRST))).toEqual([
            "bare", "orders/archive", "orders/mail", "clicks/stats", "orders/billing",
        ]);
    });

    it("is by any column, and by name where that is equal", () => {
        const descending = sorted(rows, { column: "depth", descending: true });
        expect(names(descending)).toEqual(["orders/mail", "orders/archive", "clicks/stats", "bare", "orders/billing"]);
        const byRate = names(sorted(rows, { column: "rate_in", descending: true }));
        expect(byRate).toEqual(["orders/archive", "orders/billing", "bare", "orders/mail", "clicks/stats"]);
        expect(names(sorted(rows, { column: "name", descending: true }))[0]).toBe("orders/mail");
    });

    it("leaves the list as it was", () => {
        const before = names(rows);
        sorted(rows, { column: "depth", descending: true });
        expect(names(rows)).toEqual(before);
    });

    it("stays while somebody points at it, and new rows come last", () => {
        const now = [row("new/one"), ...rows];
        expect(names(held(now, ["orders/mail", "bare", "gone/gone", "clicks/stats", "orders/archive", "orders/billing"]))).toEqual([
            "orders/mail", "bare", "clicks/stats", "orders/archive", "orders/billing", "new/one",
        ]);
    });

    it("turns round at the second click on a heading", () => {
        const first = clicked(TROUBLE_FIRST, "depth");
        expect(first).toEqual({ column: "depth", descending: true });
        expect(clicked(first, "depth")).toEqual({ column: "depth", descending: false });
        expect(clicked(first, "name")).toEqual({ column: "name", descending: false });
    });
});

describe("the filter", () => {
    it("wants every word, in any case", () => {
        expect(names(filtered(rows, "ORD  ar", ""))).toEqual(["orders/archive"]);
        expect(names(filtered(rows, "orders/m", ""))).toEqual(["orders/mail"]);
        expect(filtered(rows, "", "")).toHaveLength(rows.length);
        expect(filtered(rows, "(", "")).toEqual([]);
    });

    it("can want trouble, or one kind of it", () => {
        expect(names(filtered(rows, "", "any"))).toEqual(["orders/archive", "orders/mail", "bare"]);
        expect(names(filtered(rows, "", "paused"))).toEqual(["orders/mail"]);
        expect(filtered(rows, "", "toString")).toEqual([]);
    });
});

it("10,000 rows are filtered and sorted", () => {
    const many = Array.from({ length: 10_000 }, (_, index) => row(`topic-${index % 97}/channel-${index}`, { depth: (index * 7919) % 10_007 }));
    const result = sorted(filtered(many, "channel", ""), { column: "depth", descending: true });
    expect(result).toHaveLength(10_000);
    expect(result.every((row, index) => index === 0 || row.depth <= (result[index - 1]?.depth ?? 0))).toBe(true);
});

import { describe, expect, it } from "vitest";

import { connection, Meter, NO_RATES } from "./meter";
import type { Client } from "./types";

function client(name: string, message_count: number, finish_count: number, connect_ts = 1): Client {
    return { node: "n:1", remote_address: name, connect_ts, message_count, finish_count } as Client;
}

describe("the rates of clients", () => {
    const of = (rates: ReturnType<Meter["told"]>, name: string, connect_ts = 1) => rates.get(connection(client(name, 0, 0, connect_ts)));

    it("are known after the second answer, and then taken over ten seconds", () => {
        const meter = new Meter();
        expect(of(meter.told([client("a", 100, 90)], 0), "a")).toEqual(NO_RATES);
        expect(of(meter.told([client("a", 130, 105)], 3_000), "a")).toEqual({ sent: 10, finished: 5 });
        expect(of(meter.told([client("a", 130, 105)], 6_000), "a")).toEqual({ sent: 5, finished: 2.5 });
        meter.told([client("a", 130, 105)], 9_000);
        // The first answer is too old now.
        expect(of(meter.told([client("a", 220, 105)], 12_000), "a")).toEqual({ sent: 10, finished: 0 });
    });

    it("are those of one connection", () => {
        const meter = new Meter();
        meter.told([client("a", 100, 90)], 0);
        const later = meter.told([client("a", 3, 3, 2), client("b", 7, 7)], 3_000);
        expect([of(later, "a", 2), of(later, "b")]).toEqual([NO_RATES, NO_RATES]);
        expect(of(meter.told([client("b", 10, 7)], 6_000), "b")).toEqual({ sent: 1, finished: 0 });
    });

    it("are not known where several are called alike, as over a Unix socket", () => {
        const meter = new Meter();
        meter.told([client("@", 100, 90), client("@", 5, 5)], 0);
        const both = meter.told([client("@", 130, 90), client("@", 6, 6)], 3_000);
        expect(of(both, "@")).toEqual(NO_RATES);
        // Nor is the one that is left the other.
        expect(of(meter.told([client("@", 9, 9)], 6_000), "@")).toEqual(NO_RATES);
        expect(of(meter.told([client("@", 12, 9)], 9_000), "@")).toEqual({ sent: 1, finished: 0 });
    });

    it("do not leap when one asks again at once, and bridge a pause", () => {
        const meter = new Meter();
        meter.told([client("a", 0, 0)], 0);
        const before = meter.told([client("a", 30, 30)], 3_000);
        expect(meter.told([client("a", 35, 35)], 3_020)).toBe(before);
        expect(of(meter.told([client("a", 630, 30)], 63_000), "a")).toEqual({ sent: 10, finished: 0 });
    });
});

import { describe, expect, it } from "vitest";

import { age, count, duration, nanoseconds, plural, quantile, rate, short, tick } from "./format";

describe("numbers", () => {
    it("have commas, and are short only where they are long", () => {
        expect(count(1234567)).toBe("1,234,567");
        expect(count(null)).toBe("–");
        expect(count(undefined)).toBe("–");
        expect(short(99_999_999)).toBe("99,999,999");
        expect(count(-1234)).toBe("-1,234");
        expect([0, 7, 999, 1000, 100_000, 1e6].map(count)).toEqual(["0", "7", "999", "1,000", "100,000", "1,000,000"]);
        expect(short(123_456_789)).toBe("123.5M");
        expect([999_949_999, 999_950_000, 4.2e12, -2e9].map(short)).toEqual(["999.9M", "1B", "4.2T", "-2B"]);
        expect(plural(1, "message")).toBe("1 message");
        expect(plural(1200, "message")).toBe("1,200 messages");
    });

    it("keep one decimal as rates, until it says nothing", () => {
        expect(rate(0)).toBe("0.0");
        expect(rate(12)).toBe("12.0");
        expect(rate(99.94)).toBe("99.9");
        expect(rate(99.96)).toBe("100");
        expect(rate(12345.6)).toBe("12,346");
        expect(rate(null)).toBe("–");
        expect(rate(Number.NaN)).toBe("–");
    });

    it("are ages in one unit", () => {
        expect([0, 1, 999, 1_000, 59_999, 99_999, 100_000, 5_999_999].map(age)).toEqual(["0 s", "< 1 s", "< 1 s", "1 s", "59 s", "99 s", "1 min", "99 min"]);
        expect([6_000_000, 47.9 * 3_600_000, 48 * 3_600_000, 9e10, null].map(age)).toEqual(["1 h", "47 h", "2 d", "1,041 d", "–"]);
    });

    it("fit on an axis", () => {
        expect([0.25, 5, 9999, 12_000, 3_400_000].map(tick)).toEqual(["0.25", "5", "9999", "12K", "3.4M"]);
    });
});

describe("times", () => {
    it("are told in the unit that fits", () => {
        expect(duration(0.25)).toBe("250 µs");
        expect(duration(350)).toBe("350 ms");
        expect(duration(4_200)).toBe("4.2 s");
        expect(duration(42_400)).toBe("42 s");
        expect(duration(200_000)).toBe("3 min 20 s");
        expect(duration(7_500_000)).toBe("2 h 5 min");
        expect(duration(76 * 3_600_000)).toBe("3 d 4 h");
    });

    it("are not zero where they are whole minutes or hours", () => {
        expect(duration(60_000)).toBe("1 min");
        expect(duration(59_990)).toBe("1 min");
        expect(nanoseconds(3_600_000_000_000)).toBe("1 h");
    });
});

it("percentiles have their ordinals", () => {
    expect([0.99, 0.95, 0.5, 0.999, 0.01, 0.02, 0.03, 0.11, 1].map(quantile)).toEqual([
        "99th", "95th", "50th", "99.9th", "1st", "2nd", "3rd", "11th", "max",
    ]);
});

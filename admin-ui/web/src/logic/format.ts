// Numbers as people read them. Widths stay alike from one second to the next, so that a live table does not twitch.
// Written by hand: the first `Intl.NumberFormat` of a page takes longer than all of its table.

/** What stands where a number is not known. */
export const UNKNOWN = "–";

/** Counts above this are shortened in tables. */
const WHOLE_MAX = 99_999_999;

/** `12,345`. */
export function count(value: number | null | undefined): string {
    return value == null || !Number.isFinite(value) ? UNKNOWN : grouped(value);
}

/** The same, shortened where it is too long for a column: `123.5M`. */
export function short(value: number | null | undefined): string {
    return value != null && Math.abs(value) > WHOLE_MAX ? compact(value) : count(value);
}

/** A rate a second: one decimal as long as that says something. */
export function rate(value: number | null | undefined): string {
    if (value == null || !Number.isFinite(value)) return UNKNOWN;
    return Math.abs(value) < 99.95 ? value.toFixed(1) : short(Math.round(value));
}

/** A number on an axis, as short as can be. */
export function tick(value: number): string {
    return Math.abs(value) >= 10_000 ? compact(value) : String(Math.round(value * 1000) / 1000);
}

/** `1 message`, `2 messages`. */
export function plural(value: number, one: string, many = `${one}s`): string {
    return `${count(value)} ${value === 1 ? one : many}`;
}

/** Milliseconds as `350 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(milliseconds: number): string {
    if (!Number.isFinite(milliseconds)) return UNKNOWN;
    if (milliseconds < 1) return `${Math.round(milliseconds * 1000)} µs`;
    if (milliseconds < 1000) return `${trim(milliseconds)} ms`;
    const seconds = milliseconds / 1000;
    if (seconds < 59.95) return `${trim(seconds)} s`;
    const whole = Math.round(seconds);
    if (whole < 3600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
    const minutes = Math.floor(whole / 60);
    if (minutes < 24 * 60) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
    const hours = Math.floor(minutes / 60);
    return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** How long the oldest message has waited, in one unit, for the narrow column of a live table: `99 s`, `99 min`, `47 h`, `3 d`. */
export function age(milliseconds: number | null): string {
    if (milliseconds === null) return UNKNOWN;
    // Below a second it is another message each time one looks.
    if (milliseconds > 0 && milliseconds < 1000) return "< 1 s";
    const seconds = milliseconds / 1000;
    if (seconds < 100) return `${Math.floor(seconds)} s`;
    if (seconds < 6_000) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
    return `${count(Math.floor(seconds / 86_400))} d`;
}

/** Nanoseconds, as the API has them. */
export function nanoseconds(value: number): string {
    return duration(value / 1e6);
}

/** `0.99` as `99th`, `0.999` as `99.9th`, `0.5` as `50th`, `1` as `max`. */
export function quantile(share: number): string {
    if (share >= 1) return "max";
    const percent = Math.round(share * 100_000) / 1000;
    return `${percent}${Number.isInteger(percent) ? ordinal(percent) : "th"}`;
}

/** The time of day, in the viewer's zone. */
export function clock(unixMilliseconds: number): string {
    return new Date(unixMilliseconds).toLocaleTimeString("en-GB");
}

function grouped(value: number): string {
    return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** With at most one decimal, and the letter of the greatest unit that leaves a number below 1,000. */
function compact(value: number): string {
    let scaled = value;
    for (const unit of ["", "K", "M", "B"]) {
        const text = Math.round(scaled * 10) / 10;
        if (Math.abs(text) < 1000) return `${text}${unit}`;
        scaled /= 1000;
    }
    return `${Math.round(scaled * 10) / 10}T`;
}

function ordinal(value: number): string {
    const teens = value % 100 >= 11 && value % 100 <= 13;
    return teens ? "th" : (["th", "st", "nd", "rd"][value % 10] ?? "th");
}

function trim(value: number): string {
    return String(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
    return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

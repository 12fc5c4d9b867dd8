// Where one is, as the address bar has it: every link holds the whole state of what it leads to.

import { COLUMNS, TROUBLE_FIRST, type Column, type Order } from "./rows";

export type Place =
    | { page: "overview" }
    | { page: "topic"; topic: string }
    | { page: "channel"; topic: string; channel: string }
    | { page: "nodes" }
    | { page: "node"; node: string }
    | { page: "lookup" }
    | { page: "counter" }
    | { page: "unknown" };

export const RANGES = ["5m", "1h", "24h"] as const;
export type Range = (typeof RANGES)[number];

/** What is chosen on a page. */
export interface View {
    /** The text of the filter. */
    filter: string;
    /** Empty for all rows, `any` for those in trouble, or the code of a trouble. */
    only: string;
    order: Order;
    /** How far back the charts go. */
    range: Range;
}

export const DEFAULT_VIEW: View = { filter: "", only: "", order: TROUBLE_FIRST, range: "5m" };

/** Reads a path below the base, without its first slash. */
export function place(path: string): Place {
    const parts = path.split("/").map(decoded);
    if (parts.at(-1) === "") parts.pop();
    const [first, second, third] = parts;
    if (parts.some((part) => part === null) || parts.length > 3) return { page: "unknown" };
    if (parts.length === 0) return { page: "overview" };
    if (first === "topics") {
        if (second == null) return { page: "overview" };
        return third == null ? { page: "topic", topic: second } : { page: "channel", topic: second, channel: third };
    }
    if (first === "nodes" && parts.length < 3) {
        return second == null ? { page: "nodes" } : { page: "node", node: second };
    }
    if ((first === "lookup" || first === "counter") && parts.length === 1) return { page: first };
    return { page: "unknown" };
}

/**
 * Names as the end of a path. `null` if no address can have it: a browser takes `.` and `..` for steps on the way, however
 * they are written, and would go to, or delete, something else.
 */
export function elements(...names: string[]): string | null {
    return names.some((name) => name === "." || name === "..") ? null : names.map(encodeURIComponent).join("/");
}

/** The path of a place, below the base; `null` if no address leads there. */
export function path(place: Place): string | null {
    switch (place.page) {
        case "topic":
            return below("topics", elements(place.topic));
        case "channel":
            return below("topics", elements(place.topic, place.channel));
        case "node":
            return below("nodes", elements(place.node));
        case "nodes":
        case "lookup":
        case "counter":
            return place.page;
        default:
            return "";
    }
}

/** Reads the query; what is not understood is as if it were not there. */
export function view(query: string): View {
    const given = new URLSearchParams(query);
    const sort = given.get("sort") ?? "";
    const column = COLUMNS.find((column) => column === sort.replace(/^-/, ""));
    return {
        filter: given.get("filter") ?? "",
        only: given.get("only") ?? "",
        order: column === undefined ? TROUBLE_FIRST : { column, descending: sort.startsWith("-") },
        range: RANGES.find((range) => range === given.get("range")) ?? DEFAULT_VIEW.range,
    };
}

/** The query of a view, with its `?`; empty for the default one. */
export function query(view: View): string {
    const wanted = new URLSearchParams();
    if (view.filter !== "") wanted.set("filter", view.filter);
    if (view.only !== "") wanted.set("only", view.only);
    const sort = (view.order.descending ? "-" : "") + (view.order.column satisfies Column);
    if (sort !== TROUBLE_FIRST.column) wanted.set("sort", sort);
    if (view.range !== DEFAULT_VIEW.range) wanted.set("range", view.range);
    const text = wanted.toString();
    return text === "" ? "" : `?${text}`;
}

function below(kind: string, names: string | null): string | null {
    return names === null ? null : `${kind}/${names}`;
}

function decoded(part: string): string | null {
    try {
        return decodeURIComponent(part);
    } catch {
        return null;
    }
}

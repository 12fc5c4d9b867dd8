// Requests to nsqadmin, and what its errors mean in words.

import { elements } from "./address";
import type { Told } from "./types";

/** How long an answer may take: longer than nsqadmin waits for a node. */
const WAIT_MS_MAX = 30_000;

export class ApiError extends Error {
    constructor(
        readonly status: number,
        readonly code: string,
    ) {
        super(words(status, code));
    }
}

/** What is to be said of a failure, whatever it is. */
export function reason(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}

export type Method = "GET" | "POST" | "DELETE";

/** Asks for `path`, which is relative to the base. */
export async function ask<T>(path: string, method: Method = "GET", body?: unknown): Promise<T> {
    const request: RequestInit = {
        method,
        signal: AbortSignal.timeout(WAIT_MS_MAX),
        // Whoever watches asks again and again: the server's log has that at the level debug.
        headers: { Accept: "application/json", "X-Nsq-Watcher": "1" },
        // What answers from elsewhere is about something else.
        redirect: "error",
    };
    if (body !== undefined) {
        request.headers = { ...request.headers, "Content-Type": "application/json" };
        request.body = JSON.stringify(body);
    }
    let response: Response;
    try {
        response = await fetch(new URL(path, document.baseURI), request);
    } catch {
        throw new ApiError(0, "");
    }
    const answer = (await response.json().catch(() => null)) as Told<T> | null;
    if (!response.ok) throw new ApiError(response.status, answer?.message ?? "");
    if (answer === null) throw new ApiError(response.status, "NO_JSON");
    return answer;
}

export function topicPath(topic: string, channel?: string): string {
    return channel === undefined ? below("topics", topic) : below("topics", topic, channel);
}

export function messagesPath(topic: string): string {
    return below("messages", topic);
}

export function nodePath(node: string): string {
    return below("nodes", node);
}

function below(kind: string, ...names: string[]): string {
    const path = elements(...names);
    if (path === null) throw new ApiError(0, "NO_ADDRESS");
    return `api/${kind}/${path}`;
}

const WORDS: Record<string, string> = {
    TOPIC_NOT_FOUND: "There is no topic of that name.",
    CHANNEL_NOT_FOUND: "There is no channel of that name.",
    NODE_NOT_FOUND: "There is no node of that name.",
    NOT_FOUND: "There is no such page.",
    LOGIN_REQUIRED: "Log in first.",
    FORBIDDEN: "You may not do that.",
    ORIGIN_NOT_ALLOWED:
        "nsqadmin takes no changes from a page under this name. Start it with --allowed-origin, or open it by its IP address.",
    WRONG_LOGIN: "The name or the password is wrong.",
    TOO_MANY_LOGINS: "Too many wrong passwords. Wait a minute.",
    INVALID_TOPIC: "That is no name for a topic: 1 to 64 of the characters a-z A-Z 0-9 . _ -, and #ephemeral after them if it is to go with its last channel.",
    INVALID_CHANNEL: "That is no name for a channel: 1 to 64 of the characters a-z A-Z 0-9 . _ -, and #ephemeral after them if it is to go with its last client.",
    INVALID_COUNT: "Those are too many messages at once: at most 10,000, or 100 that are deferred, and 5 MiB together.",
    SAMPLING_OFF: "nsqadmin does not sample the nodes (--sample-interval is 0).",
    TOO_MANY_VIEWERS: "Too many others are watching.",
    NO_ADDRESS: "No browser can ask for something whose name is . or .., for they mean something else in an address. Ask nsqd itself.",
    NO_JSON: "What answered is not nsqadmin.",
};

/** Nobody could be asked, and why. */
const NOBODY = /^UPSTREAM_ERROR: failed to query any (\w+): (.*)$/s;

function words(status: number, code: string): string {
    const nobody = NOBODY.exec(code);
    if (nobody !== null) return nobodyAnswered(nobody[1] ?? "", nobody[2] ?? "");
    if (Object.hasOwn(WORDS, code)) return WORDS[code] ?? code;
    if (status === 0) return "nsqadmin does not answer.";
    return code === "" ? `nsqadmin answered with status ${status}.` : code;
}

/** `No nsqlookupd answers: a:4161 (connection refused), b:4161 (connection refused).` Each failure has a line, and names the service. */
function nobodyAnswered(service: string, failures: string): string {
    const all = failures.split("\n").filter(Boolean).map((failure) => failure.replace(/^\S+ (\S+): (.*)$/, "$1 ($2)"));
    return `No ${service} answers${all.length === 0 ? "" : `: ${all.join(", ")}`}.`;
}

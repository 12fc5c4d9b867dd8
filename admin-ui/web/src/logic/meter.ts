// How fast each consumer works: what its counters did over the last answers. Not reactive; times come in as milliseconds.

import type { Client } from "./types";

/** Over how long the rates are taken, as those of channels are. */
const WINDOW_MS = 10_000;

/** Two answers must be this far apart to say anything: what is asked again at once, after an action, is not. */
const APART_MS_MIN = 1_000;

/** Messages a second; `null` while they are not known. */
export interface ClientRates {
    sent: number | null;
    finished: number | null;
}

export const NO_RATES: ClientRates = { sent: null, finished: null };

interface Sample {
    at: number;
    /** `null` for a name that several have: nobody can tell which of them is which. */
    counts: Map<string, Client | null>;
}

/** A connection, and no later one that was given the same port. Those over a Unix socket are all called alike. */
export function connection(client: Client): string {
    return `${client.node} ${client.remote_address} ${client.connect_ts}`;
}

export class Meter {
    private samples: Sample[] = [];
    private rates = new Map<string, ClientRates>();

    /** The rates of those who are connected now, by `connection`. */
    told(clients: readonly Client[], now_ms: number): Map<string, ClientRates> {
        const last = this.samples.at(-1);
        if (last !== undefined && now_ms - last.at < APART_MS_MIN) return this.rates;
        // One older than that is kept: a page that was in the background has no other.
        while (this.samples.length > 1 && now_ms - (this.samples[0]?.at ?? 0) > WINDOW_MS + APART_MS_MIN) this.samples.shift();
        const counts = new Map<string, Client | null>();
        for (const client of clients) counts.set(connection(client), counts.has(connection(client)) ? null : client);
        this.rates = new Map([...counts].map(([name, client]) => [name, client === null ? NO_RATES : this.since(client, now_ms)]));
        this.samples.push({ at: now_ms, counts });
        return this.rates;
    }

    private since(client: Client, now_ms: number): ClientRates {
        for (const { at, counts } of this.samples) {
            const before = counts.get(connection(client));
            if (before == null) continue;
            const rate = (was: number, is: number) => (is < was ? null : ((is - was) * 1000) / (now_ms - at));
            return {
                sent: rate(before.message_count, client.message_count),
                finished: rate(before.finish_count, client.finish_count),
            };
        }
        return NO_RATES;
    }
}

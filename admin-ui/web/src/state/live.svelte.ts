// The overview as it is now, for all pages: one stream, as long as somebody is logged in.

import { ask } from "../logic/api";
import { empty, replaced, SPARK_POINTS, updated, type Picture } from "../logic/picture";
import { Stream } from "../logic/stream";
import { isLoud } from "../logic/trouble";
import type { Overview, Told, Update } from "../logic/types";
import { visitor } from "./session.svelte";

/** So many samples may fail to come before the connection counts as dead. */
const SAMPLES_MISSED_MAX = 5;
const SILENCE_MS_MIN = 10_000;

class Live {
    picture: Picture = $state.raw(empty());
    /** Whether what is shown may be old. */
    isLost = $state(false);
    private stream: Stream | null = null;

    /** Whether the server samples at all. */
    get isOn(): boolean {
        return visitor.settings.sample_interval_ms > 0;
    }

    /** Whether there is something to show yet. */
    get isKnown(): boolean {
        return this.picture.at > 0;
    }

    /** How many rows somebody should look at. */
    readonly loud: number = $derived(this.picture.rows.filter(isLoud).length);

    start(): void {
        if (!this.isOn || this.stream !== null) return;
        const silence = Math.max(SILENCE_MS_MIN, SAMPLES_MISSED_MAX * visitor.settings.sample_interval_ms);
        const open = () => new EventSource(new URL(`api/live?spark=${SPARK_POINTS}`, document.baseURI));
        const stream = new Stream(open, { event: this.event, lost: this.lost }, silence);
        this.stream = stream;
        stream.start();
        // The stream begins only when the page is made; the server's index has the browser ask this at once, beside the scripts.
        ask<Told<Overview>>("api/overview").then(
            (overview) => {
                if (this.stream === stream && !this.isKnown) this.picture = replaced(overview);
            },
            // The stream says it, too, and goes on trying.
            () => {},
        );
    }

    stop(): void {
        this.stream?.stop();
        this.stream = null;
    }

    private readonly event = (name: string, body: unknown) => {
        this.isLost = false;
        this.picture =
            name === "overview" ? replaced(body as Told<Overview>) : updated(this.picture, body as Told<Update>);
    };

    private readonly lost = () => {
        // It may be that the session ended.
        if (!this.isLost && visitor.settings.has_login) void visitor.load();
        this.isLost = true;
    };
}

export const live = new Live();

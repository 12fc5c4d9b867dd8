// The overview as it is now, for all pages: one stream, as long as somebody is logged in and looks.

import { ApiError, ask } from "../logic/api";
import { empty, replaced, updated, type Picture } from "../logic/picture";
import { Stream } from "../logic/stream";
import { verdict, type Verdict } from "../logic/trouble";
import type { Overview, Told, Update, Warning } from "../logic/types";
import { visitor } from "./session.svelte";

/** So many samples may fail to come before the connection counts as dead. */
const SAMPLES_MISSED_MAX = 5;
const SILENCE_MS_MIN = 10_000;

/** How long a page is in the background before its stream is closed, and how often it looks from then on. */
const HIDDEN_AFTER_MS = 5_000;
const HIDDEN_WAIT_MS = 15_000;

class Live {
    picture: Picture = $state.raw(empty());
    /** Whether what is shown may be old. */
    isLost = $state(false);
    private isRunning = false;
    /** `null` while the page is not seen. */
    private stream: Stream | null = null;
    private timer: ReturnType<typeof setTimeout> | undefined;

    /** Whether the server samples at all. */
    get isOn(): boolean {
        return visitor.settings.sample_interval_ms > 0;
    }

    /** Whether there is something to show yet. */
    get isKnown(): boolean {
        return this.picture.at > 0;
    }

    /** The nsqlookupds that do not answer, and why. */
    readonly deaf: Warning[] = $derived(this.picture.warnings.filter(({ service }) => service === "nsqlookupd"));

    /** Whether anything is wrong; `null` as long as that is not known. */
    readonly verdict: Verdict | null = $derived.by(() => {
        const lookups = { all: Math.max(visitor.settings.nsqlookupd.length, this.deaf.length), silent: this.deaf.length };
        return this.isKnown ? verdict(this.picture.totals, this.picture.rows, this.picture.nodes, lookups) : null;
    });

    start(): void {
        if (!this.isOn || this.isRunning) return;
        this.isRunning = true;
        document.addEventListener("visibilitychange", this.turned);
        this.turned();
        // The stream begins only when the page is made; the server's index has the browser ask this at once, beside the scripts.
        void this.look();
    }

    stop(): void {
        this.isRunning = false;
        document.removeEventListener("visibilitychange", this.turned);
        clearTimeout(this.timer);
        this.close();
    }

    /** Between a page that is seen and one in the background, which keeps no connection: a browser has six for all its tabs. */
    private readonly turned = (): void => {
        clearTimeout(this.timer);
        if (document.hidden) this.timer = setTimeout(this.poll, HIDDEN_AFTER_MS);
        else this.open();
    };

    /** In the background: what the title says is to be true all the same. */
    private readonly poll = async (): Promise<void> => {
        this.close();
        await this.look();
        clearTimeout(this.timer);
        if (this.isRunning && document.hidden) this.timer = setTimeout(this.poll, HIDDEN_WAIT_MS);
    };

    private async look(): Promise<void> {
        try {
            const overview = await ask<Told<Overview>>("api/overview");
            // What the stream told is newer.
            if (!this.isRunning || (this.stream !== null && this.isKnown)) return;
            this.picture = replaced(overview);
            this.isLost = false;
        } catch (error) {
            // The stream says it by itself.
            if (this.isRunning && this.stream === null) this.lost(error instanceof ApiError && error.status === 401);
        }
    }

    private open(): void {
        if (this.stream !== null) return;
        const silence = Math.max(SILENCE_MS_MIN, SAMPLES_MISSED_MAX * visitor.settings.sample_interval_ms);
        const source = () => new EventSource(new URL("api/live", document.baseURI));
        this.stream = new Stream(source, { event: this.event, lost: this.lost }, silence);
        this.stream.start();
    }

    private close(): void {
        this.stream?.stop();
        this.stream = null;
    }

    private readonly event = (name: string, body: unknown) => {
        this.isLost = false;
        this.picture =
            name === "overview" ? replaced(body as Told<Overview>) : updated(this.picture, body as Told<Update>);
    };

    private readonly lost = (isRefused: boolean) => {
        // It may be that the session ended.
        if (isRefused && visitor.settings.has_login) void visitor.load();
        this.isLost = true;
    };
}

export const live = new Live();

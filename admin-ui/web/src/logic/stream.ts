// The stream of server-sent events, kept open. EventSource connects again by itself after a broken connection, but not after
// an answer that is an error, and not when a connection has silently died: this does.

export interface Source {
    addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
    close(): void;
    onerror: ((event: Event) => void) | null;
    readonly readyState: number;
}

export interface Listener {
    /** An event came, with its JSON. */
    event(name: string, body: unknown): void;
    /** The connection broke, was refused, or said nothing for too long. It is being tried again. */
    lost(isRefused: boolean): void;
}

/** The waits between attempts. */
const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];

/** How long the first event may take, which is the largest, and comes as a whole. */
const FIRST_MS_MAX = 60_000;

/** A connection that lasts so long has succeeded: what breaks sooner is tried again less and less often. */
const LASTS_MS = 15_000;

/** EventSource.CLOSED: it has given up. */
const CLOSED = 2;

const EVENTS = ["overview", "update"];

export class Stream {
    private source: Source | null = null;
    private attempts = 0;
    private startedAt = 0;
    private timer: ReturnType<typeof setTimeout> | undefined;
    private watchdog: ReturnType<typeof setTimeout> | undefined;

    /** `silence_ms_max` without an event after the first counts as lost. */
    constructor(
        private readonly open: () => Source,
        private readonly listener: Listener,
        private readonly silence_ms_max: number,
    ) {}

    start(): void {
        this.stop();
        const source = this.open();
        this.source = source;
        this.startedAt = Date.now();
        this.watch(Math.max(FIRST_MS_MAX, this.silence_ms_max));
        for (const name of EVENTS) {
            source.addEventListener(name, ({ data }) => this.heard(name, data));
        }
        source.onerror = () => {
            const isRefused = source.readyState === CLOSED;
            this.listener.lost(isRefused);
            if (isRefused) this.retry();
        };
    }

    stop(): void {
        clearTimeout(this.timer);
        clearTimeout(this.watchdog);
        this.source?.close();
        this.source = null;
    }

    private heard(name: string, data: string): void {
        let body: unknown;
        try {
            body = JSON.parse(data);
        } catch {
            // Half an event is as good as none.
            this.listener.lost(false);
            this.retry();
            return;
        }
        if (Date.now() - this.startedAt > LASTS_MS) this.attempts = 0;
        this.watch(this.silence_ms_max);
        this.listener.event(name, body);
    }

    private watch(wait_ms: number): void {
        clearTimeout(this.watchdog);
        this.watchdog = setTimeout(() => {
            this.listener.lost(false);
            this.retry();
        }, wait_ms);
    }

    private retry(): void {
        this.stop();
        const wait = WAITS_MS[Math.min(this.attempts, WAITS_MS.length - 1)];
        this.attempts += 1;
        this.timer = setTimeout(() => this.start(), wait);
    }
}

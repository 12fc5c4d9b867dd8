import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Stream, type Source } from "./stream";

class FakeSource implements Source {
    onerror: ((event: Event) => void) | null = null;
    readyState = 1;
    isClosed = false;
    private listeners = new Map<string, (event: MessageEvent<string>) => void>();

    addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void {
        this.listeners.set(type, listener);
    }

    close(): void {
        this.isClosed = true;
    }

    say(type: string, data: string): void {
        this.listeners.get(type)?.({ data } as MessageEvent<string>);
    }

    fail(readyState: number): void {
        this.readyState = readyState;
        this.onerror?.({} as Event);
    }
}

const SILENCE_MS = 10_000;

describe("the stream", () => {
    let sources: FakeSource[];
    let heard: [string, unknown][];
    let losses: number;
    let stream: Stream;
    const latest = () => sources.at(-1) as FakeSource;

    beforeEach(() => {
        vi.useFakeTimers();
        sources = [];
        heard = [];
        losses = 0;
        const open = () => {
            sources.push(new FakeSource());
            return latest();
        };
        stream = new Stream(open, { event: (name, body) => heard.push([name, body]), lost: () => (losses += 1) }, SILENCE_MS);
        stream.start();
    });

    afterEach(() => {
        stream.stop();
        vi.useRealTimers();
    });

    it("passes events on", () => {
        latest().say("overview", '{"at":1}');
        latest().say("update", '{"at":2}');
        expect(heard).toEqual([["overview", { at: 1 }], ["update", { at: 2 }]]);
        expect(losses).toBe(0);
    });

    it("leaves a broken connection to the browser, and says that it is lost", () => {
        latest().fail(0);
        expect(losses).toBe(1);
        vi.advanceTimersByTime(SILENCE_MS - 1);
        expect(sources).toHaveLength(1);
    });

    it("connects again where the browser has given up, ever more slowly", () => {
        const waits = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000];
        for (const [index, wait] of waits.entries()) {
            latest().fail(2);
            vi.advanceTimersByTime(wait - 1);
            expect(sources).toHaveLength(index + 1);
            vi.advanceTimersByTime(1);
            expect(sources).toHaveLength(index + 2);
        }
        // Not what breaks right after its first event, but what has lasted, begins anew.
        latest().say("overview", "{}");
        latest().fail(2);
        vi.advanceTimersByTime(14_999);
        expect(sources).toHaveLength(waits.length + 1);
        vi.advanceTimersByTime(1);
        latest().say("overview", "{}");
        vi.advanceTimersByTime(SILENCE_MS - 1);
        latest().say("update", "{}");
        vi.advanceTimersByTime(SILENCE_MS - 1);
        latest().say("update", "{}");
        latest().fail(2);
        vi.advanceTimersByTime(500);
        expect(sources).toHaveLength(waits.length + 3);
    });

    it("waits longer for the first event, which is large", () => {
        vi.advanceTimersByTime(59_999);
        expect(losses).toBe(0);
        vi.advanceTimersByTime(1);
        expect(losses).toBe(1);
    });

    it("gives up a connection that says nothing", () => {
        latest().say("overview", "{}");
        vi.advanceTimersByTime(SILENCE_MS);
        expect(losses).toBe(1);
        expect(latest().isClosed).toBe(true);
        vi.advanceTimersByTime(500);
        expect(sources).toHaveLength(2);
        latest().say("overview", '{"at":9}');
        expect(heard.at(-1)).toEqual(["overview", { at: 9 }]);
    });

    it("begins anew after half an event", () => {
        latest().say("update", '{"at":');
        expect(losses).toBe(1);
        vi.advanceTimersByTime(500);
        expect(sources).toHaveLength(2);
    });

    it("stays quiet once it was stopped", () => {
        latest().fail(2);
        stream.stop();
        vi.advanceTimersByTime(60_000);
        expect(sources).toHaveLength(1);
    });
});

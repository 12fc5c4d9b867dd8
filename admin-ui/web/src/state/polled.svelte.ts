// A body that is asked for again and again, as long as somebody looks at it.

import { ask, reason } from "../logic/api";
import type { Told } from "../logic/types";
import { visitor } from "./session.svelte";

/** Between two requests to the nodes. */
export const POLL_MS = 3_000;

export class Polled<T> {
    body: Told<T> | null = $state.raw(null);
    /** Why the last request failed; what came before it is still there. */
    failure = $state("");
    private timer: ReturnType<typeof setTimeout> | undefined;
    private isOver = false;
    /** How often it was asked: what comes after a later question is of before it. */
    private asked = 0;

    /** Made within an effect or a component, which `stop` is to be called at the end of. */
    constructor(
        private readonly path: string,
        private readonly wait_ms: number = POLL_MS,
    ) {
        void this.load();
    }

    /** Asks now, and then goes on. */
    readonly load = async (): Promise<void> => {
        clearTimeout(this.timer);
        this.asked += 1;
        const number = this.asked;
        // Nobody sees a page in the background; asking the nodes for it is a waste.
        if (!document.hidden || this.body === null) {
            try {
                const body = await ask<Told<T>>(this.path);
                if (this.isOver || number !== this.asked) return;
                this.body = body;
                this.failure = "";
            } catch (error) {
                if (this.isOver || number !== this.asked) return;
                this.failure = reason(error);
                visitor.noticed(error);
            }
        }
        clearTimeout(this.timer);
        if (!this.isOver) this.timer = setTimeout(this.load, this.wait_ms);
    };

    readonly stop = (): void => {
        this.isOver = true;
        clearTimeout(this.timer);
    };
}

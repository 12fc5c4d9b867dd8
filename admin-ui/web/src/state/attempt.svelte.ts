// Something that the viewer wants to be done: whether it is under way, and why it failed.

import { reason } from "../logic/api";
import { visitor } from "./session.svelte";

export class Attempt {
    isBusy = $state(false);
    /** Why the last one failed; empty when it did not. */
    failure = $state("");

    /** Does the work, and says whether that went well. What is under way is not begun again. */
    async make(work: () => Promise<void>): Promise<boolean> {
        if (this.isBusy) return false;
        this.isBusy = true;
        this.failure = "";
        try {
            await work();
        } catch (error) {
            this.failure = reason(error);
            visitor.noticed(error);
        } finally {
            this.isBusy = false;
        }
        return this.failure === "";
    }
}

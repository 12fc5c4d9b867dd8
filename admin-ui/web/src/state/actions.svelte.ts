// What the viewer wants done: asked again where it matters, then told node by node.

import { ask, nodePath, topicPath, type Method } from "../logic/api";
import type { Done } from "../logic/types";

export interface Wish {
    /** `Empty channel`: the heading, and the button. */
    title: string;
    /** What will happen, a sentence each, with the numbers of now. */
    consequences: () => string[];
    /** What must be typed; empty where one click is enough. */
    name: string;
    isDangerous: boolean;
    request: { method: Method; path: string; body?: unknown };
    /** Called when it was done, whatever single nodes said. */
    done?: () => void;
}

/** Which dialog is open. */
type Open =
    | { dialog: "none" }
    | { dialog: "wish"; wish: Wish }
    | { dialog: "publish"; topic: string; nodes: string[] }
    | { dialog: "create"; topic: string; done?: () => void }
    | { dialog: "help" };

class Dialogs {
    open: Open = $state.raw({ dialog: "none" });

    show(open: Open): void {
        this.open = open;
    }

    close(): void {
        this.open = { dialog: "none" };
    }
}

export const dialogs = new Dialogs();

export function carryOut(wish: Wish): Promise<Done & { message: string }> {
    return ask(wish.request.path, wish.request.method, wish.request.body);
}

export type Change = "pause" | "unpause" | "empty";

export function change(action: Change, topic: string, channel?: string): Wish["request"] {
    return { method: "POST", path: topicPath(topic, channel), body: { action } };
}

export function removal(topic: string, channel?: string): Wish["request"] {
    return { method: "DELETE", path: topicPath(topic, channel) };
}

export function tombstone(node: string, topic: string): Wish["request"] {
    return { method: "DELETE", path: nodePath(node), body: { topic } };
}

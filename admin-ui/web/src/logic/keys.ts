// Keys that do something, alone or one after another.

/** The second key of a pair must follow within this. */
const PAIR_MS_MAX = 1_500;

export class Keys {
    private first = "";
    private firstAt = 0;

    /** `"?"` is a key, `"g t"` a pair. */
    constructor(private readonly actions: Record<string, () => void>) {}

    /** Whether that key did something, or may with the next. */
    pressed(key: string, now_ms: number): boolean {
        const pair = `${this.first} ${key}`;
        const isPair = this.first !== "" && now_ms - this.firstAt <= PAIR_MS_MAX && Object.hasOwn(this.actions, pair);
        this.first = "";
        if (isPair) {
            this.actions[pair]?.();
            return true;
        }
        if (Object.hasOwn(this.actions, key)) {
            this.actions[key]?.();
            return true;
        }
        if (Object.keys(this.actions).some((name) => name.startsWith(`${key} `))) {
            this.first = key;
            this.firstAt = now_ms;
        }
        return false;
    }
}

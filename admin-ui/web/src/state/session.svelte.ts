// Who looks, and what the server told about itself.

import { ApiError, ask, reason } from "../logic/api";
import { may } from "../logic/role";
import type { Session, Settings } from "../logic/types";

const UNTOLD: Settings = {
    version: "",
    base_path: "/",
    graph_enabled: false,
    graphite_url: "",
    statsd_interval: 60,
    statsd_counter_format: "",
    statsd_gauge_format: "",
    statsd_prefix: "",
    nsqlookupd: [],
    has_login: false,
    sample_interval_ms: 1000,
};

class Visitor {
    /** One who must log in was told only what that takes, and is told the rest then. */
    settings: Settings = $state.raw(settings());
    /** `null` until the server has said. */
    session: Session | null = $state.raw(null);
    failure = $state("");

    /** Whether there is something to see. Where nobody logs in that need not be asked first. */
    get isInside(): boolean {
        return this.session === null ? !this.settings.has_login : !this.mustLogIn;
    }

    get mustLogIn(): boolean {
        return this.session?.role === "none";
    }

    /**
     * Whether the settings may be those that one gets who must log in. By a link from another site a browser comes without
     * its cookie: the index is made for a stranger, and all that is asked from it is answered to somebody who is inside.
     */
    private get isToldAsStranger(): boolean {
        return this.settings.has_login && this.settings.sample_interval_ms === 0;
    }

    get isOperator(): boolean {
        return may(this.session?.role ?? "none", "operator");
    }

    get isAdmin(): boolean {
        return may(this.session?.role ?? "none", "admin");
    }

    async load(): Promise<void> {
        try {
            const session = await ask<Session>("api/session");
            if (session.role !== "none" && this.isToldAsStranger) this.settings = await asked();
            this.session = session;
            this.failure = "";
        } catch (error) {
            // Whoever was told once who he is sees what there is on; that it is old is said by those who know.
            if (this.session === null) this.failure = reason(error);
        }
    }

    async logIn(user: string, password: string): Promise<void> {
        const session = await ask<Session>("api/session", "POST", { user, password });
        this.settings = await asked();
        this.session = session;
    }

    async logOut(): Promise<void> {
        await ask("api/session", "DELETE");
        await this.load();
    }

    /** What failed may have failed because the session ended. Nobody has one while logging in. */
    noticed(error: unknown): void {
        if (error instanceof ApiError && error.status === 401 && !this.mustLogIn) void this.load();
    }
}

async function asked(): Promise<Settings> {
    return { ...UNTOLD, ...(await ask<Settings>("api/settings")) };
}

function settings(): Settings {
    const told = document.querySelector<HTMLMetaElement>('meta[name="nsqadmin"]')?.content ?? "{}";
    try {
        return { ...UNTOLD, ...(JSON.parse(told) as Partial<Settings>) };
    } catch {
        return UNTOLD;
    }
}

export const visitor = new Visitor();

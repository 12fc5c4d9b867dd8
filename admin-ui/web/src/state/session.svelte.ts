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

    get isOperator(): boolean {
        return may(this.session?.role ?? "none", "operator");
    }

    get isAdmin(): boolean {
        return may(this.session?.role ?? "none", "admin");
    }

    async load(): Promise<void> {
        try {
            const session = await ask<Session>("api/session");
            // By a link from another site a browser comes without its cookie: the index is made for a stranger, and all that is
            // asked from it is answered to somebody who is inside.
            if (session.role !== "none" && isForStrangers(this.settings)) this.settings = await asked();
            this.session = session;
            this.failure = "";
        } catch (error) {
            // Whoever was told once who he is sees what there is on; that it is old is said by those who know.
            if (this.session === null) this.failure = reason(error);
        }
    }

    /** Asks what the server tells about itself once more: `/config` changes who the nsqlookupds are. */
    async refresh(): Promise<void> {
        if (!this.isInside) return;
        // What failed is said by those who ask for more.
        const told = await asked().catch(() => this.settings);
        // The session ended: what the page shows is of before, and so are the settings that it was told then.
        if (isForStrangers(told) && !isForStrangers(this.settings)) return this.load();
        this.settings = told;
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

/** Whether these may be what one is told who must log in. */
function isForStrangers(settings: Settings): boolean {
    return settings.has_login && settings.sample_interval_ms === 0;
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

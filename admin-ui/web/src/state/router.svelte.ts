// The address bar as state: where one is, and what is chosen there.

import { path, place, query, view, type Place, type View } from "../logic/address";

class Router {
    place: Place = $state.raw({ page: "overview" });
    view: View = $state.raw(view(""));

    constructor() {
        this.read();
        window.addEventListener("popstate", () => this.read());
        document.addEventListener("click", (event) => this.clicked(event));
    }

    /** The address of a place, relative to the base, if it has one. The range of the charts is kept, the filter is not. */
    to(place: Place, changes: Partial<View> = {}): string | undefined {
        return address(place, { ...view(""), range: this.view.range, ...changes });
    }

    go(place: Place, changes: Partial<View> = {}): void {
        const address = this.to(place, changes);
        if (address !== undefined) this.push(new URL(address, document.baseURI));
    }

    /** Chooses something here; going back leads to the page before, not to each choice. */
    choose(changes: Partial<View>): void {
        this.view = { ...this.view, ...changes };
        history.replaceState(null, "", new URL(query(this.view) || location.pathname, location.href));
    }

    private push(url: URL): void {
        history.pushState(null, "", url);
        this.read();
        window.scrollTo(0, 0);
        document.getElementById("content")?.focus({ preventScroll: true });
    }

    private read(): void {
        const base = new URL(document.baseURI).pathname;
        const whole = location.pathname;
        // The index is also served for the base without its last slash.
        const below = whole.startsWith(base) ? whole.slice(base.length) : "";
        this.place = place(below);
        this.view = view(location.search);
    }

    private clicked(event: MouseEvent): void {
        const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
        const link = event.target instanceof Element ? event.target.closest("a") : null;
        if (!isPlain || event.defaultPrevented || link === null || link.target !== "" || link.href === "" || !("inside" in link.dataset)) return;
        event.preventDefault();
        this.push(new URL(link.href));
    }
}

function address(place: Place, view: View): string | undefined {
    const found = path(place);
    // An empty relative address would be the page itself.
    return found === null ? undefined : (found || "./") + query(view);
}

export const router = new Router();

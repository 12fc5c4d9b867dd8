// Chromium, as Debian has it, without a window.

import { chromium } from "playwright-core";

export const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** How long something that must happen may take: much, for a machine may be slow. */
export const WAIT_MS_MAX = 30_000;

export function launch() {
    // The sandbox wants what a container has not; the only pages are our own.
    return chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox", "--disable-gpu"] });
}

/** A page at that address; what it logs as an error is kept in `page.errors`. */
export async function visit(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(WAIT_MS_MAX);
    const page = await context.newPage();
    page.errors = [];
    page.on("pageerror", (error) => page.errors.push(String(error)));
    page.on("console", (message) => {
        // A page that asks for what is not there may be told so.
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) page.errors.push(message.text());
    });
    await page.goto(url);
    return page;
}

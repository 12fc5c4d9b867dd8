// The page in a browser, in front of real daemons.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import axe from "axe-core";

import { Cluster, PROGRAMS, PYTHON } from "./cluster.mjs";
import { launch, visit } from "./window.mjs";

let cluster, admin, url, browser;

before(async () => {
    browser = await launch();
    cluster = await Cluster.start(2);
    admin = await cluster.admin();
    url = `http://${admin.http}/`;
});

after(async () => {
    await browser?.close();
    await cluster?.stop();
});

function open(path = "", options = {}) {
    return visit(browser, url + path, options);
}

/** No script failed, and nothing that the policy forbids was tried. */
async function close(page) {
    assert.deepEqual(page.errors, []);
    await page.context().close();
}

/** A topic with a channel on both nodes. */
async function make(topic, channel) {
    for (const node of cluster.nsqd) {
        await cluster.post(node, `/topic/create?topic=${encodeURIComponent(topic)}`);
        await cluster.post(node, `/channel/create?topic=${encodeURIComponent(topic)}&channel=${encodeURIComponent(channel)}`);
    }
}

/** Others look for their rows in the overview, of which only what is seen is in the document. */
async function remove(topic) {
    for (const node of cluster.nsqd) await cluster.post(node, `/topic/delete?topic=${topic}`);
}

/** Publishes now and then, until it is told to stop. */
function load(topic, node) {
    let isOver = false;
    const done = (async () => {
        for (let number = 0; !isOver; number++) {
            await cluster.publish(node, topic, [`${number}`]).catch(() => {});
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    })();
    return () => {
        isOver = true;
        return done;
    };
}

const row = (page, name) => page.locator("tbody tr", { has: page.locator(`th[title="${name}"]`) });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const dialog = (page) => page.getByRole("dialog");

/** What a node says of a channel itself. */
async function channelOf(node, topic, channel) {
    const stats = await (await fetch(`http://${node.http}/stats?format=json&topic=${topic}`)).json();
    return stats.topics?.[0]?.channels.find(({ channel_name }) => channel_name === channel);
}

async function violations(page) {
    // The policy forbids scripts from elsewhere; this one comes by the debugger.
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join("\n")}`);
}

describe("the overview", () => {
    it("turns red when the consumer stops, and calm when one is back", async () => {
        await make("red", "workers");
        const consumer = cluster.consume(cluster.nsqd[0], "red", "workers");
        const page = await open();
        const stop = load("red", cluster.nsqd[0]);
        await row(page, "red/workers").locator("td.clients", { hasText: "1" }).waitFor();
        consumer.stop();
        await page.locator("tr.bad", { has: page.locator('th[title="red/workers"]') }).waitFor();
        await page.locator(".verdict.bad").waitFor();
        await page.waitForFunction(() => /^\(\d+\) Overview/.test(document.title));
        assert.match(await row(page, "red/workers").locator("td.trouble").textContent(), /waits? and no consumer is connected/);
        cluster.consume(cluster.nsqd[0], "red", "workers");
        // What the first one had is counted as timed out for a minute: that is amber.
        await page.locator("tr:not(.bad)", { has: page.locator('th[title="red/workers"]') }).waitFor();
        await stop();
        await close(page);
    });

    it("shows the prime example moving, and who is missing when its worker stops", { skip: PYTHON === undefined && "PRIMES_PYTHON names no Python with pynsq" }, async () => {
        const node = cluster.nsqd[0];
        const worker = () => cluster.primes("worker.py", `--nsqd=${node.tcp}`, `--lookupd-http-address=${cluster.lookupd.http}`, "--max-in-flight=10");
        const page = await open("?sort=name");
        const numbers = cluster.primes("publish_numbers.py", `--nsqd=${node.tcp}`, "--to=100000", "--rate=20");
        const first = worker();
        const cells = row(page, "numbers/worker_group_a");
        await cells.locator("td.clients", { hasText: "1" }).waitFor();
        await page.waitForFunction(() => {
            const cells = document.querySelector('tr:has(th[title="numbers/worker_group_a"])');
            return [...(cells?.querySelectorAll("td.rate") ?? [])].every((cell) => Number(cell.textContent) > 1);
        });
        // What it judged waits for somebody.
        await row(page, "prime").locator("td.trouble", { hasText: "the topic has no channel" }).waitFor();
        await first.stop();
        await page.locator("tr.bad", { has: page.locator('th[title="numbers/worker_group_a"]') }).waitFor();
        await cells.locator("td.trouble", { hasText: "no consumer is connected" }).waitFor();
        const second = worker();
        await page.locator("tr:not(.bad)", { has: page.locator('th[title="numbers/worker_group_a"]') }).waitFor();
        await numbers.stop();
        await second.stop();
        await close(page);
    });

    it("is asked for beside the scripts, and once", async () => {
        await make("early", "workers");
        const page = await open();
        await row(page, "early/workers").waitFor();
        const asked = [];
        page.on("request", (request) => asked.push(new URL(request.url()).pathname));
        // What the stream would bring does not come.
        await page.route("**/api/live*", (route) => route.abort());
        await page.reload();
        await row(page, "early/workers").waitFor();
        assert.equal(asked.filter((path) => path === "/api/overview").length, 1);
        await close(page);
    });

    it("is filtered and sorted, and the address says how, so that a reload shows the same", async () => {
        await make("filter-a", "one");
        await make("filter-b", "two");
        await cluster.publish(cluster.nsqd[0], "filter-b", ["1", "2", "3"]);
        const page = await open();
        await row(page, "filter-a/one").waitFor();
        await page.keyboard.press("/");
        await page.keyboard.type("FILTER");
        await page.getByText(/^2 of \d+$/).waitFor();
        await page.getByRole("columnheader", { name: "Depth" }).getByRole("button").click();
        await page.waitForFunction(() => document.querySelector("tbody th")?.title === "filter-b/two");
        assert.match(page.url(), /\?filter=FILTER&sort=-depth$/);
        await page.getByRole("columnheader", { name: "Depth" }).getByRole("button").click();
        await page.waitForFunction(() => document.querySelector("tbody th")?.title === "filter-a/one");
        await page.reload();
        await page.waitForFunction(() => document.querySelector("tbody th")?.title === "filter-a/one");
        assert.equal(await page.getByRole("searchbox").inputValue(), "FILTER");
        assert.equal(await page.locator("tbody tr").count(), 2);
        await page.getByRole("searchbox").press("Enter");
        assert.equal(await page.evaluate(() => document.activeElement?.closest("tr")?.querySelector("th")?.title), "filter-a/one");
        await page.getByLabel("Only trouble").check();
        await row(page, "filter-a/one").waitFor({ state: "detached" });
        await row(page, "filter-b/two").waitFor();
        await close(page);
    });

    it("says how old the oldest message is, and it grows older by itself", async () => {
        await make("aging", "workers");
        await cluster.publish(cluster.nsqd[0], "aging", ["1"]);
        const page = await open();
        const age = row(page, "aging/workers").locator("td.age");
        await age.filter({ hasText: /^[3-9] s$/ }).waitFor();
        const consumer = cluster.consume(cluster.nsqd[0], "aging", "workers");
        await age.filter({ hasText: /^0 s$/ }).waitFor();
        consumer.stop();
        await close(page);
    });

    it("says of what waits in a paused topic that it is the topic's own", async () => {
        await make("held-up", "workers");
        for (const node of cluster.nsqd) await cluster.post(node, "/topic/pause?topic=held-up");
        await cluster.publish(cluster.nsqd[0], "held-up", ["1", "2"]);
        const page = await open("?filter=held-up");
        await row(page, "held-up").getByText("the topic itself").waitFor();
        await row(page, "held-up/workers").waitFor();
        await close(page);
        await remove("held-up");
    });

    it("names the topics that only the nsqlookupds know", async () => {
        const page = await open();
        await button(page, "Create…").click();
        await dialog(page).getByLabel("Topic").fill("nowhere-yet");
        await dialog(page).getByRole("button", { name: "Create" }).click();
        await dialog(page).getByText("Done.", { exact: true }).waitFor();
        await button(page, "Close").click();
        await page.getByRole("searchbox").fill("nowhere");
        await page.getByText("1 topic is on no node").waitFor();
        await page.getByRole("link", { name: "1 topic", exact: true }).click();
        await page.getByRole("button", { name: "Delete nowhere-yet" }).waitFor();
        await close(page);
        await fetch(`http://${cluster.lookupd.http}/topic/delete?topic=nowhere-yet`, { method: "POST" });
    });

    it("is a list of names that can be filtered where nothing is sampled", async () => {
        for (const topic of ["unsampled-a", "unsampled-b"]) await make(topic, "workers");
        const own = await cluster.admin("--sample-interval=0");
        const page = await visit(browser, `http://${own.http}/`);
        await page.getByRole("link", { name: "unsampled-a" }).waitFor();
        await page.keyboard.press("/");
        await page.keyboard.type("unsampled-b");
        await page.getByRole("link", { name: "unsampled-a" }).waitFor({ state: "detached" });
        await page.getByRole("link", { name: "unsampled-b" }).waitFor();
        await button(page, "Create…").click();
        await dialog(page).getByLabel("Topic").fill("unsampled-bb");
        await dialog(page).getByRole("button", { name: "Create" }).click();
        await page.getByRole("link", { name: "unsampled-bb", exact: true }).waitFor();
        await close(page);
        await own.stop();
        await fetch(`http://${cluster.lookupd.http}/topic/delete?topic=unsampled-bb`, { method: "POST" });
        for (const topic of ["unsampled-a", "unsampled-b"]) await remove(topic);
    });

    it("shows names as text, whatever they are", async () => {
        await make("strange", "hash#ephemeral");
        cluster.consume(cluster.nsqd[0], "strange", "hash#ephemeral", {
            identity: { client_id: "<img src=x onerror=alert(1)>", hostname: "<b>host</b>", user_agent: "<script>alert(1)</script>" },
        });
        const page = await open();
        await row(page, "strange/hash#ephemeral").getByRole("link", { name: "hash#ephemeral" }).click();
        await page.getByText("<script>alert(1)</script>").waitFor();
        assert.match(page.url(), /topics\/strange\/hash%23ephemeral$/);
        assert.equal(await page.locator("main img, main b, main script").count(), 0);
        await close(page);
    });
});

describe("a channel", () => {
    it("has charts that move, with values under the pointer, and a range in the address", async () => {
        await make("chart", "lines");
        const stop = load("chart", cluster.nsqd[0]);
        const page = await open("topics/chart/lines");
        const now = page.locator("figure li", { hasText: "Depth" }).locator("strong");
        await now.waitFor();
        const first = await now.textContent();
        await page.waitForFunction((first) => document.querySelector("figure li strong")?.textContent !== first, first);
        await page.waitForFunction(() => document.querySelector("canvas")?.getContext("2d")?.getImageData(0, 0, 500, 150).data.some((part) => part > 0));
        const box = await page.locator(".u-over").first().boundingBox();
        await page.mouse.move(box.x + box.width - 8, box.y + 40);
        await page.locator("figcaption", { hasText: /\d\d:\d\d:\d\d/ }).first().waitFor();
        await button(page, "1 hour").click();
        assert.match(page.url(), /range=1h$/);
        await page.reload();
        await page.locator('[aria-pressed="true"]', { hasText: "1 hour" }).waitFor();
        await stop();
        await close(page);
    });

    it("says how fast each client works", async () => {
        await make("speed", "workers");
        cluster.consume(cluster.nsqd[0], "speed", "workers");
        const page = await open("topics/speed/workers");
        const rates = page.locator("td.rate");
        await rates.filter({ hasText: "–" }).first().waitFor();
        const stop = load("speed", cluster.nsqd[0]);
        await page.waitForFunction(() => {
            const [sent, finished] = [...document.querySelectorAll("td.rate")].map((cell) => Number(cell.textContent));
            return sent > 1 && finished > 1;
        });
        await stop();
        await close(page);
    });

    it("is paused and unpaused, and each node's answer is told", async () => {
        await make("pausing", "workers");
        const page = await open("topics/pausing/workers");
        await button(page, "Pause…").click();
        await dialog(page).getByText("paused on 2 nodes").waitFor();
        await dialog(page).getByRole("button", { name: "Pause channel" }).click();
        await dialog(page).getByText("Done.", { exact: true }).waitFor();
        assert.equal(await dialog(page).locator("li .badge.ok").count(), 2);
        for (const node of cluster.nsqd) assert.equal((await channelOf(node, "pausing", "workers")).paused, true);
        await button(page, "Close").click();
        await page.locator("h1 .badge", { hasText: "paused" }).waitFor();
        await button(page, "Unpause…").click();
        await dialog(page).getByRole("button", { name: "Unpause channel" }).click();
        await dialog(page).getByText("Done.", { exact: true }).waitFor();
        assert.equal((await channelOf(cluster.nsqd[0], "pausing", "workers")).paused, false);
        await close(page);
    });

    it("is emptied only when its name was typed", async () => {
        await make("emptying", "workers");
        await cluster.publish(cluster.nsqd[0], "emptying", ["1", "2", "3"]);
        const page = await open("topics/emptying/workers");
        await page.locator("dd", { hasText: /^3$/ }).waitFor();
        await button(page, "Empty…").click();
        await dialog(page).getByText("3 waiting, 0 in flight").waitFor();
        const go = dialog(page).getByRole("button", { name: "Empty channel" });
        assert.equal(await go.isDisabled(), true);
        await dialog(page).getByRole("textbox").fill("worker");
        assert.equal(await go.isDisabled(), true);
        await page.keyboard.press("Enter");
        assert.equal((await channelOf(cluster.nsqd[0], "emptying", "workers")).depth, 3);
        await dialog(page).getByRole("textbox").fill("workers");
        await go.click();
        await dialog(page).getByText("Done.", { exact: true }).waitFor();
        assert.equal((await channelOf(cluster.nsqd[0], "emptying", "workers")).depth, 0);
        await page.keyboard.press("Escape");
        await dialog(page).waitFor({ state: "detached" });
        await close(page);
    });

    it("is deleted when its name was typed", async () => {
        await make("deleting", "workers");
        const page = await open("topics/deleting/workers");
        await button(page, "Delete…").click();
        await dialog(page).getByText("No consumer is connected.").waitFor();
        await dialog(page).getByRole("textbox").fill("workers");
        await dialog(page).getByRole("button", { name: "Delete channel" }).click();
        await dialog(page).getByText("Done.", { exact: true }).waitFor();
        await button(page, "Close").click();
        await page.getByText("There is no channel.").waitFor();
        assert.equal(await channelOf(cluster.nsqd[0], "deleting", "workers"), undefined);
        await close(page);
    });

    it("shows all its clients, also those that are called alike", async () => {
        await make("alike", "workers");
        for (const name of ["one", "two"]) cluster.consume(cluster.nsqd[0], "alike", "workers", { identity: { hostname: name } });
        const page = await open();
        await row(page, "alike/workers").locator("td.clients", { hasText: "2" }).waitFor();
        // As over a Unix socket.
        await page.route("**/api/topics/alike/workers", async (route) => {
            const body = await (await route.fetch()).json();
            for (const client of body.clients) Object.assign(client, { remote_address: "@", connect_ts: 1 });
            await route.fulfill({ json: body });
        });
        await page.goto(`${url}topics/alike/workers`);
        await page.getByText("page-test/1.0").nth(1).waitFor();
        await close(page);
    });

    it("that no address can name is shown, and nothing else is taken for it", async () => {
        for (const topic of [".", "dotted"]) for (const channel of [".", "dotted"]) await make(topic, channel);
        const page = await open("?filter=dotted&sort=name");
        await row(page, "./dotted").waitFor();
        assert.equal(await row(page, "./dotted").locator("a[href]").count(), 0);
        assert.equal(await row(page, "dotted/.").locator("a[href]").count(), 1);
        await row(page, "./dotted").getByText("dotted").click();
        await page.goto(`${url}topics/dotted`);
        await page.getByRole("link", { name: "dotted", exact: true }).waitFor();
        assert.equal(await page.getByRole("region", { name: "Channels" }).locator("a[href]").count(), 1);
        await close(page);
    });

    it("that is not there is said to be so", async () => {
        const page = await open("topics/nobody/nothing");
        await page.getByText("There is no topic of that name.").waitFor();
        await close(page);
    });
});

describe("a topic", () => {
    it("takes a message that is published from the page", async () => {
        await make("publishing", "workers");
        const page = await open("topics/publishing");
        await button(page, "Publish…").click();
        await dialog(page).getByLabel("Message").fill('{"hello":"world"}');
        await dialog(page).getByLabel("How many").fill("3");
        await dialog(page).getByLabel("Node").selectOption(cluster.nsqd[1].http);
        await dialog(page).getByRole("button", { name: "Publish" }).click();
        await dialog(page).getByText(`3 messages published to ${cluster.nsqd[1].http}.`).waitFor();
        assert.equal((await channelOf(cluster.nsqd[1], "publishing", "workers")).depth, 3);
        await close(page);
    });

    it("with many channels can be searched, and has their sum", async () => {
        for (let channel = 10; channel < 25; channel++) await make("crowded", `channel-${channel}`);
        await cluster.publish(cluster.nsqd[0], "crowded", ["1", "2"]);
        const page = await open("topics/crowded");
        const table = page.getByRole("region", { name: "Channels" });
        await table.locator("tfoot td", { hasText: /^30$/ }).first().waitFor();
        await page.getByRole("searchbox").fill("-24");
        await page.getByText("1 of 15").waitFor();
        assert.equal(await table.locator("tbody tr").count(), 1);
        await close(page);
        await remove("crowded");
    });

    it("is made on the page, with a channel", async () => {
        const page = await open();
        await button(page, "Create…").click();
        await dialog(page).getByLabel("Topic").fill("made here");
        await dialog(page).getByRole("button", { name: "Create" }).click();
        await dialog(page).getByText("That is no name for a topic").waitFor();
        await dialog(page).getByLabel("Topic").fill("made-here");
        await dialog(page).getByLabel("Channel").fill("first");
        await dialog(page).getByLabel("Also make it on").selectOption(cluster.nsqd[0].http);
        await dialog(page).getByRole("button", { name: "Create" }).click();
        await dialog(page).getByRole("link", { name: "Go to made-here" }).click();
        await page.getByRole("link", { name: "first" }).waitFor();
        assert.ok(await channelOf(cluster.nsqd[0], "made-here", "first"));
        await close(page);
    });

    it("is tombstoned on a node", async () => {
        await make("burying", "workers");
        const page = await open("topics/burying");
        const node = cluster.nsqd[1];
        await button(page, `Tombstone burying on ${node.http}`).click();
        await dialog(page).getByText("deleted there, with 1 channel").waitFor();
        await dialog(page).getByRole("textbox").fill("burying");
        await dialog(page).getByRole("button", { name: "Tombstone" }).click();
        await dialog(page).getByText("Done.", { exact: true }).waitFor();
        assert.equal(await channelOf(node, "burying", "workers"), undefined);
        assert.ok(await channelOf(cluster.nsqd[0], "burying", "workers"));
        await close(page);
    });
});

describe("who may what", () => {
    it("a viewer sees no controls", async () => {
        await make("looking", "workers");
        const guarded = await cluster.admin("--admin-user=ann");
        const page = await visit(browser, `http://${guarded.http}/topics/looking/workers`);
        await page.getByText("viewer").waitFor();
        await page.getByText("No client is connected to this channel.").waitFor();
        for (const name of ["Publish…", "Pause…", "Empty…", "Delete…"]) assert.equal(await button(page, name).count(), 0, name);
        await page.goto(`http://${guarded.http}/lookup`);
        await page.getByText("Inactive topics").waitFor();
        assert.equal(await button(page, "Create").count(), 0);
        await page.context().setExtraHTTPHeaders({ "X-Forwarded-User": "ann" });
        await page.goto(`http://${guarded.http}/topics/looking/workers`);
        await button(page, "Delete…").waitFor();
        await close(page);
    });

    it("one logs in where it is wanted, below a path too", async () => {
        await make("guarded", "workers");
        const users = join(cluster.directory, "users");
        await writeFile(users, `olga:operator:${await hash("secret")}\n`);
        const guarded = await cluster.admin(`--auth-file=${users}`, "--base-path=/queue/admin");
        const page = await visit(browser, `http://${guarded.http}/queue/admin/topics/guarded/workers`);
        await page.getByLabel("Name").fill("olga");
        await page.getByLabel("Password").fill("wrong");
        await button(page, "Log in").click();
        await page.getByText("The name or the password is wrong.").waitFor();
        assert.deepEqual(await violations(page), []);
        await page.getByLabel("Password").fill("secret");
        await button(page, "Log in").click();
        await button(page, "Pause…").waitFor();
        assert.equal(await button(page, "Empty…").count(), 0);
        await page.getByText("live", { exact: true }).waitFor();
        await page.getByRole("link", { name: "nsqadmin", exact: true }).click();
        await row(page, "guarded/workers").waitFor();
        await button(page, "Log out").click();
        await page.getByLabel("Password").waitFor();
        await close(page);
    });

    it("one who is logged in and comes by a link from elsewhere sees all, and the overview is asked for once", async () => {
        await make("linked", "workers");
        const users = join(cluster.directory, "linked-users");
        await writeFile(users, `vera:viewer:${await hash("secret")}\n`);
        const guarded = await cluster.admin(`--auth-file=${users}`);
        const page = await visit(browser, `http://${guarded.http}/?filter=linked`);
        await page.getByLabel("Name").fill("vera");
        await page.getByLabel("Password").fill("secret");
        await button(page, "Log in").click();
        await row(page, "linked/workers").waitFor();
        // What the stream would bring does not come: the picture is the one that the index had the browser ask for.
        await page.route("**/api/live*", (route) => route.abort());
        const asked = [];
        page.on("request", (request) => asked.push(new URL(request.url()).pathname));
        await page.reload();
        await row(page, "linked/workers").waitFor();
        assert.equal(asked.filter((path) => path === "/api/overview").length, 1);
        assert.equal(asked.filter((path) => path === "/api/settings").length, 0);
        // An alert in another site, which is where a browser keeps the cookie back.
        await page.route("http://alerts.test/", (route) => route.fulfill({ contentType: "text/html", body: `<a href="http://${guarded.http}/?filter=linked">look</a>` }));
        await page.goto("http://alerts.test/");
        await page.getByRole("link", { name: "look" }).click();
        await row(page, "linked/workers").waitFor();
        await page.getByRole("link", { name: "Lookup" }).click();
        await page.getByRole("cell", { name: cluster.lookupd.http }).waitFor();
        await close(page);
    });
});

describe("in trouble", () => {
    it("a break is waited for, and somebody who logged in stays inside", async () => {
        await make("broken", "workers");
        const users = join(cluster.directory, "broken-users");
        await writeFile(users, `vera:viewer:${await hash("secret")}\n`);
        const guarded = await cluster.admin(`--auth-file=${users}`);
        const page = await visit(browser, `http://${guarded.http}/?filter=broken`);
        await page.getByLabel("Name").fill("vera");
        await page.getByLabel("Password").fill("secret");
        await button(page, "Log in").click();
        await row(page, "broken/workers").waitFor();
        await guarded.stop();
        await page.getByText("The connection to nsqadmin is lost").waitFor();
        await row(page, "broken/workers").waitFor();
        // It forgot its sessions.
        const [, port] = guarded.http.split(":");
        await cluster.daemon("nsqadmin", 1, [`--lookupd-http-address=${cluster.lookupd.http}`, `--auth-file=${users}`, `--http-address=127.0.0.1:${port}`]);
        await page.getByLabel("Password").waitFor();
        await close(page);
    });

    it("a page that nobody sees keeps no connection, and is there again when it is seen", async () => {
        await make("hidden", "workers");
        const page = await open("?filter=hidden");
        await row(page, "hidden/workers").waitFor();
        const hide = (hidden) => page.evaluate((hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }, hidden);
        const closed = page.waitForEvent("requestfailed", (request) => request.url().includes("/api/live"));
        const looked = page.waitForRequest((request) => request.url().endsWith("/api/overview"));
        await hide(true);
        await closed;
        await looked;
        const opened = page.waitForRequest((request) => request.url().includes("/api/live"));
        await hide(false);
        await opened;
        await page.getByText("live", { exact: true }).waitFor();
        await close(page);
    });

    it("a node that is killed is named at once, and so is nsqadmin when it is gone", async () => {
        const node = await cluster.addNsqd();
        await cluster.post(node, "/topic/create?topic=dying");
        await cluster.post(node, "/channel/create?topic=dying&channel=workers");
        const own = await cluster.admin();
        const page = await visit(browser, `http://${own.http}/?filter=dying`);
        await row(page, "dying/workers").waitFor();
        await node.stop("SIGKILL");
        await page.locator(".verdict.bad", { hasText: `${node.http} has not answered for` }).waitFor();
        await page.getByRole("link", { name: "Nodes", exact: true }).click();
        await page.getByText(node.http).first().waitFor();
        await own.stop();
        await page.getByText("The connection to nsqadmin is lost").waitFor();
        cluster.nsqd.splice(cluster.nsqd.indexOf(node), 1);
        await close(page);
    });

    it("what is sampled is shown while no nsqlookupd answers", async () => {
        const lookupd = await cluster.daemon("nsqlookupd", 2);
        const data = await mkdtemp(join(cluster.directory, "alone-"));
        const node = await cluster.daemon("nsqd", 2, [`--data-path=${data}`, "--broadcast-address=127.0.0.1", `--lookupd-tcp-address=${lookupd.tcp}`]);
        await cluster.post(node, "/topic/create?topic=alone");
        await cluster.post(node, "/channel/create?topic=alone&channel=workers");
        const own = await cluster.daemon("nsqadmin", 1, [`--lookupd-http-address=${lookupd.http}`]);
        const page = await visit(browser, `http://${own.http}/`);
        await row(page, "alone/workers").waitFor();
        await lookupd.stop("SIGKILL");
        await page.locator(".verdict.bad", { hasText: "1 of 1 nsqlookupd does not answer" }).waitFor();
        await page.goto(`http://${own.http}/nodes`);
        await page.getByText(`No nsqlookupd answers: ${lookupd.http} (connection refused)`).waitFor();
        await page.getByRole("cell", { name: node.http }).waitFor();
        await page.waitForFunction(() => document.title === "(1) Nodes - nsqadmin");
        await page.goto(`http://${own.http}/lookup`);
        await page.getByText("does not answer", { exact: true }).waitFor();
        await page.goto(`http://${own.http}/topics/alone`);
        await row(page, "alone/workers").waitFor();
        await page.goto(`http://${own.http}/topics/alone/workers`);
        await page.locator("figure").first().waitFor();
        await close(page);
        await own.stop();
        await node.stop();
    });

    it("other nsqlookupds than before are shown when somebody looks, one named twice too", async () => {
        const own = await cluster.admin();
        const page = await visit(browser, `http://${own.http}/lookup`);
        const cells = page.getByRole("cell", { name: cluster.lookupd.http, exact: true });
        await cells.waitFor();
        const addresses = JSON.stringify([cluster.lookupd.http, cluster.lookupd.http]);
        await fetch(`http://${own.http}/config/nsqlookupd_http_addresses`, { method: "PUT", body: addresses });
        await page.getByRole("link", { name: "Counter", exact: true }).click();
        await page.getByRole("heading", { level: 1, name: "Counter" }).waitFor();
        await page.getByRole("link", { name: "Lookup", exact: true }).click();
        await cells.nth(1).waitFor();
        await close(page);
        await own.stop();
    });
});

describe("everywhere", () => {
    it("keys lead around", async () => {
        const page = await open();
        await page.getByRole("searchbox").waitFor();
        for (const [keys, heading] of [["gn", "Nodes"], ["gl", "Lookup"], ["gc", "Counter"], ["gt", "Overview"]]) {
            for (const key of keys) await page.keyboard.press(key);
            await page.getByRole("heading", { level: 1, name: heading }).waitFor();
        }
        await page.keyboard.press("?");
        await dialog(page).getByText("search topics and channels").waitFor();
        await dialog(page).getByText("next row of a table").waitFor();
        await page.keyboard.press("Escape");
        await dialog(page).waitFor({ state: "detached" });
        await page.keyboard.press("?");
        await dialog(page).waitFor();
        await page.goBack();
        await page.getByRole("heading", { level: 1, name: "Counter" }).waitFor();
        await dialog(page).waitFor({ state: "detached" });
        await close(page);
    });

    it("j and k move over the rows, and Enter opens one", async () => {
        for (const channel of ["one", "two", "three"]) await make("keyed", channel);
        const page = await open("?filter=keyed&sort=name");
        await row(page, "keyed/one").waitFor();
        const current = () => page.evaluate(() => document.activeElement?.closest("tr")?.querySelector("th")?.title);
        const seen = [];
        for (const key of ["j", "j", "j", "j", "k"]) {
            await page.keyboard.press(key);
            seen.push(await current());
        }
        // From the last row there is no way on.
        assert.deepEqual(seen, ["keyed/one", "keyed/three", "keyed/two", "keyed/two", "keyed/three"]);
        // The row keeps the focus when another comes before it.
        await page.getByRole("columnheader", { name: "Depth" }).getByRole("button").click();
        for (const key of ["j", "j"]) await page.keyboard.press(key);
        assert.equal(await current(), "keyed/three");
        await cluster.publish(cluster.nsqd[0], "keyed", ["1"]);
        await cluster.post(cluster.nsqd[0], "/channel/empty?topic=keyed&channel=one");
        await page.waitForFunction(() => document.querySelector("tbody th")?.title === "keyed/three");
        assert.equal(await current(), "keyed/three");
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { level: 1, name: "three of keyed" }).waitFor();
        await page.goto(`${url}nodes`);
        await page.locator("tbody tr").nth(1).waitFor();
        await page.keyboard.press("j");
        await page.keyboard.press("j");
        const node = await page.evaluate(() => document.activeElement?.textContent);
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { level: 1, name: node }).waitFor();
        await close(page);
    });

    const looks = [
        ["in light", {}],
        ["in dark", { colorScheme: "dark" }],
        ["on a phone", { viewport: { width: 380, height: 700 } }],
    ];
    for (const [name, options] of looks) {
        it(`${name} each page fits, and nothing keeps anybody out`, async () => {
            await make("looks", "workers");
            await make("unwatched", "nobody");
            await cluster.publish(cluster.nsqd[0], "unwatched", ["1"]);
            cluster.consume(cluster.nsqd[0], "looks", "workers");
            const node = encodeURIComponent(cluster.nsqd[0].http);
            const page = await open("", options);
            for (const path of ["", "topics/looks", "topics/looks/workers", "topics/unwatched/nobody", "nodes", `nodes/${node}`, "lookup", "counter"]) {
                await page.goto(url + path);
                await page.getByText("live", { exact: true }).waitFor();
                await page.locator("main table, main figure").first().waitFor();
                assert.deepEqual(await violations(page), [], path);
                const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
                assert.ok(overflow <= 0, `${path} is ${overflow} pixels too wide`);
            }
            // What is wrong is said on the pages around it, too.
            for (const path of ["topics/unwatched", `nodes/${node}`]) {
                await page.goto(url + path);
                await page.locator(".badge", { hasText: "no consumer is connected" }).first().waitFor();
            }
            await page.goto(`${url}topics/looks/workers`);
            await button(page, "Delete…").click();
            await dialog(page).waitFor();
            assert.deepEqual(await violations(page), []);
            const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
            assert.equal(ground, options.colorScheme === "dark" ? "rgb(18, 21, 23)" : "rgb(246, 247, 248)");
            await close(page);
        });
    }

    it("nothing moves while a page is loaded", async () => {
        await make("still", "workers");
        const page = await open();
        await page.addInitScript(() => {
            globalThis.shifts = [];
            new PerformanceObserver((list) => globalThis.shifts.push(...list.getEntries())).observe({ type: "layout-shift", buffered: true });
        });
        // One answer after the other, so that each is painted.
        const waits = { session: 0, topics: 400, nodes: 200, history: 600 };
        for (const [name, wait] of Object.entries(waits)) {
            await page.route(new RegExp(`/api/${name}`), async (route) => {
                await new Promise((resolve) => setTimeout(resolve, wait));
                await route.continue();
            });
        }
        const ends = { "": "tbody tr", lookup: "form", counter: "figure", nodes: "tbody tr", [`nodes/${encodeURIComponent(cluster.nsqd[0].http)}`]: "figure" };
        for (const [path, end] of Object.entries(ends)) {
            await page.goto(url + path);
            await page.locator("main").locator(end).first().waitFor();
            await page.getByText("live", { exact: true }).waitFor();
            await page.waitForFunction(() => globalThis.shifts !== undefined);
            const shift = await page.evaluate(() => globalThis.shifts.reduce((sum, { value }) => sum + value, 0));
            assert.ok(shift < 0.01, `${path} moves by ${shift}`);
        }
        await close(page);
    });

    it("of 10,000 channels only those that are seen are in the document", async () => {
        await make("one-of-many", "workers");
        const page = await open("?filter=one-of-many");
        await row(page, "one-of-many/workers").waitFor();
        const overview = await (await fetch(`${url}api/overview`)).json();
        const channels = Array.from({ length: 10_000 }, (_, index) => ({ ...overview.channels[0], topic: `many-${index % 100}`, channel: `channel-${index}`, trouble: [], depth: index }));
        const body = `event: overview\ndata: ${JSON.stringify({ ...overview, channels })}\n\n`;
        await page.route("**/api/live*", (route) => route.fulfill({ contentType: "text/event-stream", body }));
        await page.goto(url);
        await page.getByText("10,000 rows").waitFor();
        for (const width of [380, 1024, 1280]) {
            await page.setViewportSize({ width, height: 800 });
            const share = await page.evaluate(() => {
                const cells = [...document.querySelectorAll("thead th")].filter((cell) => cell.checkVisibility());
                return cells.at(-1).getBoundingClientRect().right / document.querySelector(".table").getBoundingClientRect().right;
            });
            assert.ok(share > 0.98, `at ${width} pixels the columns take ${share} of the table`);
        }
        assert.ok((await page.locator("tbody tr").count()) < 100);
        await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
        await page.locator('th[title="many-0/channel-0"]').waitFor();
        assert.ok((await page.locator("tbody tr").count()) < 100);
        await page.getByRole("searchbox").fill("channel-777 ");
        await page.getByText(/^1\d? of 10,000$/).waitFor();
        await close(page);
    });
});

/** The hash of a password, as nsqadmin makes it. */
async function hash(password) {
    const child = spawn(join(PROGRAMS, "nsqadmin"), ["--hash-password"], { stdio: ["pipe", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (data) => (text += data));
    child.stdin.end(`${password}\n`);
    await once(child, "close");
    return text.trim();
}

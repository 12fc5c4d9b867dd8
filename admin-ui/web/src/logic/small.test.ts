// What is too small for a file of its own.

import { afterEach, expect, it, vi } from "vitest";

import { ApiError, ask, topicPath } from "./api";
import { clientName, locality } from "./client";
import { Keys } from "./keys";
import { quantiles } from "./latency";
import { address, missingLookups } from "./node";
import { may } from "./role";
import { known, together } from "./sums";
import type { Channel, Client, Node } from "./types";
import { part } from "./window";
import { consequences, nameToType, published, title } from "./wishes";

afterEach(() => vi.unstubAllGlobals());

it("a role may what lesser roles may, and an unknown one nothing", () => {
    expect(["none", "viewer", "operator", "admin", "x"].map((role) => may(role, "operator"))).toEqual([false, false, true, true, false]);
    expect(may("admin", "admin") && !may("operator", "admin")).toBe(true);
});

it("keys act alone, or in pairs that follow quickly", () => {
    const done: string[] = [];
    const keys = new Keys({ "?": () => done.push("help"), "g t": () => done.push("topics") });
    keys.pressed("t", 0);
    keys.pressed("g", 100);
    keys.pressed("t", 200);
    keys.pressed("g", 1_000);
    keys.pressed("t", 9_000);
    keys.pressed("g", 10_000);
    keys.pressed("?", 10_100);
    keys.pressed("t", 10_200);
    expect(done).toEqual(["topics", "help"]);
});

it("a long table has only the rows that are seen, and some around them", () => {
    expect(part(10_000, 34, 0, 680)).toEqual({ first: 0, end: 32 });
    expect(part(10_000, 34, 34_000, 680)).toEqual({ first: 988, end: 1_032 });
    expect(part(10, 34, 34_000, 680)).toEqual({ first: 10, end: 10 });
    expect(part(0, 34, 0, 680)).toEqual({ first: 0, end: 0 });
});

it("a client is called by its host, and by its own name where that says more", () => {
    const client = (hostname: string, client_id: string) => clientName({ hostname, client_id, remote_address: "10.0.0.1:5050" } as Client);
    expect(client("web.example", "web")).toBe("web.example:5050");
    expect(client("web.example", "importer")).toBe("web.example:5050 (importer)");
    expect(client("", "")).toBe("10.0.0.1:5050");
});

it("nearness wants a place that both say", () => {
    const near = (client: Partial<Client>) => locality(client as Client);
    expect(near({})).toBe("");
    expect(near({ topology_region: "r", node_topology_region: "r" })).toBe("region-local");
    expect(near({ topology_region: "r", node_topology_region: "r", topology_zone: "z", node_topology_zone: "z" })).toBe("zone-local");
    expect(near({ topology_region: "r", node_topology_region: "q" })).toBe("");
});

it("a node that an nsqlookupd does not know is missed there", () => {
    const node = { broadcast_address: "10.0.0.1", http_port: 4151, remote_addresses: ["l1:4161/10.0.0.1:9"] } as Node;
    expect(missingLookups(node, ["l1:4161", "l2:4161"])).toEqual(["l2:4161"]);
    expect(address(node)).toBe("10.0.0.1:4151");
    expect(address({ ...node, broadcast_address: "::1" })).toBe("[::1]:4151");
});

it("percentiles are those that any node keeps", () => {
    const latency = (...shares: number[]) => ({
        count: 1, topic: "", channel: "", host: "",
        percentiles: shares.map((quantile) => ({ quantile, average: 1, count: 1, max: 1, min: 1 })),
    });
    expect(quantiles([latency(0.5, 0.99), latency(0.95), { ...latency(), percentiles: null }])).toEqual([0.99, 0.95, 0.5]);
});

it("what is about to be lost is said in numbers", () => {
    const target = { topic: "orders", channel: "mail", depth: 1234, in_flight: 5, deferred: 0, clients: 2, nodes: 3 };
    expect(title("empty", target)).toBe("Empty channel");
    expect(nameToType("empty", target)).toBe("mail");
    expect(nameToType("pause", target)).toBe("");
    expect(consequences("empty", target)[0]).toContain("on 3 nodes: 1,234 waiting, 5 in flight, 0 deferred");
    const topic = { ...target, channel: undefined, channels: { count: 4, depth: 6000 } };
    expect(consequences("delete", topic).join(" ")).toMatch(/7,234 waiting.*4 channels go with it.*2 consumers are connected/);
    expect(consequences("empty", topic)[0]).toMatch(/^1,234 messages that no channel/);
    expect(nameToType("delete", topic)).toBe("orders");
});

it("channels are summed up, and what is not known of one is left out", () => {
    const channel = (depth: number, zone_local_msg_count?: number) => ({ topic_name: "t", depth, zone_local_msg_count }) as Channel;
    expect(together([channel(3), channel(4, 2)])).toMatchObject({ channel_name: "*", topic_name: "t", depth: 7, zone_local_msg_count: 2, in_flight_count: 0 });
    expect([known([1, null, 2]), known([null, undefined]), known([])]).toEqual([3, null, null]);
});

it("what was published is counted", () => {
    const outcome = (request: string, ok = true) => ({ node: "a:1", service: "nsqd", request, ok, reason: "" });
    expect(published([outcome("/pub")], 1)).toBe("1 message published to a:1.");
    expect(published([outcome("/mpub")], 5)).toBe("5 messages published to a:1.");
    expect(published([outcome("/pub, 100 times")], 100)).toBe("100 messages published to a:1.");
    expect(published([outcome("/pub, 3 times"), outcome("/pub", false)], 10)).toBe("3 of 10 messages published to a:1.");
    expect(published([outcome("/pub"), outcome("/pub", false)], 10)).toBe("1 of 10 messages published to a:1.");
    expect(published([outcome("/pub", false)], 1)).toBe("No message was published.");
});

it("errors of the server are told in words", async () => {
    const answer = (status: number, body: string) => vi.stubGlobal("fetch", async () => new Response(body, { status }));
    vi.stubGlobal("document", { baseURI: "http://localhost/nsq/" });
    answer(404, '{"message":"TOPIC_NOT_FOUND"}');
    await expect(ask("api/x")).rejects.toThrow("There is no topic of that name.");
    answer(502, '{"message":"UPSTREAM_ERROR: nobody"}');
    await expect(ask("api/x")).rejects.toThrow("UPSTREAM_ERROR: nobody");
    const refused = (host: string) => `nsqlookupd ${host}: connection refused`;
    answer(502, JSON.stringify({ message: `UPSTREAM_ERROR: failed to query any nsqlookupd: ${refused("a:1")}\n${refused("[::1]:2")}` }));
    await expect(ask("api/x")).rejects.toThrow("No nsqlookupd answers: a:1 (connection refused), [::1]:2 (connection refused).");
    answer(500, "<html>");
    await expect(ask("api/x")).rejects.toThrow("nsqadmin answered with status 500.");
    answer(200, "<html>");
    await expect(ask("api/x")).rejects.toBeInstanceOf(ApiError);
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("no network")));
    await expect(ask("api/x")).rejects.toThrow("nsqadmin does not answer.");
});

it("requests lie below the base, and say that they are JSON", async () => {
    const asked: { url: string; request: RequestInit }[] = [];
    vi.stubGlobal("document", { baseURI: "http://localhost/nsq/" });
    vi.stubGlobal("fetch", async (url: URL, request: RequestInit) => {
        asked.push({ url: String(url), request });
        return new Response('{"message":""}');
    });
    await ask(topicPath("a#ephemeral", "b"), "POST", { action: "pause" });
    expect(asked[0]?.url).toBe("http://localhost/nsq/api/topics/a%23ephemeral/b");
    expect(asked[0]?.request).toMatchObject({ method: "POST", body: '{"action":"pause"}' });
    expect(asked[0]?.request.headers).toMatchObject({ "Content-Type": "application/json" });
});

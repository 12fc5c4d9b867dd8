// Real daemons for the page to look at, on ports of their own choice, and a consumer that does as it is told.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

/** How long a daemon may take to listen. */
const START_MS_MAX = 30_000;

/** Where the daemons are. */
export const PROGRAMS = resolve(process.env.NSQ_PROGRAMS ?? join(import.meta.dirname, "../../../target/debug"));

/** A Python that has what the prime example runs on; where it is not named, what wants the example is skipped. */
export const PYTHON = process.env.PRIMES_PYTHON;

const PRIMES = resolve(import.meta.dirname, "../../../examples/primes");

/** A daemon: its process, and where it listens. */
export class Daemon {
    constructor(child, http, tcp) {
        Object.assign(this, { child, http, tcp });
    }

    /** Ends it; with SIGKILL it has no time to say good-bye. */
    async stop(signal = "SIGTERM") {
        if (this.child.exitCode !== null || this.child.signalCode !== null) return;
        const ended = once(this.child, "exit");
        this.child.kill(signal);
        await ended;
    }
}

/** Some nsqd with an nsqlookupd, and what is to be cleaned up after them. */
export class Cluster {
    daemons = [];
    consumers = [];
    programs = [];

    /** With these flags for each nsqd. */
    static async start(nodes, flags = []) {
        const cluster = new Cluster();
        cluster.flags = flags;
        cluster.directory = await mkdtemp(join(tmpdir(), "nsq-page-"));
        cluster.lookupd = await cluster.daemon("nsqlookupd", 2);
        cluster.nsqd = [];
        for (let node = 0; node < nodes; node++) await cluster.addNsqd();
        return cluster;
    }

    async addNsqd() {
        const data = await mkdtemp(join(this.directory, "nsqd-"));
        const daemon = await this.daemon("nsqd", 2, [
            `--data-path=${data}`,
            "--broadcast-address=127.0.0.1",
            `--lookupd-tcp-address=${this.lookupd.tcp}`,
            ...this.flags,
        ]);
        this.nsqd.push(daemon);
        return daemon;
    }

    admin(...flags) {
        return this.daemon("nsqadmin", 1, [`--lookupd-http-address=${this.lookupd.http}`, ...flags]);
    }

    async daemon(name, listeners, flags = []) {
        const addresses = ["--http-address=127.0.0.1:0", ...(listeners > 1 ? ["--tcp-address=127.0.0.1:0"] : [])];
        const child = spawn(join(PROGRAMS, name), [...addresses, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
        const found = {};
        const log = [];
        const listening = new Promise((resolve, reject) => {
            createInterface(child.stderr).on("line", (line) => {
                log.push(line);
                const match = line.match(/(HTTP|TCP): listening on (\S+)/);
                if (match) found[match[1].toLowerCase()] = match[2];
                if (Object.keys(found).length === listeners) resolve();
            });
            child.on("error", reject);
            child.on("exit", (code) => reject(new Error(`${name} ended with ${code}:\n${log.join("\n")}`)));
            setTimeout(() => reject(new Error(`${name} does not listen:\n${log.join("\n")}`)), START_MS_MAX).unref();
        });
        await listening;
        const daemon = new Daemon(child, found.http, found.tcp);
        this.daemons.push(daemon);
        return daemon;
    }

    /** A POST to a node, with what follows the address and a body. */
    async post(node, path, body = "") {
        const response = await fetch(`http://${node.http}${path}`, { method: "POST", body });
        if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    }

    publish(node, topic, messages) {
        return this.post(node, `/mpub?topic=${encodeURIComponent(topic)}`, messages.join("\n"));
    }

    consume(node, topic, channel, options = {}) {
        const consumer = new Consumer(node, topic, channel, options);
        this.consumers.push(consumer);
        return consumer;
    }

    /** A program of the prime example. */
    primes(script, ...flags) {
        const program = new Daemon(spawn(PYTHON, [script, ...flags], { cwd: PRIMES, stdio: "ignore" }));
        this.programs.push(program);
        return program;
    }

    async stop() {
        for (const consumer of this.consumers) consumer.stop();
        await Promise.all(this.programs.map((program) => program.stop("SIGKILL")));
        await Promise.all(this.daemons.map((daemon) => daemon.stop()));
        await rm(this.directory, { recursive: true, force: true });
    }
}

/** Speaks as much of the protocol V2 as consuming takes. */
class Consumer {
    constructor(node, topic, channel, { ready = 10, finishes = true, identity = {} }) {
        const [host, port] = node.tcp.split(":");
        this.socket = net.connect(Number(port), host);
        this.socket.on("error", () => {});
        const body = Buffer.from(JSON.stringify({ client_id: "page-test", hostname: "worker-1", user_agent: "page-test/1.0", ...identity }));
        const length = Buffer.alloc(4);
        length.writeUInt32BE(body.length);
        this.socket.write(Buffer.concat([Buffer.from("  V2IDENTIFY\n"), length, body]));
        this.socket.write(`SUB ${topic} ${channel}\nRDY ${ready}\n`);
        let waiting = Buffer.alloc(0);
        this.socket.on("data", (data) => {
            waiting = Buffer.concat([waiting, data]);
            while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUInt32BE(0)) {
                const frame = waiting.subarray(4, 4 + waiting.readUInt32BE(0));
                waiting = waiting.subarray(4 + frame.length);
                this.take(frame, finishes);
            }
        });
    }

    take(frame, finishes) {
        const kind = frame.readUInt32BE(0);
        if (kind === 0 && frame.subarray(4).toString() === "_heartbeat_") this.socket.write("NOP\n");
        if (kind === 2 && finishes) this.socket.write(`FIN ${frame.subarray(14, 30)}\n`);
    }

    stop() {
        this.socket.destroy();
    }
}

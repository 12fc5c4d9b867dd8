// Writes the server's samples as TypeScript, so that the compiler holds each against the page's type for it: a key that one
// has and the other has not is an error. Part of `npm run check`.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const TYPES = {
    channel: "Told<Channel>",
    counter: "Told<Counter>",
    done: "Told<Done>",
    history: "Told<History>",
    node: "Told<NodeDetail>",
    nodes: "Told<Nodes>",
    overview: "Told<Overview>",
    session: "Session",
    settings: "Settings",
    topic: "Told<Topic>",
    "topic-empty": "Told<Topic>",
    topics: "Told<Topics>",
    "topics-empty": "Told<Topics>",
    "topics-inactive": "Told<InactiveTopics>",
    update: "Told<Update>",
};

/** Is sent to the notification endpoint, never to a page. */
const NOT_READ = ["action"];

const names = new Set(Object.values(TYPES).flatMap((type) => type.match(/\w+/g)));
const lines = [`import type { ${[...names].sort().join(", ")} } from "./logic/types";`];
for (const file of readdirSync("samples")) {
    const name = file.replace(/\.json$/, "");
    if (NOT_READ.includes(name)) continue;
    const type = TYPES[name];
    if (type === undefined) throw new Error(`samples/${file} has no type: add one to checks.mjs`);
    const constant = name.replaceAll("-", "_");
    lines.push(`export const ${constant}: ${type} = ${readFileSync(`samples/${file}`, "utf8").trim()};`);
}
writeFileSync("src/samples.generated.ts", `${lines.join("\n")}\n`);

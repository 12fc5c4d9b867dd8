// The page must come quickly over a slow line too: what is embedded stays below a limit. Part of `make page`.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BYTES_MAX = 200_000;

const files = ["dist/index.html", ...readdirSync("dist/static").map((name) => `dist/static/${name}`)];
const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
console.log(`the page has ${bytes} bytes, compressed; ${BYTES_MAX} are allowed`);
if (bytes > BYTES_MAX) process.exit(1);

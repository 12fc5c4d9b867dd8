#!/usr/bin/env bash
# Builds the page of nsqadmin into admin-ui/web/dist, from where Cargo embeds it, unless it is there and newer than what
# it is made of. Nothing else needs Node.js: where it is missing, nsqadmin is built without the page, and this says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../admin-ui/web"

if ! node --eval 'process.exit(process.features.require_module ? 0 : 1)' 2>/dev/null || ! npm --version >/dev/null 2>&1; then
    echo "nsqadmin is built without its page, which wants Node.js 20.19 or newer, with npm"
    exit 0
fi
# What is installed keeps the lock file that it was installed by.
cmp --quiet package-lock.json node_modules/installed-by.json ||
    { npm ci --no-audit --no-fund && cp package-lock.json node_modules/installed-by.json; }
if [ ! -e dist/index.html ] ||
    [ -n "$(find src index.html package-lock.json vite.config.ts svelte.config.js -newer dist/index.html -print -quit)" ]; then
    npm run --silent build -- --logLevel warn
fi

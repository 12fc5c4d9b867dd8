#!/usr/bin/env bash
# Runs the tests that nsqjs ships in its package, unmodified, with NSQD as the `nsqd` on PATH that they start.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

main() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    ln -s "$NSQD" "$work/nsqd"
    bash "$here/../isolated.sh" bash "${BASH_SOURCE[0]}" --inside "$work"
}

inside() {
    local chosen=()
    # shellcheck source=../default_ports.sh
    . "$here/../default_ports.sh"
    if ! { has tls && has snappy && has deflate; }; then
        echo "switched off: 'stream compression and encryption', for NSQ_CLIENT_FEATURES has not all of it"
        chosen=(--grep "stream compression and encryption" --invert)
    fi
    # They read certificates beside themselves.
    cd "$here/node_modules/nsqjs"
    PATH="$1:$PATH" "$here/node_modules/.bin/mocha" --reporter dot ${chosen[@]+"${chosen[@]}"}
}

if [ "${1:-}" = --inside ]; then inside "$2"; else main; fi

#!/usr/bin/env bash
# Runs the tests that tokio-nsq ships in its package, unmodified, against NSQD and NSQLOOKUPD.
#
# They want the hosts of the package's docker-compose.yml, which isolated.sh gives the names for, and its certificate.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

main() {
    TOKIO_NSQ=$(cd "$here" && cargo metadata --locked --format-version 1 |
        grep --only-matching '"manifest_path":"[^"]*/tokio-nsq-[^"/]*/Cargo.toml"' |
        sed 's|.*:"\(.*\)/Cargo.toml"|\1|')
    export TOKIO_NSQ
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$here" && cargo test --locked --features own-suite --test own_suite --no-run && cargo build --locked --bins)
    bash "$here/../isolated.sh" bash "${BASH_SOURCE[0]}" --inside "$work"
}

inside() {
    local work=$1 skip=()
    # shellcheck source=../default_ports.sh
    . "$here/../default_ports.sh"
    mkdir "$work/data" "$work/guarded"
    cd "$here"
    start "$work/nsqlookupd.log" 127.0.0.1 4160 "$NSQLOOKUPD"
    start "$work/nsqd.log" 127.0.0.1 4150 "$NSQD" --data-path="$work/data" --tcp-address=127.0.0.1:4150 \
        --http-address=127.0.0.1:4151 --https-address=127.0.0.1:4152 \
        --broadcast-address=nsq --lookupd-tcp-address=nsqlookupd:4160 \
        --tls-cert="$TOKIO_NSQ/keys/cert.pem" --tls-key="$TOKIO_NSQ/keys/key.pem"
    if has auth; then
        start "$work/authorize.log" 127.0.0.1 8080 cargo run --offline --quiet --bin authorize 127.0.0.1:8080 secret
        start "$work/guarded.log" 127.0.0.2 4150 "$NSQD" --data-path="$work/guarded" --tcp-address=127.0.0.2:4150 \
            --http-address=127.0.0.2:4151 --https-address=127.0.0.2:4152 --auth-http-address=nsqauth:8080
    fi
    has tls || skip+=(--skip encryption)
    has snappy || skip+=(--skip snappy)
    has deflate || skip+=(--skip deflate)
    has auth || skip+=(--skip auth)
    [ ${#skip[@]} -eq 0 ] || echo "switched off: ${skip[*]}"
    cargo test --offline --locked --features own-suite --test own_suite -- ${skip[@]+"${skip[@]}"} || {
        cat "$work"/*.log
        return 1
    }
}

if [ "${1:-}" = --inside ]; then inside "$2"; else main; fi

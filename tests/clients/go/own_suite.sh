#!/usr/bin/env bash
# Runs the tests that go-nsq ships in its module, unmodified, against NSQD and NSQLOOKUPD.
#
# The daemons get the flags that the module's test.sh gives them, certificates that expired long ago included.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

main() {
    local module
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    module=$(cd "$here" && go mod download && go list -m -f '{{.Dir}}' github.com/nsqio/go-nsq)
    # The module cache is read-only, and these tests write beside themselves.
    cp -R "$module/." "$work/go-nsq"
    chmod -R u+w "$work/go-nsq"
    (cd "$work/go-nsq" && go test -c -o suite .)
    bash "$here/../isolated.sh" bash "${BASH_SOURCE[0]}" --inside "$work"
}

inside() {
    local chosen=()
    cd "$1/go-nsq"
    # shellcheck source=../default_ports.sh
    . "$here/../default_ports.sh"
    if ! has tls; then
        echo "switched off: the tests with TLS, for tls is not in NSQ_CLIENT_FEATURES"
        chosen=(-test.skip TLS)
    fi
    mkdir "$1/data"
    start "$1/nsqlookupd.log" 127.0.0.1 4160 "$NSQLOOKUPD"
    start "$1/nsqd.log" 127.0.0.1 4151 "$NSQD" --data-path="$1/data" --lookupd-tcp-address=127.0.0.1:4160 \
        --tls-cert=./test/server.pem --tls-key=./test/server.key --tls-root-ca-file=./test/ca.pem
    ./suite -test.timeout 60s ${chosen[@]+"${chosen[@]}"} -test.v >suite.log 2>&1 || {
        cat suite.log "$1/nsqd.log"
        return 1
    }
    # The library's debug log, and what it has to say about each test, matter only where one fails.
    grep -E '^(--- |PASS|ok)' suite.log
}

if [ "${1:-}" = --inside ]; then inside "$2"; else main; fi

#!/usr/bin/env bash
# isolated.sh COMMAND...: runs the command in a network of its own, where nothing listens and which leads nowhere but
# to itself. The libraries' own test suites want the default ports, and one of them hosts with names.
#
# Without root this needs a system that lets its users make namespaces.
set -euo pipefail

names="127.0.0.1 localhost nsq nsqauth nsqlookupd
127.0.0.2 nsqwithauth"

if [ "${1:-}" = --inside ]; then
    shift
    ip link set lo up
    hosts=$(mktemp)
    echo "$names" >"$hosts"
    mount --bind "$hosts" /etc/hosts
    rm "$hosts"
    exec "$@"
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(--map-root-user)
# What the command leaves running ends with it.
exec unshare ${as_root[@]+"${as_root[@]}"} --net --mount --pid --fork --mount-proc --kill-child bash "$0" --inside "$@"

#!/usr/bin/env bash
# certificates.sh DIRECTORY: makes there what the tests of TLS need: an authority (ca.pem), and a certificate with its
# key for the daemon (server.pem, server.key) and for a client (client.pem, client.key), which the authority signed.
#
# They are made where they are used, for files in the repository expire. What is there and good for a day is kept.
set -euo pipefail
directory=$1

main() {
    mkdir -p "$directory"
    cd "$directory"
    if [ -f complete ] && openssl x509 -in server.pem -noout -checkend 86400 >/dev/null; then
        return
    fi
    rm -f complete
    key ca
    openssl req -x509 -new -key ca.key -days 30 -subj "/CN=authority of the tests" -out ca.pem
    signed server "subjectAltName=DNS:localhost,IP:127.0.0.1" "extendedKeyUsage=serverAuth"
    signed client "subjectAltName=DNS:client" "extendedKeyUsage=clientAuth"
    touch complete
}

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null
}

# signed NAME EXTENSION...: a key, and the authority's certificate for it.
signed() {
    local name=$1
    shift
    key "$name"
    openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
    printf '%s\n' "basicConstraints=CA:FALSE" "$@" >"$name.extensions"
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
        -extfile "$name.extensions" -out "$name.pem" 2>/dev/null
    rm "$name.csr" "$name.extensions"
}

main

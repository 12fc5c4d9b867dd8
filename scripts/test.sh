#!/usr/bin/env bash
# Runs the checks and tests: all of them, or the steps named as arguments. `make help` says what each step is.
#
# Needs no root. A step whose tool is missing is skipped with a line that names the command to install it, and is
# named again at the end; where CI is set, that command is run instead, and a tool still missing is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all_steps=(format lint docs core page rust primes clients compose)
target=${CARGO_TARGET_DIR:-target}
venv=.venv
skipped=()

# What of this the daemon has: tls snappy deflate auth. Where the tests with client libraries want something else, they
# are switched off, and say so. Against NSQ v1.3.0: NSQ_CLIENT_FEATURES="tls snappy deflate auth".
client_features="tls snappy deflate auth"
client_languages=(go python node rust java)

main() {
    cargo --version >/dev/null || fail "cargo is missing; install a Rust toolchain, for instance with rustup"
    [ $# -gt 0 ] || set -- "${all_steps[@]}"
    local step began reason
    for step in "$@"; do
        declare -F "step_${step//-/_}" >/dev/null || fail "there is no step '$step'; there are: ${all_steps[*]}"
        echo "== $step"
        began=$SECONDS
        "step_${step//-/_}"
        echo "== $step took $((SECONDS - began)) s"
    done
    for reason in ${skipped[@]+"${skipped[@]}"}; do
        echo "skipped: $reason"
    done
}

step_format() {
    need rustfmt "cargo fmt --version" "rustup component add rustfmt" || return 0
    cargo fmt --all --check
}

# Warnings of the compiler are among clippy's.
step_lint() {
    need clippy "cargo clippy --version" "rustup component add clippy" || return 0
    cargo clippy --locked --workspace --all-targets -- --deny warnings
}

step_docs() {
    RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps --document-private-items
}

# What NSQ means must build without a runtime, a disk or a web server; its tests run with all the others.
step_core() {
    local unwanted
    unwanted=$(cargo tree --locked --package nsq --package nsqd-broker --no-default-features --edges normal --prefix none |
        grep --extended-regexp '^(tokio|mio|sled|axum|hyper) ' | sort --unique || true)
    [ -z "$unwanted" ] || fail "the pure core depends on: $unwanted"
    cargo check --locked --package nsq --package nsqd-broker --no-default-features --lib
}

# The page of nsqadmin: its types against the server's samples, its logic, and itself in a browser in front of real daemons.
# Before the tests in Rust, so that nsqadmin is built once, with the page in it.
step_page() {
    # The first that Vite runs on.
    need "Node.js 20.19" "node --eval process.exit(process.features.require_module?0:1)" "apt-get install --yes nodejs npm" || return 0
    need npm "npm --version" "apt-get install --yes npm" || return 0
    bash scripts/page.sh || skip "the npm packages are missing" "(cd admin-ui/web && npm ci)" || return 0
    (
        cd admin-ui/web
        npm run --silent check
        npm run --silent size
        npm test --silent
    )
    need Chromium "chromium --version" "apt-get install --yes chromium" || return 0
    build_for_tests
    NSQ_PROGRAMS=$(realpath "$target/debug")
    export NSQ_PROGRAMS
    if install_python_tests examples/primes/requirements.txt; then
        PRIMES_PYTHON=$PWD/$venv/bin/python
        export PRIMES_PYTHON
    fi
    (cd admin-ui/web && npm run --silent browser)
}

# One build of everything in the dev profile: the daemons that the tests start are among it.
step_rust() {
    build_for_tests
    cargo test --locked --workspace --no-fail-fast
}

step_primes() {
    pytest examples/primes/tests/requirements.txt examples/primes/tests
}

step_clients() {
    local language began
    for language in "${client_languages[@]}"; do
        echo "-- clients-$language"
        began=$SECONDS
        "step_clients_$language"
        echo "-- clients-$language took $((SECONDS - began)) s"
    done
}

step_clients_go() {
    need go "go version" "apt-get install --yes golang-go" || return 0
    prepare_clients || return 0
    need_isolation || return 0
    if ! (cd tests/clients/go && go mod download); then
        skip "the Go modules are missing" "(cd tests/clients/go && go mod download)" || return 0
    fi
    (
        cd tests/clients/go
        test -z "$(gofmt -l .)" || fail "tests/clients/go is not formatted; run gofmt -w there"
        go vet ./...
        go test -count=1 -v ./...
    )
    bash tests/clients/go/own_suite.sh
}

# What they print says how many messages came more than once.
step_clients_python() {
    prepare_clients || return 0
    pytest tests/clients/python/requirements.txt --capture=no tests/clients/python
}

step_clients_node() {
    # 18 is the first with a test runner and fetch.
    need "Node.js 18" "node --eval require('node:test');fetch" "apt-get install --yes nodejs npm" || return 0
    need npm "npm --version" "apt-get install --yes npm" || return 0
    prepare_clients || return 0
    need_isolation || return 0
    (
        cd tests/clients/node
        # What is installed keeps the lock file that it was installed by.
        cmp --quiet package-lock.json node_modules/installed-by.json ||
            { npm ci --no-audit --no-fund && cp package-lock.json node_modules/installed-by.json; }
    ) || skip "the npm packages are missing" "(cd tests/clients/node && npm ci)" || return 0
    (cd tests/clients/node && node --test --test-reporter=spec)
    bash tests/clients/node/own_suite.sh
}

step_clients_rust() {
    prepare_clients || return 0
    need_isolation || return 0
    local without=()
    has_feature tls || without+=(--skip cross_tls --skip certificate --skip compression)
    has_feature snappy || without+=(--skip snappy --skip compression)
    has_feature deflate || without+=(--skip deflate --skip compression)
    has_feature auth || without+=(--skip secret)
    (
        # The library wants older versions of what the workspace has, and gets a lock file and a target of its own.
        CARGO_TARGET_DIR=$(realpath "$target")/clients-rust
        export CARGO_TARGET_DIR
        cd tests/clients/rust
        if cargo fmt --version >/dev/null 2>&1; then
            cargo fmt --check
        fi
        cargo test --locked --test tokio_nsq -- ${without[@]+"${without[@]}"}
        bash own_suite.sh
    )
}

step_clients_java() {
    # The compiler, which a runtime alone has not.
    need "Java 17" "javac --release 17 -version" "apt-get install --yes openjdk-17-jdk-headless" || return 0
    need Maven "mvn --version" "apt-get install --yes maven" || return 0
    prepare_clients || return 0
    local maven=(mvn --batch-mode --no-transfer-progress --file tests/clients/java/pom.xml)
    maven+=("-Dbuilt=$(realpath "$target")/clients-java")
    if ! "${maven[@]}" --quiet test-compile; then
        skip "the Java packages are missing, or do not compile" "${maven[*]} test-compile" || return 0
    fi
    "${maven[@]}" surefire:test
}

# Says what is switched off, and exports what the tests with client libraries take from the environment.
prepare_clients() {
    local feature
    export NSQ_CLIENT_FEATURES=${NSQ_CLIENT_FEATURES-$client_features}
    need openssl "openssl version" "apt-get install --yes openssl" || return 1
    for feature in tls snappy deflate auth; do
        has_feature "$feature" || echo "switched off: the tests with $feature"
    done
    find_daemons
    bash tests/clients/certificates.sh "$target/client-certificates"
    NSQD=$(realpath "$NSQD")
    NSQLOOKUPD=$(realpath "$NSQLOOKUPD")
    NSQ_CERTIFICATES=$(realpath "$target/client-certificates")
    export NSQD NSQLOOKUPD NSQ_CERTIFICATES
}

has_feature() {
    [[ " $NSQ_CLIENT_FEATURES " == *" $1 "* ]]
}

# The libraries' own tests want the default ports, and get them in a network of their own.
need_isolation() {
    need "unshare, of util-linux" "unshare --version" "apt-get install --yes util-linux" || return 1
    need "ip, of iproute2" "ip -Version" "apt-get install --yes iproute2" || return 1
    if ! bash tests/clients/isolated.sh true; then
        skip "namespaces are not permitted here" "sudo sysctl kernel.unprivileged_userns_clone=1"
    fi
}

# pytest REQUIREMENTS ARGUMENT...: runs tests in Python against the daemons that are named, or built here.
pytest() {
    install_python_tests "$1" || return 0
    find_daemons
    NSQD=$NSQD NSQLOOKUPD=$NSQLOOKUPD "$venv/bin/python" -m pytest "${@:2}"
}

# Sets NSQD and NSQLOOKUPD where they do not name programs yet, and builds those.
find_daemons() {
    if [ -z "${NSQD:-}" ] || [ -z "${NSQLOOKUPD:-}" ]; then
        build_for_tests
    fi
    NSQD=${NSQD:-$target/debug/nsqd}
    NSQLOOKUPD=${NSQLOOKUPD:-$target/debug/nsqlookupd}
}

step_compose() {
    install_docker_tests || return 0
    "$venv/bin/python" -m pytest docker/tests/test_compose.py
}

# Not among all the steps: it builds everything once more, in a container, and takes minutes (`make test-long`).
step_image() {
    need buildah "buildah --version" "apt-get install --yes buildah" || return 0
    need debootstrap "debootstrap --version" "apt-get install --yes debootstrap" || return 0
    need "Node.js 20.19" "node --eval process.exit(process.features.require_module?0:1)" "apt-get install --yes nodejs npm" || return 0
    need npm "npm --version" "apt-get install --yes npm" || return 0
    if [ "$(id -u)" -ne 0 ]; then
        skip "root is missing, which making a base image needs" "sudo make image" || return 0
    fi
    install_docker_tests || return 0
    bash docker/test.sh
}

# Building the tests too selects the same features of the dependencies as testing does: nothing is compiled twice.
build_for_tests() {
    cargo build --locked --workspace --bins --tests
}

install_docker_tests() {
    # Only the schema of docker-compose 1.29.2 is used, and that needs nothing of what the rest of it needs.
    install_python_tests docker/tests/requirements.txt --no-deps docker-compose==1.29.2
}

# install_python_tests FILE [ARGUMENTS]: installs what the file lists, and then, where there are arguments, these.
install_python_tests() {
    local wanted=$1
    shift
    need python3 "python3 --version" "apt-get install --yes python3" || return 1
    need "Python's venv module" "python3 -m ensurepip --version" "apt-get install --yes python3-venv" || return 1
    # An environment whose making was interrupted has no pip, and is made again.
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$venv"
    # Takes a second, and needs no network, when everything is there already.
    local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    if ! { "${pip[@]}" --requirement "$wanted" && { [ $# -eq 0 ] || "${pip[@]}" "$@"; }; }; then
        skip "the Python packages are missing" "$venv/bin/python -m pip install --requirement $wanted"
        return 1
    fi
}

# need WHAT CHECK INSTALL: succeeds when the command CHECK does, or does after INSTALL.
need() {
    local what=$1 check=$2 install=$3
    if $check >/dev/null 2>&1; then
        return 0
    fi
    if [ -n "${CI:-}" ]; then
        echo "installing $what: $install"
        # Where nothing was ever installed there is no list of what there is.
        [[ "$install" != apt-get* ]] || apt-get update
        if $install && $check >/dev/null 2>&1; then
            return 0
        fi
    fi
    skip "$what is missing" "$install"
}

# skip REASON COMMAND: notes the skipped step, or, in CI, ends the run. Always fails.
skip() {
    local line="$1; install it with: $2"
    [ -z "${CI:-}" ] || fail "$line"
    echo "skipped: $line"
    skipped+=("$line")
    return 1
}

fail() {
    echo "error: $1" >&2
    exit 1
}

main "$@"

#!/usr/bin/env bash
# Builds the images with buildah and runs them: no container engine is needed, but root is. `make image` installs what
# is missing and calls this.
#
# No image is fetched. The base image is a Debian made here, once, and kept in target/docker; it serves for the build and
# for Python. The Rust toolchain and Node.js are those of this machine, lent to the build. Crates and packages come from the
# registries, as everywhere. All else is removed at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
work=$target/docker
base=$work/base.tar
storage=$work/storage
release=bookworm
packages=ca-certificates,gcc,libc6-dev,python3,python3-venv
venv=.venv

# Where buildah keeps what `RUN --mount=type=cache` asks for.
export TMPDIR=$work/cache
export BUILDAH_ISOLATION=chroot
export BUILDAH="buildah --root $storage/images --runroot $storage/run --storage-driver vfs"

main() {
    remove_storage
    mkdir -p "$storage" "$TMPDIR"
    trap remove_storage EXIT
    [ -f "$base" ] || make_base
    echo "base image: Debian $release, the toolchain of this machine: $(rustc --version), Node.js $(node --version)"
    local container
    container=$($BUILDAH from scratch)
    $BUILDAH add --quiet "$container" "$base" / >/dev/null
    # npm is to find what it is lent, and to trust whom this machine trusts.
    $BUILDAH run "$container" -- ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
    $BUILDAH config --env npm_config_cafile=/etc/ssl/certs/ca-certificates.crt "$container"
    $BUILDAH config --env CARGO_HOME=/usr/local/cargo --env PATH=/usr/local/rust/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    $BUILDAH commit --quiet --rm "$container" base >/dev/null

    build Dockerfile nsq --build-arg BUILD_IMAGE=localhost/base --build-arg NODE_IMAGE=localhost/base ${PACKAGES:+--build-arg PACKAGES="$PACKAGES"}
    build primes.Dockerfile nsq-primes --build-arg PYTHON_IMAGE=localhost/base
    "$venv/bin/python" -m pytest --basetemp="$storage/tests" docker/tests/test_image.py
    echo "size of the image nsq: $($BUILDAH images --format '{{.Size}}' nsq)"
}

# build FILE TAG [OPTIONS]
build() {
    local file=docker/$1 tag=$2
    shift 2
    # A machine may reach the registries through something that only its own certificates vouch for.
    local certificates=/etc/ssl/certs/ca-certificates.crt lent
    lent=(
        --volume "$(rustc --print sysroot):/usr/local/rust:ro"
        --volume "$(node --print process.execPath):/usr/local/bin/node:ro"
        --volume "$(npm root --global)/npm:/usr/local/lib/node_modules/npm:ro"
    )
    [ ! -f "$certificates" ] || lent+=(--volume "$certificates:$certificates:ro")
    echo "building $tag of $file"
    logged "$tag" $BUILDAH bud --format docker "${lent[@]}" "$@" --file "$file" --tag "$tag" .
}

make_base() {
    echo "making the base image of Debian $release, once"
    local tree=$storage/tree
    logged debootstrap debootstrap --variant=minbase --include="$packages" "$release" "$tree"
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
    tar --create --directory "$tree" --file "$base.partial" --one-file-system .
    mv "$base.partial" "$base"
    rm -rf "$tree"
}

# logged NAME COMMAND...: what the command says goes into a file; the end of that is shown if the command fails.
logged() {
    local log=$work/$1.log
    shift
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        exit 1
    }
}

# Containers of a run that was broken off are among it, and their mounts.
remove_storage() {
    [ -d "$storage" ] || return 0
    $BUILDAH rm --all >/dev/null 2>&1 || true
    rm -rf --one-file-system "$storage"
}

main "$@"

#!/usr/bin/env bash
# container.sh LOCK: installs what a build and the tests need into a fresh Debian of the suite that LOCK (wasm/openssl.lock) names,
# as .devcontainer/Dockerfile does. The emcc on PATH is then the pinned one, so build.sh needs no toolchain of its own, and no
# right to make namespaces.
set -euo pipefail

# shellcheck source=wasm/openssl.lock
. "$1"

. /etc/os-release
[[ $VERSION_CODENAME == "$DEBIAN_SUITE" ]] ||
    { echo "container.sh: this is $VERSION_CODENAME, and $1 pins $DEBIAN_SUITE" >&2; exit 1; }

export DEBIAN_FRONTEND=noninteractive
apt-get update
packages=(
    emscripten make perl patch xz-utils    # what the toolchain of build.sh has
    nodejs npm git ca-certificates curl procps
    openssl gnutls-bin python3 chromium nginx-light redis-server # what the tests talk to: test/setup.ts
)
apt-get install -y --no-install-recommends "${packages[@]}"
apt-get clean
rm -rf /var/lib/apt/lists/*

shipped=$(emcc --version | sed -n '1s/.* \([0-9][0-9.]*\).*/\1/p')
[[ $shipped == "$EMSCRIPTEN_VERSION" ]] ||
    { echo "container.sh: the emcc of $DEBIAN_SUITE is $shipped, and $1 pins $EMSCRIPTEN_VERSION" >&2; exit 1; }

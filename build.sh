#!/usr/bin/env bash
# Builds everything from source: toolchain → OpenSSL → libssl.a, libcrypto.a → openssl.wasm → dist/.
#
#   ./build.sh [all]          everything
#   ./build.sh dependencies   only node_modules, as package-lock.json says
#   ./build.sh wasm           only as far as dist/binding/openssl.wasm; needs Node.js, and neither node_modules nor src/
#   ./build.sh kernels        what test/kernels needs: a module with wasm/kernels in it that is not published
#   ./build.sh faults         openssl.wasm with an allocator that fails when it is told to, for test/faults; neither is it
#   ./build.sh named          openssl.wasm with the names of its functions, for profiles; it is not published either
#   ./build.sh sizes          what each object file has in openssl.wasm
#   ./build.sh verify         builds openssl.wasm twice from scratch, in two directories, and compares the bytes
#   ./build.sh toolchain      makes the toolchain, and prints its name
#   ./build.sh emcc ARGS…     runs the pinned emcc in the current directory
#
# Of all but the last, several may be named.
#
# What is built is said in wasm/openssl.lock. A step whose inputs did not change is skipped. What takes long is kept in
# ${XDG_CACHE_HOME:-~/.cache}/wassl under a name made of all that went into it, so that another checkout finds it; it is
# built aside and renamed into place, so that a build may be ended at any moment, and several may run at once.
#
# The parts are in wasm/build: what runs compilers is bash, in the files that end with .sh; all else is JavaScript, in those that
# end with .mjs, begins in build.mjs, and has its tests in test/node/build.ts.
set -euo pipefail

((BASH_VERSINFO[0] >= 5)) || { echo "build.sh: bash 5 is needed" >&2; exit 1; }
command -v node >/dev/null || { echo "build.sh: Node.js is needed, 20 or later" >&2; exit 1; }

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
exec node "$project/wasm/build/build.mjs" "$@"

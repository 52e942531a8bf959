#!/usr/bin/env bash
# recipe.sh FILE FUNCTION WORK OUT IN…: makes something in the current directory, which has copies of all that goes into it
# (inputs.mjs), this file among them. FUNCTION of wasm/build/FILE is given this directory, WORK, and OUT, whose content is kept.
# IN… runs a command where emcc, make and perl are. What was made before is in the environment: $tarball, $libs, $wycheproof.
# shellcheck disable=SC2034 # the functions use them
set -euo pipefail

IN=("${@:5}")
jobs=$(nproc)
have() { command -v "$1" >/dev/null; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# shellcheck source=wasm/openssl.lock
. wasm/openssl.lock
# shellcheck source=/dev/null
. "wasm/build/$1"
"$2" "$PWD" "$3" "$4"

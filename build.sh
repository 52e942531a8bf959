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
# end with .mjs, and has its tests in test/node/build.ts.
set -euo pipefail

((BASH_VERSINFO[0] >= 5)) || { echo "build.sh: bash 5 is needed" >&2; exit 1; }

called_from=$PWD
project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd -- "$project"
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/wassl
mkdir -p "$cache"
cache=$(cd -- "$cache" && pwd -P)
visible=("$project" "$cache") # the directories that commands in the toolchain see
IN=()                         # how a command is run beside emcc; set by toolchain_ensure
jobs=$(nproc)

# shellcheck source=wasm/build/shell.sh
. wasm/build/shell.sh
# shellcheck source=wasm/openssl.lock
. wasm/openssl.lock
# shellcheck source=wasm/build/toolchain.sh
. wasm/build/toolchain.sh
# shellcheck source=wasm/build/source.sh
. wasm/build/source.sh

for tool in flock node sha256sum tar; do have "$tool" || die "$tool is needed (Linux, or util-linux, coreutils and Node.js)"; done

# ---- what is kept ------------------------------------------------------------------------------------------------

# The names under which things are kept, by their inputs; in ${keys[…]}, once.
declare -A keys=()
find_keys() {
    local name key
    ((${#keys[@]} == 0)) || return 0
    toolchain_find
    while read -r name key; do keys[$name]=$key; done < <(node wasm/build/inputs.mjs keys "$toolchain_id")
    ((${#keys[@]} > 0)) || die "the inputs could not be read"
}

toolchain() {
    toolchain_find
    stage toolchain "emscripten $EMSCRIPTEN_VERSION"
    toolchain_ensure
    staged "$toolchain_id"
}

# Sets $libs.
libs_ensure() {
    libs=$cache/libs/${keys[libs]}
    toolchain
    stage "libssl.a and libcrypto.a" "OpenSSL $OPENSSL_VERSION"
    if [[ -d $libs ]]; then
        staged "up to date"
    else
        source_ensure
        keep libs make_libs libs.sh
        staged
    fi
}

# module WHAT TITLE: what link.sh makes of the archives.
module() {
    [[ ! -e $cache/$1/${keys[$1]} ]] || return 0
    libs_ensure
    if [[ $1 == kernels ]]; then source_ensure; wycheproof_ensure; fi
    stage "$2"
    keep "$1" "make_$1" link.sh
    staged
}

wasm() {
    # A mistake in OPENSSL_TARBALL should be told even when nothing needs it.
    [[ -z ${OPENSSL_TARBALL:-} ]] || source_ensure
    find_keys
    module wasm openssl.wasm
    local kept=$cache/wasm/${keys[wasm]} target=dist/binding/openssl.wasm
    stage "$target"
    # What a build that was killed left behind must not be published.
    rm -f -- "$target".*
    if cmp -s -- "$kept/openssl.wasm" "$target"; then
        staged "up to date"
    else
        mkdir -p "${target%/*}"
        cp -- "$kept/openssl.wasm" "$target.new"
        mv -- "$target.new" "$target"
        staged
    fi
    cat -- "$kept/size"
}

# For the tests and the benchmarks, which find them at node_modules/.cache/wassl-…
show() {
    mkdir -p node_modules/.cache
    ln -sfn -- "$1" "node_modules/.cache/wassl-$2"
}
kernels() {
    find_keys
    module kernels kernels
    show "$cache/kernels/${keys[kernels]}" kernels
}
faults() {
    find_keys
    module faults "openssl.wasm with an allocator that fails"
    show "$cache/faults/${keys[faults]}/openssl.wasm" faults.wasm
}
named() {
    wasm
    show "$cache/wasm/${keys[wasm]}/openssl.wasm.named" named.wasm
}
sizes() {
    find_keys
    module map "openssl.wasm with the linker's map"
    node wasm/build/module.mjs objects "$cache/map/${keys[map]}/map"
}

# ---- verify ------------------------------------------------------------------------------------------------------

# Only the toolchain and the source come from the cache. The two builds share nothing, and differ in all that a build
# can pick up from where it runs: the directories' names, their lengths, and when it was.
verify() {
    local tree where sums=() kept
    find_keys
    toolchain
    source_ensure
    tree=$(mktemp -d "$cache/verify.XXXXXX")
    printf '%s\n' "$tree" >>"$scratch/trees"
    for where in "$tree/a" "$tree/a-directory-with-a-considerably-longer-name/and-one-more-level"; do
        stage "build $((${#sums[@]} + 1)) of 2" "$where"
        copy_inputs wasm "$where"
        mkdir "$where/work" "$where/out"
        # shellcheck source=wasm/build/libs.sh
        . "$where/wasm/build/libs.sh"
        # shellcheck source=wasm/build/link.sh
        . "$where/wasm/build/link.sh"
        libs=$where/libs
        make_libs "$where" "$where/work" "$libs"
        cd -- "$where"
        make_wasm "$where" "$where/work" "$where/out"
        cd -- "$project"
        sums+=("$(sum_of "$where/out/openssl.wasm")")
        staged
    done
    printf 'openssl.wasm, build 1: sha256 %s\nopenssl.wasm, build 2: sha256 %s\n' "${sums[@]}"
    [[ ${sums[0]} == "${sums[1]}" ]] || die "the two builds differ"
    kept=$cache/wasm/${keys[wasm]}/openssl.wasm
    if [[ -e $kept ]]; then
        [[ $(sum_of "$kept") == "${sums[0]}" ]] || die "the two builds agree, but $kept, made earlier of the same, differs"
    fi
    printf 'The build is reproducible.\n'
}

# ---- what was asked for ------------------------------------------------------------------------------------------

dependencies() {
    stage dependencies
    by_script dependencies.mjs
}
everything() {
    dependencies
    wasm
    stage TypeScript
    by_script typescript.mjs
    stage dist/binding/openssl-base64.js
    by_script inline.mjs
}

checkout_lock=checkout-$(printf '%s' "$project" | sha256sum | cut -c1-16)
if [[ ${1:-} == emcc ]]; then
    visible+=("$called_from")
    toolchain_find
    toolchain_ensure
    cd -- "$called_from"
    "${IN[@]}" "$@"
    exit
fi
for command in "${@:-all}"; do
    case $command in
    all) locked "$checkout_lock" everything ;;
    dependencies | wasm | kernels | faults | named | sizes) locked "$checkout_lock" "$command" ;;
    verify | toolchain) "$command" ;;
    *) die "usage: ./build.sh [all | dependencies | wasm | kernels | faults | named | sizes | verify | toolchain]… | emcc ARGS…" ;;
    esac
done

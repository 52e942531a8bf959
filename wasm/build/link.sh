# shellcheck shell=bash disable=SC2154
# The modules. A build runs the copy of this file that is among the copies of what goes into them (inputs.mjs), in the folder of
# these, so that the paths that the compiler sees are relative and the same everywhere. $libs has the archives.

# make_wasm IN WORK OUT: openssl.wasm; openssl.wasm.named, the same with the names of its functions; size, in words.
make_wasm() {
    link_wasm "$2/openssl.wasm"
    node wasm/build/module.mjs size "$2/openssl.wasm" "$BUDGET" >"$2/size" || die "$(<"$2/size")"
    mv -- "$2"/{openssl.wasm,openssl.wasm.named,size} "$3"
}

# What each object file has in openssl.wasm, in the linker's words.
make_map() {
    LINK_FLAGS+=("-Wl,-Map=$3/map")
    link_wasm "$2/openssl.wasm"
}

# openssl.wasm with test/faults/allocator.c in front of malloc.
make_faults() {
    WRAP_FLAGS+=("${FAULT_WRAP_FLAGS[@]}" test/faults/allocator.c)
    link_wasm "$2/openssl.wasm"
    mv -- "$2/openssl.wasm" "$3"
}

# For test/kernels: a module with wasm/kernels, one without them to compare it with, and vectors. These are in $tarball, and in
# $wycheproof.
make_kernels() {
    local data='*/data/'
    link_kernels "$3/kernels.wasm" wasm/kernels/*.c "${KERNEL_WRAP_FLAGS[@]}"
    link_kernels "$3/plain.wasm"
    tar -xzf "$tarball" -C "$3" --strip-components=4 --no-same-owner \
        "openssl-$OPENSSL_VERSION"/test/recipes/30-test_evp_data/{evpciph_aes_{common,ccm_cavs},evpciph_chacha,evpmac_poly1305}.txt
    # A Debian package is an ar archive with a tar archive in it.
    if have dpkg-deb; then dpkg-deb --fsys-tarfile "$wycheproof"; else ar p "$wycheproof" data.tar.xz | xz -dc; fi |
        tar -x -C "$3" --strip-components=8 --no-same-owner --wildcards \
            "$data"{aes_gcm,chacha20_poly1305,ecdh_secp256r1_ecpoint,ecdsa_secp256r1_sha256,rsa_signature_{2048,3072,4096}_sha256,rsa_pss_2048_sha256_mgf1_32}_test.json
}

# link_wasm OUT: compiles wasm/**.c and links them with the archives. What is linked before the archives stands in for what
# they have of the same name (wasm/instead/libc.c, wasm/kernels).
link_wasm() {
    local sources
    mapfile -t sources < <(find wasm -name '*.c' | LC_ALL=C sort)
    # What wasm/abi exports says so itself: the word EXPORT in abi.h.
    emcc_link "$1" /dev/null "${sources[@]}" "${WRAP_FLAGS[@]}" --profiling-funcs "$libs/libssl.a" "$libs/libcrypto.a"
    node wasm/build/snapshot.mjs "$1" "$1" "$1.named"
}

# link_kernels OUT [INPUTS…]: a module that exports OpenSSL's functions, which call those of the kernels if these are given.
link_kernels() {
    emcc_link "$1" test/kernels/exports.txt wasm/instead/libc.c test/kernels/montgomery.c "${@:2}" "$libs/libcrypto.a"
}

# emcc_link OUT EXPORTS INPUTS…
emcc_link() {
    local out=$1 exports input flags inputs=()
    exports=$(sed 's/#.*//' "$2" | awk 'NF { printf "%s_%s", comma, $1; comma = "," }')
    # The kernels' providers need headers that OpenSSL keeps to itself.
    flags=("${COMPILE_FLAGS[@]}" -DNDEBUG -Wall -Wextra -Wno-unused-parameter -Iwasm/abi -I"$libs/include" -I"$libs"
        -I"$libs/providers/implementations/include" -I"$libs/providers/common/include")
    for input in "${@:3}"; do
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
    node wasm/build/module.mjs imports "$out" "$IMPORTS" || die "$out needs more than entropy and a clock: see wasm/instead/libc.c"
}

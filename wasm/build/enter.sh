#!/usr/bin/env bash
# enter.sh ROOT EPOCH DIR… -- CMD ARGS…: runs CMD in the Debian that is unpacked at ROOT, in the current directory; CMD sees each DIR at
# its own path. Runs in a namespace of its own (toolchain.mjs), so that each mount goes when CMD does, whatever ended it.
#
# /tmp is fresh and in memory each time; /dev is the machine's, since /dev/null may be unusable in a cache on a "nodev" filesystem.
set -euo pipefail

root=$1 epoch=$2
shift 2
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
while [[ $1 != -- ]]; do
    mkdir -p "$root$1"
    mount --bind "$1" "$root$1"
    shift
done
shift
exec chroot "$root" /usr/bin/env -i --chdir="$(pwd -P)" PATH=/usr/local/bin:/usr/bin:/bin HOME=/tmp LC_ALL=C \
    SOURCE_DATE_EPOCH="$epoch" "$@"

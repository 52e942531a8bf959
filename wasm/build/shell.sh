# shellcheck shell=bash
# What each part of build.sh uses: telling, locks, folders to build in, what is kept, logs. Sourced by build.sh, which sets $project,
# $cache, $jobs, and ${keys[…]}.

say() { printf '   %s\n' "$*" >&2; }
die() { printf '\nbuild.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null; }
sum_of() { sha256sum -- "$1" | cut -d' ' -f1; }

# A stage announces itself, and how long it took.
stage() { stage_name=$1 stage_began=$EPOCHREALTIME; printf '== %s%s\n' "$1" "${2:+: $2}" >&2; }
staged() {
    local now=$EPOCHREALTIME us
    us=$((${now/[.,]/} - ${stage_began/[.,]/}))
    printf '   %s: %s in %d.%d s\n' "$stage_name" "${1:-done}" $((us / 1000000)) $((us % 1000000 / 100000)) >&2
}

# What a script says that it did ends the stage. In two steps: a command within the arguments of another one fails unseen.
by_script() {
    local did
    did=$(node "wasm/build/$1" "$cache")
    staged "$did"
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

# keep WHAT RECIPE: makes $cache/WHAT/KEY unless it is there. RECIPE, a function of the script in wasm/build that has the
# name $3, is given a copy of all that goes into WHAT, a directory to work in, and the one whose content is kept.
keep() { [[ -e $cache/$1/${keys[$1]} ]] || locked "$1-${keys[$1]}" keep_make "$@"; }

keep_make() {
    local kept=$cache/$1/${keys[$1]} aside=$cache/$1/build-${keys[$1]} tree
    [[ ! -e $kept ]] || return 0
    tree=$(new_tree "$aside")
    mkdir "$tree/work" "$tree/out"
    copy_inputs "$1" "$tree/in"
    # What is run is the copy too.
    # shellcheck source=/dev/null
    . "$tree/in/wasm/openssl.lock"
    # shellcheck source=/dev/null
    . "$tree/in/wasm/build/$3"
    cd -- "$tree/in"
    "$2" "$tree/in" "$tree/work" "$tree/out"
    cd -- "$project"
    mv -- "$tree/out" "$kept"
    remove_tree "$tree"
    rmdir -- "$aside"
}

copy_inputs() {
    local copied
    copied=$(node wasm/build/inputs.mjs copy "$1" "$2" "$toolchain_id")
    [[ $copied == "${keys[$1]}" ]] || die "a file that $1 is made of changed during the build; start it again"
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

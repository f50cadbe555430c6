#!/bin/bash
# Makes the repositories of the format that this version of ghost writes: t/golden/make.sh VERSION[-FEATURE]
# 1: without deltas. 1-delta: with contents and trees that are stored as differences, and chains of them. 1-generations: the
# same after a gc that condemned and freed a data file.
# Run it once, before the release of a format; what it made is then never changed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=${1:?usage: make.sh VERSION[-FEATURE]}
ghost=${GHOST:-$here/../../target/debug/ghost}
export LC_ALL=C TZ=UTC HOME=/nonexistent GHOST_HOST=host GHOST_USER=user GHOST_TIME=2026-01-02T03:04:05Z
export PATH="$(dirname "$ghost"):$PATH"
umask 022

if [ -e "$here/v$version" ]; then
    echo "$here/v$version is there: a golden repository is never changed" >&2
    exit 1
fi

# Bytes that do not compress and are the same on every machine: a chain of hashes.
noise() {
    local seed=$1 bytes=$2
    openssl enc -aes-128-ctr -K "$(printf %032x "$seed")" -iv 0 -in /dev/zero 2>/dev/null | head -c "$bytes" || true
}

fill() {
    mkdir -p tree/src/deep tree/empty tree/many
    printf 'hello\n' >tree/hello
    : >tree/nothing
    printf 'x' >tree/src/byte
    noise 1 20000 >tree/src/one-block
    noise 2 90000 >tree/src/many-blocks
    cat tree/src/many-blocks tree/src/one-block >tree/src/deep/repeats
    head -c 300000 /dev/zero >tree/src/zeros
    truncate -s 200000000 tree/sparse
    printf 'end' | dd of=tree/sparse bs=1 seek=199999000 conv=notrunc status=none
    ln tree/hello tree/src/hello-linked
    ln -s ../hello tree/src/link
    mkfifo tree/fifo
    printf 'bytes' >"$(printf 'tree/na\001me \303\244\377')"
    printf '#!/bin/sh\n' >tree/program
    chmod 750 tree/program tree/src/deep
    for number in $(seq 1000 1400); do : >"tree/many/a-longer-name-so-that-the-folder-is-split-$number"; done
    setfattr -n user.note -v value tree/hello tree/src
}

# A file that changes a little from snapshot to snapshot.
long() {
    seq -f 'line %.0f of a file that changes a little' 3000 | sed "$1" >tree/src/long
    touch -d "2026-01-0$2 00:00:00" tree/src/long tree/src
}

make_one() {
    local hash=$1 dir=$here/v$version/$1
    local work
    work=$(mktemp -d)
    cd "$work"
    ghost init --hash "$hash"
    # Small pieces, so that a small file has indirect blocks.
    ghost config set chunk.min 1KiB
    ghost config set chunk.avg 4KiB
    ghost config set chunk.max 16KiB
    fill
    [ "$version" = 1 ] && ghost config set delta.enabled false || long '' 1
    find tree -depth -exec touch -h -d '2026-01-01 00:00:00.5' {} + 2>/dev/null
    touch -d '1965-04-03 02:01:00.123456789' tree/src/byte
    touch -d '2100-01-01 00:00:00.000000001' tree/nothing
    ghost snapshot tree -m 'the first state' --tag first
    printf 'hello again\n' >tree/src/new
    rm tree/src/zeros
    touch -d '2026-01-02 00:00:00' tree/src/new tree/src
    if [ "$version" != 1 ]; then
        for change in 1 2; do
            long "s/line $((change * 700)) /this one, $change, /" 2
            ghost snapshot tree -m "between the states, $change"
        done
        long 's/line 2500 /the last, /; 100d' 3
    fi
    ghost snapshot tree -m 'the second state'
    if [ "$version" = 1-generations ]; then
        mkdir gone
        noise 3 500000 >gone/noise
        ghost snapshot gone --ref goes
        ghost update-ref -d refs/snapshots/goes
        ghost gc --max-unused 0
    fi
    mkdir -p "$dir"
    ghost rev-list --objects --all >"$dir/ids"
    "$here/describe.sh" tree >"$dir/expected"
    # Caches name devices and inodes of this machine.
    rm -rf .ghost/cache/* .ghost/log .ghost/reserve
    cp -r .ghost "$dir/.ghost"
    rm -rf "$work"
}

for hash in sha256 blake3 sha3-256; do make_one "$hash"; done
du -sh "$here/v$version"

#!/bin/bash
# Makes the bundles and the descriptor file of the format that this version of ghost writes: t/golden/make-bundle.sh VERSION
# Run it once, before the release of a format; what it made is then never changed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=${1:?usage: make-bundle.sh FORMAT-VERSION}
ghost=${GHOST:-$here/../../target/debug/ghost}
export LC_ALL=C TZ=UTC HOME=/nonexistent GHOST_HOST=host GHOST_USER=user GHOST_TIME=2026-01-02T03:04:05Z
umask 022

made=$here/bundles/v$version
if [ -e "$made" ]; then
    echo "$made is there: a golden bundle is never changed" >&2
    exit 1
fi
# The descriptions name it.
work=/tmp/ghost-golden
mkdir "$work"
trap 'rm -rf "$work"' EXIT
cd "$work"

# Bytes that do not compress and are the same on every machine.
noise() {
    openssl enc -aes-128-ctr -K "$(printf %032x "$1")" -iv 0 -in /dev/zero 2>/dev/null | head -c "$2" || true
}

mkdir -p tree/src
printf 'hello\n' >tree/hello
: >tree/nothing
noise 1 40000 >tree/src/one-block
noise 2 300000 >tree/src/several-blocks
ln tree/hello tree/src/hello-linked
ln -s ../hello tree/src/link
printf 'bytes' >"$(printf 'tree/na\001me \303\244\377')"
truncate -s 5000000 tree/sparse
printf 'end' | dd of=tree/sparse bs=1 seek=4900000 conv=notrunc status=none
find tree -depth -exec touch -h -d '2026-01-01 00:00:00.5' {} +
mkdir -p "$made"

# All of it, in two additions; then what a machine far away has, in a snapshot without contents.
"$ghost" gfs push tree "gfs:$made/tree.gfs"
printf 'hello again\n' >tree/src/new
touch -d '2026-01-02 00:00:00' tree/src/new tree/src
"$ghost" gfs push tree "gfs:$made/tree.gfs"
"$here/describe.sh" tree >"$made/expected"
"$ghost" snapshot -o "$made/tree.gs" tree
cp -a tree other
printf 'other\n' >other/hello
touch -d '2026-01-03 00:00:00' other/hello
GHOST_HOST=far "$ghost" gfs push other gfs:other.gfs
"$ghost" condense "snap:$made/tree.gs" gfs:other.gfs "gfs:$made/condensed.gfs"
"$ghost" ls -r "gfs:$made/condensed.gfs" >"$made/condensed"

# Descriptions as text.
"$ghost" init .
"$ghost" scan tree
GHOST_HOST=far "$ghost" scan other
"$ghost" export-desc --all -o "$made/all.ghostdesc"
du -sh "$made"

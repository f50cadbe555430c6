#!/bin/sh
# Describes a tree with tools that share nothing with ghost: kind, mode, time, links, target, checksums.
set -eu
export LC_ALL=C TZ=UTC
cd "$1"
# File systems differ in how they count the links of folders.
find . -mindepth 1 -type d -printf '%P %y %m %T@\n' | sort
find . ! -type d -printf '%P %y %m %T@ %n %s %l\n' | sort
find . -type f -print0 | sort -z | xargs -0 sha256sum

# Revisions: refs, and paths in snapshots, which ghost itself lists.
_ghost_revisions() {
    local -a found
    found=(${(f)"$(ghost complete-revision -- "$PREFIX" 2>/dev/null)"})
    (( $#found )) && compadd -S '' -a found
    _default
}


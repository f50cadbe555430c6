
# Revisions: refs, and paths in snapshots, which ghost itself lists.
_ghost_with_revisions() {
    _ghost "$@"
    local word="${COMP_LINE:0:COMP_POINT}"
    word="${word##*[[:space:]]}"
    [[ "$word" == -* ]] && return
    local command takes_revisions=
    for command in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$command" in
            @COMMANDS@) takes_revisions=yes ;;
        esac
    done
    [[ -n "$takes_revisions" ]] || return
    # Readline has cut the word behind its last colon and wants what follows.
    local cut=""
    [[ "$word" == *:* && "$COMP_WORDBREAKS" == *:* ]] && cut="${word%"${word##*:}"}"
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("${candidate#"$cut"}")
    done < <(ghost complete-revision -- "$word" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[/:] ]] && compopt -o nospace
}
complete -F _ghost_with_revisions -o bashdefault -o default ghost

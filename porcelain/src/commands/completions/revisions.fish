
# Revisions: refs, and paths in snapshots, which ghost itself lists.
complete -c ghost -n "__fish_ghost_using_subcommand @COMMANDS@" -a "(ghost complete-revision -- (commandline -ct) 2>/dev/null)"

# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ghost_global_optspecs
    string join \n C= repo= c= q/quiet v/verbose color= json progress h/help V/version
end

function __fish_ghost_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ghost_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ghost_using_subcommand
    set -l cmd (__fish_ghost_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ghost -n "__fish_ghost_needs_command" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_needs_command" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_needs_command" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_needs_command" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_needs_command" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_needs_command" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_needs_command" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_needs_command" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_needs_command" -s V -l version -d 'Print version'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "help" -d 'Show the help of a command or one of the pages exit-codes, revisions, json, environment'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "hash-object" -d 'Print the hash of each file\'s bytes, as sha256sum prints it'
complete -c ghost -n "__fish_ghost_using_subcommand completions" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand completions" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand completions" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand completions" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand completions" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand completions" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand completions" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand completions" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand help" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand help" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand help" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand help" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand help" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand help" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand help" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand help" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s h -l help -d 'Print help (see more with \'--help\')'

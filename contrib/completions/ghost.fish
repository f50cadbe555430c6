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
complete -c ghost -n "__fish_ghost_needs_command" -f -a "init" -d 'Make a repository'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "config" -d 'Show and change settings'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "help" -d 'Show the help of a command or one of the pages exit-codes, revisions, json, status-line, environment'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "hash-object" -d 'Print the hash of each file\'s bytes, as sha256sum prints it'
complete -c ghost -n "__fish_ghost_using_subcommand init" -l hash -d 'The hash that names contents; it cannot be changed later [default: sha256]' -r -f -a "sha256\t''
blake3\t''
sha3-256\t''"
complete -c ghost -n "__fish_ghost_using_subcommand init" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand init" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand init" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand init" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand init" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand init" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand init" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -a "get" -d 'Print the effective value of a key'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -a "set" -d 'Set a value in the repository\'s file'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -a "unset" -d 'Take a value out of the repository\'s file'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -a "list" -d 'List every key with its value and what it means'
complete -c ghost -n "__fish_ghost_using_subcommand config; and not __fish_seen_subcommand_from get set unset list dump" -a "dump" -d 'Print every effective value and where it came from'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -l user -d 'Set it in the user\'s file instead'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -l user -d 'Take it out of the user\'s file instead'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from unset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand config; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help (see more with \'--help\')'
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

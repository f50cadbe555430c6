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
complete -c ghost -n "__fish_ghost_needs_command" -f -a "snapshot" -d 'Keep the state of folders or files'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "status" -d 'Show what changed since the last snapshot'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "log" -d 'List snapshots, newest first'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "show" -d 'Show a snapshot and what it changed, or a file or folder in one'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "diff" -d 'Show what differs between snapshots, folders in them and live folders'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "dup" -d 'Find files with the same bytes, and make one of them'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "overlap" -d 'Tell which files of one tree are in others, by their bytes'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "find-duplicate" -d 'Find all files with the bytes of one file, or with a hash'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "copy" -d 'Copy snapshots from one repository to another, or files of a tree into a folder'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "ls" -d 'List what is in a snapshot or a folder of it'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "find" -d 'Find files in all snapshots of a line'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "cat" -d 'Write the contents of files in snapshots to standard output'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "reconstruct" -d 'Fill a folder with what a snapshot holds'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "gfs" -d 'Make, fill and list bundles: a whole store in one file'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "condense" -d 'Unite folders and snapshots into one snapshot'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "verify" -d 'Check that everything stored is there and as it was written, or that files are as they were seen'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "repair" -d 'Save what reads of a damaged repository, and record what is lost'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "heal" -d 'Put back what is lost or damaged, from files as they are now or from another repository'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "stats" -d 'Count what the repository holds and how much room it takes'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "forget" -d 'Forget snapshots, by a policy or by name'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "tag" -d 'Give snapshots names, list them, take them away'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "amend" -d 'Change what a snapshot says of itself: message, labels, machine, time'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "rewrite" -d 'Drop files and folders from snapshots of the past'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "reflog" -d 'Show what happened to refs, newest first: when, by whom, from where to where, and why'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "undo" -d 'Take back what the last change of refs did, or that of a record'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "gc" -d 'Free the room of everything that no ref needs any more'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "scan" -d 'Find what is on a file system, without storing any of it'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "describe" -d 'Show what is known of a file, of what a path once held, or of a content by its hash'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "where" -d 'Find every place where a content is or was'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "export-desc" -d 'Write descriptions of contents to a file, to be read by another catalogue'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "import-desc" -d 'Read descriptions that `ghost export-desc` wrote'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "clone" -d 'Make a repository of what another one has'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "remote" -d 'Name other repositories, and ask how they are'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "fetch" -d 'Bring snapshots from another repository'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "pull" -d 'Fetch a line, and move the own one forward to it'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "push" -d 'Bring snapshots to another repository'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "serve" -d 'Answer other programs that fetch and push'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "sync-block" -d 'Bring what single blocks lack from a remote, or send it there'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "sync-tree" -d 'Bring what one tree lacks from a remote, or send it there'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "send-pack" -d 'Write snapshots with all that they need to standard output'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "receive-pack" -d 'Take in what `ghost send-pack` wrote, from standard input'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "config" -d 'Show and change settings'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "complete-revision" -d 'List the revisions that begin with a word, for completion scripts'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "help" -d 'Show the help of a command or one of the pages exit-codes, revisions, json, status-line, environment'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "cat-block" -d 'Print the bytes of one stored object, whatever its kind'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "cat-file" -d 'Print a whole content, or a range of it'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "chunk" -d 'Show where files are cut: OFFSET LENGTH ID, one chunk a line'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "diff-tree" -d 'Compare two trees'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "dump-data" -d 'Print the frames of data files as text'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "hash-object" -d 'Print the ids of files\' contents, and store them with -w'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "index-data" -d 'Rebuild the index from the data files, and print how many objects it has'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "ls-tree" -d 'List what is in a tree'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "mksnapshot" -d 'Make a snapshot of a tree and print its id'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "mktree" -d 'Make a tree of the lines that ls-tree prints, and print its id'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "ref-log" -d 'Print what refs went through, newest first; check the log, or make a damaged one usable'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "rev-list" -d 'List snapshots that revisions lead to, newest first'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "rev-parse" -d 'Turn revisions into ids, and text forms into one another'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "show-ref" -d 'List refs and what they name'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "update-ref" -d 'Change what a ref names, if it names what is expected'
complete -c ghost -n "__fish_ghost_needs_command" -f -a "verify-data" -d 'Check data files: headers, commit records, payloads, and the hash of every object'
complete -c ghost -n "__fish_ghost_using_subcommand init" -l hash -d 'The hash that names contents; it cannot be changed later [default: sha256]' -r -f -a "sha256\t''
blake3\t''
sha3-256\t''"
complete -c ghost -n "__fish_ghost_using_subcommand init" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand init" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand init" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand init" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand init" -l plain -d 'Make a plain folder that others push to, without locks and without a program there'
complete -c ghost -n "__fish_ghost_using_subcommand init" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand init" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand init" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand init" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l ref -d 'The line that the snapshot goes to [default: the setting core.line, which is main]' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -s m -l message -d 'Why the snapshot is taken' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l tag -d 'A label; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l trust -d 'What proves that a file did not change: its stat values, or only its bytes' -r -f -a "stat\t''
hash\t''"
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l stdin -d 'Store standard input as one file of this name' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -s o -l output -d 'Write the snapshot to a new file instead of a repository: NAME.gs without contents, NAME.gfs with them' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l exclude -d 'Leave out what GLOB matches, as a line of .gitignore would; ! in front brings back' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l exclude-from -d 'Leave out what the patterns in FILE match' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l exclude-if-present -d 'Leave out what is in folders that hold NAME' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l exclude-larger-than -d 'Leave out files of more than SIZE bytes, such as 500M' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l dry-run -d 'Store nothing; tell what would be stored'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l no-delta -d 'Store what changed whole, not as the difference from what it replaces'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l init -d 'Make a repository in the working directory if there is none'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l ghosts-only -d 'Store no contents: only what they are and where they were seen'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l skip-if-unchanged -d 'Record nothing if the newest snapshot of the line is the same'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l exclude-caches -d 'Leave out what is in folders that a CACHEDIR.TAG marks as caches'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l one-file-system -d 'Leave out what is mounted below'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l no-ignore-files -d 'Do not look at .ghostignore files'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand snapshot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand status" -l ref -d 'The line to look at [default: the setting core.line]' -r
complete -c ghost -n "__fish_ghost_using_subcommand status" -l trust -d 'What proves that a file did not change: its stat values, or only its bytes' -r -f -a "stat\t''
hash\t''"
complete -c ghost -n "__fish_ghost_using_subcommand status" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand status" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand status" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand status" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand status" -l all-metadata -d 'Tell also of folders of which only the time differs'
complete -c ghost -n "__fish_ghost_using_subcommand status" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand status" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand status" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand status" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand log" -s n -l max-count -d 'List at most COUNT snapshots' -r
complete -c ghost -n "__fish_ghost_using_subcommand log" -s p -l path -d 'List only snapshots in which PATH changed, with what became of it; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand log" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand log" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand log" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand log" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand log" -l oneline -d 'One line a snapshot'
complete -c ghost -n "__fish_ghost_using_subcommand log" -l all -d 'Begin with the snapshots that any ref names, and list forgotten ones too'
complete -c ghost -n "__fish_ghost_using_subcommand log" -l follow -d 'Where PATH was moved to its place, go on with the place that it came from'
complete -c ghost -n "__fish_ghost_using_subcommand log" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand log" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand log" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand log" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand show" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand show" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand show" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand show" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand show" -l stat -d 'Count changed lines and bytes'
complete -c ghost -n "__fish_ghost_using_subcommand show" -s p -l patch -d 'Show changed lines of text'
complete -c ghost -n "__fish_ghost_using_subcommand show" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand show" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand show" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand show" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -s U -l unified -d 'Lines around changed ones' -r
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l trust -d 'What proves that a live file did not change: its stat values, or only its bytes' -r -f -a "stat\t''
hash\t''"
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand diff" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand diff" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l stat -d 'Count changed lines and bytes'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -s p -l patch -d 'Show changed lines of text'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l no-moves -d 'Do not look for what was moved or copied'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l all-metadata -d 'Tell also of folders of which only the time differs'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l min-size -d 'Leave out smaller files, such as 4K or 1M; 0 finds empty files too' -r
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l max-size -d 'Leave out larger files' -r
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l name -d 'Look only at files with such a name; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l exclude -d 'Leave out what GLOB matches, as a line of .gitignore would; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l action -d 'What to do with all but one file of each group' -r -f -a "report\t'Only tell'
hardlink\t'Make it another name of the file that stays'
reflink\t'Let it share the blocks of the file that stays (btrfs, XFS)'
symlink\t'Make it a symbolic link to the file that stays'
remove\t'Remove it'"
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l keep -d 'Which file stays: first, last, oldest, newest, shortest, or in=DIR for all below DIR; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l trust -d 'What proves that a file did not change: its times and size (stat), or nothing but its bytes (hash)' -r -f -a "stat\t''
hash\t''"
complete -c ghost -n "__fish_ghost_using_subcommand dup" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand dup" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l one-file-system -d 'Leave out what is mounted below'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -s 0 -l null -d 'End each path with NUL, and each group with one more'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l groups -d 'Print whole groups, the largest files first, when all folders were walked'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l as-found -d 'With --json or -0, too, print each file that equals one met before as soon as that is known, in no order'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l mix-owners -d 'Link files together also where owner, mode or attributes differ'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l yes -d 'Do it'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand dup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l trust -d 'What proves that a file did not change: its times and size (stat), or nothing but its bytes (hash)' -r -f -a "stat\t''
hash\t''"
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l copy-to -d 'Copy what is printed of the first tree into DIR, under the same paths' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l only-in-a -d 'Tell only of files that are in no B'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l common -d 'Tell only of files that are in a B'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l in-order -d 'Tell of each file of A once, in the order of paths'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l as-found -d 'With --json, -0 and --only-in-a, too, tell of each pair as soon as it is known, in no order'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -s 0 -l null -d 'End each path with NUL, and each file of A, with what was found of it, with one more; with --as-found, in pairs, of which the second is empty where nothing was found'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l overwrite -d 'Replace files in DIR that have other bytes'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand overlap" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -l copy-to -d 'Copy one of them, the first in the order of trees and paths, into DIR, under its name: so a content comes back that is known by its hash' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -s 0 -l null -d 'End each path with NUL'
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand find-duplicate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l not-in -d 'Files: copy only those whose bytes are nowhere in OTHER; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l common-with -d 'Files: copy only those whose bytes are in OTHER; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l name -d 'Files: call it so, where SRC is one file' -r
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand copy" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand copy" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l files -d 'Copy files, even where both are repositories'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l overwrite -d 'Files: replace those that have other bytes'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -s f -l force -d 'Snapshots: let lines of DST lose what is only there'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -s n -l dry-run -d 'Only say what would be copied'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand copy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand ls" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand ls" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand ls" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand ls" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand ls" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand ls" -s l -l long -d 'Show mode, owner, size and time too'
complete -c ghost -n "__fish_ghost_using_subcommand ls" -s r -l recursive -d 'Go into folders'
complete -c ghost -n "__fish_ghost_using_subcommand ls" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand ls" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand ls" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand ls" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand find" -s r -l rev -d 'Look through the snapshots behind REV; may be given again [default: the current line]' -r
complete -c ghost -n "__fish_ghost_using_subcommand find" -s k -l kind -d 'Only what is of this kind: file, dir, symlink, fifo, socket, chardev or blockdev' -r
complete -c ghost -n "__fish_ghost_using_subcommand find" -l min-size -d 'Only files of at least SIZE bytes' -r
complete -c ghost -n "__fish_ghost_using_subcommand find" -l max-size -d 'Only files of at most SIZE bytes' -r
complete -c ghost -n "__fish_ghost_using_subcommand find" -l newer -d 'Only what was changed at WHEN or later' -r
complete -c ghost -n "__fish_ghost_using_subcommand find" -l older -d 'Only what was changed before WHEN' -r
complete -c ghost -n "__fish_ghost_using_subcommand find" -l content -d 'Only files with this content: a FULLHASH, or a file that has it' -r
complete -c ghost -n "__fish_ghost_using_subcommand find" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand find" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand find" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand find" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand find" -l all -d 'Look through the snapshots that any ref names, and those before them'
complete -c ghost -n "__fish_ghost_using_subcommand find" -s i -l ignore-case -d 'Match letters whatever their case'
complete -c ghost -n "__fish_ghost_using_subcommand find" -s 0 -l null -d 'Print only paths, each with a NUL behind it'
complete -c ghost -n "__fish_ghost_using_subcommand find" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand find" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand find" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand find" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand find" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand cat" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand cat" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand cat" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand cat" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand cat" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand cat" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand cat" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand cat" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand cat" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand cat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l overwrite -d 'When a file that is there is written again' -r -f -a "always\t'When its content differs, which is found by reading it'
if-changed\t'When its size differs, or its time and then its content'
never\t'Never: what is there stays as it is'"
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l reflink -d 'Whether files of equal content share their blocks on disk; without WHEN, always' -r -f -a "auto\t'Where the file system can'
always\t'Always; a file that cannot is a problem'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l source -d 'Look for content in this tree, too: a directory, or a revision, snap:FILE or gfs:FILE; may be given again' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l test -d 'Write nothing; name what would be created, changed or deleted'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l delete -d 'Remove what the snapshot does not have'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l sparse -d 'Make holes of zeros, also where the source had none'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l symlink -d 'Make symbolic links to files that are found elsewhere; what is not comes from the repository'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l relative -d 'Make relative links'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l hardlink -d 'Make hard links to files that are found elsewhere on the same device, and copies of others'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l explain -d 'Say of each file where its content came from, and why other sources were passed over'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l numeric-owner -d 'Restore owners by number, not by name'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l privileged -d 'Restore also setuid and setgid bits, devices, security.* and trusted.* attributes'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand reconstruct" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -f -a "create" -d 'Make a bundle of a tree'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -f -a "push" -d 'Add what is missing until a tree can be made from the bundle alone, and check that it can'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -f -a "add" -d 'Add trees, snapshots and descriptions'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and not __fish_seen_subcommand_from create push add ls" -f -a "ls" -d 'List what a bundle holds'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l hash -d 'The hash of its ids [default: that of what is added, else sha256]' -r -f -a "sha256\t''
blake3\t''
sha3-256\t''"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l exclude -d 'Leave out what GLOB matches, as a line of .gitignore would; ! in front brings back' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l exclude-from -d 'Leave out what the patterns in FILE match' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l exclude-if-present -d 'Leave out what is in folders that hold NAME' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l exclude-larger-than -d 'Leave out files of more than SIZE bytes, such as 500M' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l ghosts-only -d 'Leave the contents of files out: only what they are and where they were is kept'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l descriptors -d 'Keep no tree, only a description of each content: its hash, dates, and where it was'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l exclude-caches -d 'Leave out what is in folders that a CACHEDIR.TAG marks as caches'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l one-file-system -d 'Leave out what is mounted below'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l no-ignore-files -d 'Do not look at .ghostignore files'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l exclude -d 'Leave out what GLOB matches, as a line of .gitignore would; ! in front brings back' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l exclude-from -d 'Leave out what the patterns in FILE match' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l exclude-if-present -d 'Leave out what is in folders that hold NAME' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l exclude-larger-than -d 'Leave out files of more than SIZE bytes, such as 500M' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l exclude-caches -d 'Leave out what is in folders that a CACHEDIR.TAG marks as caches'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l one-file-system -d 'Leave out what is mounted below'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l no-ignore-files -d 'Do not look at .ghostignore files'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from push" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l exclude -d 'Leave out what GLOB matches, as a line of .gitignore would; ! in front brings back' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l exclude-from -d 'Leave out what the patterns in FILE match' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l exclude-if-present -d 'Leave out what is in folders that hold NAME' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l exclude-larger-than -d 'Leave out files of more than SIZE bytes, such as 500M' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l ghosts-only -d 'Leave the contents of files out: only what they are and where they were is kept'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l descriptors -d 'Keep no tree, only a description of each content: its hash, dates, and where it was'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l exclude-caches -d 'Leave out what is in folders that a CACHEDIR.TAG marks as caches'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l one-file-system -d 'Leave out what is mounted below'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l no-ignore-files -d 'Do not look at .ghostignore files'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -s l -l long -d 'Show mode, owner, size and time too'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -s r -l recursive -d 'Go into folders'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -l roots -d 'List what was added, the last first, instead of the newest tree'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand gfs; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -s m -l message -d 'Why the snapshot is made' -r
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l exclude -d 'Leave out what GLOB matches, as a line of .gitignore would; ! in front brings back' -r
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l exclude-from -d 'Leave out what the patterns in FILE match' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l exclude-if-present -d 'Leave out what is in folders that hold NAME' -r
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l exclude-larger-than -d 'Leave out files of more than SIZE bytes, such as 500M' -r
complete -c ghost -n "__fish_ghost_using_subcommand condense" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand condense" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l ghosts-only -d 'Leave the contents of files out'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l exclude-caches -d 'Leave out what is in folders that a CACHEDIR.TAG marks as caches'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l one-file-system -d 'Leave out what is mounted below'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l no-ignore-files -d 'Do not look at .ghostignore files'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand condense" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l max-age -d 'Pass over what was read within AGE, such as 30d or 12h; of what is stored this means --data' -r
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l max-time -d 'Begin to read nothing more after TIME, such as 10m; the next run goes on there' -r
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l sample -d 'Read this share of the stored bytes, such as 5%: those that were read longest ago. Means --data' -r
complete -c ghost -n "__fish_ghost_using_subcommand verify" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand verify" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l path -d 'Take all arguments for paths'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l rev -d 'Take all arguments for revisions'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l quick -d 'Do not read trees'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l data -d 'Read every stored byte'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l fast -d 'Of files: compare sampled hashes where they are known, a few pages of each file'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand repair" -l add-parity -d 'Write recovery data for what has none, and do nothing else: PERCENT of the data, else what data.parity says' -r
complete -c ghost -n "__fish_ghost_using_subcommand repair" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand repair" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand repair" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand repair" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand repair" -s n -l dry-run -d 'Change nothing; tell what is wrong and what would be done'
complete -c ghost -n "__fish_ghost_using_subcommand repair" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand repair" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand repair" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand repair" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand heal" -l from -d 'Where to look: a directory, one with a repository in it (taken for that; DIR/. for its files), gfs:FILE or snap:FILE; may be given again' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand heal" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand heal" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand heal" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand heal" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand heal" -s n -l dry-run -d 'Change nothing; tell what is missing and whether it is to be had'
complete -c ghost -n "__fish_ghost_using_subcommand heal" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand heal" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand heal" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand heal" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand heal" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand stats" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand stats" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand stats" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand stats" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand stats" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand stats" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand stats" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand stats" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s l -l keep-last -d 'Keep the last N ("unlimited" is all)' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s H -l keep-hourly -d 'Keep the newest of each of the last N hours that have snapshots' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s d -l keep-daily -d 'Keep the newest of each of the last N days that have snapshots' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s w -l keep-weekly -d 'Keep the newest of each of the last N weeks (from Monday) that have snapshots' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s m -l keep-monthly -d 'Keep the newest of each of the last N months that have snapshots' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s y -l keep-yearly -d 'Keep the newest of each of the last N years that have snapshots' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l keep-within -d 'Keep what is at most DURATION older than the newest: years, months, weeks, days, hours, such as 1y6m or 30d' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l keep-within-hourly -d 'Of each hour within DURATION of the newest, keep the newest' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l keep-within-daily -d 'Of each day within DURATION of the newest, keep the newest' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l keep-within-weekly -d 'Of each week within DURATION of the newest, keep the newest' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l keep-within-monthly -d 'Of each month within DURATION of the newest, keep the newest' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l keep-within-yearly -d 'Of each year within DURATION of the newest, keep the newest' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l keep-tag -d 'Keep what has this label; one,two is both; given again, either; \'\' what has no label' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s g -l group-by -d 'What snapshots have in common that are looked at together: some of line,host,root, or \'\' [default: retention.group-by]' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l host -d 'Only snapshots of this machine; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l path -d 'Only snapshots taken of this folder or file; given again, of both' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l tag -d 'Only snapshots with this label; one,two is both; given again, either; \'\' those without labels' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l line -d 'Only snapshots of this line; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s n -l dry-run -d 'Change nothing; tell what would be done with each snapshot, and why'
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l restore -d 'Bring back the forgotten snapshots REV'
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand forget" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand tag" -s l -l list -d 'List the tags that a glob matches' -r
complete -c ghost -n "__fish_ghost_using_subcommand tag" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand tag" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand tag" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand tag" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand tag" -s d -l delete -d 'Take the tags NAME away; what they name stays'
complete -c ghost -n "__fish_ghost_using_subcommand tag" -s f -l force -d 'Move a tag that is there'
complete -c ghost -n "__fish_ghost_using_subcommand tag" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand tag" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand tag" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand tag" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand tag" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand amend" -s m -l message -d 'Why it was taken' -r
complete -c ghost -n "__fish_ghost_using_subcommand amend" -l tag -d 'Add the label T (+T or T), or take it away (-T); may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand amend" -l host -d 'The machine that it was taken on' -r
complete -c ghost -n "__fish_ghost_using_subcommand amend" -l time -d 'When it was taken, such as 2026-11-01T12:00' -r
complete -c ghost -n "__fish_ghost_using_subcommand amend" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand amend" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand amend" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand amend" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand amend" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand amend" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand amend" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand amend" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand amend" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -l exclude -d 'Drop what GLOB matches, as a line of .gitignore would, from the top of the snapshot; ! in front keeps; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -l exclude-from -d 'Drop what the patterns in FILE match' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -l all -d 'Look at the snapshots behind all lines and tags'
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -s n -l dry-run -d 'Change nothing; tell what would be dropped'
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand rewrite" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -s n -l max-count -d 'Show at most COUNT records' -r
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand reflog" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand undo" -s n -l last -d 'Take back the last COUNT records together' -r
complete -c ghost -n "__fish_ghost_using_subcommand undo" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand undo" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand undo" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand undo" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand undo" -l dry-run -d 'Change nothing; tell what would be done'
complete -c ghost -n "__fish_ghost_using_subcommand undo" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand undo" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand undo" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand undo" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand gc" -l max-unused -d 'Leave as much unused as this: a share of the repository, such as 5%, or a size [default: gc.max-unused, which is 5%]' -r
complete -c ghost -n "__fish_ghost_using_subcommand gc" -l max-repack -d 'Copy at most so many bytes of what lives' -r
complete -c ghost -n "__fish_ghost_using_subcommand gc" -l max-time -d 'Begin with no further data file after TIME, such as 10m; the next run goes on there' -r
complete -c ghost -n "__fish_ghost_using_subcommand gc" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gc" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand gc" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand gc" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand gc" -l dry-run -d 'Change nothing; tell what would become of each data file'
complete -c ghost -n "__fish_ghost_using_subcommand gc" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand gc" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand gc" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand gc" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l trust -d 'What proves that a file did not change: its stat values, or only its bytes; kept for the next scan of PATH' -r -f -a "stat\t''
hash\t''"
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l exclude -d 'Leave out what GLOB matches, as a line of .gitignore would; ! in front brings back' -r
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l exclude-from -d 'Leave out what the patterns in FILE match' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l exclude-if-present -d 'Leave out what is in folders that hold NAME' -r
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l exclude-larger-than -d 'Leave out files of more than SIZE bytes, such as 500M' -r
complete -c ghost -n "__fish_ghost_using_subcommand scan" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand scan" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l exclude-caches -d 'Leave out what is in folders that a CACHEDIR.TAG marks as caches'
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l one-file-system -d 'Leave out what is mounted below'
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l no-ignore-files -d 'Do not look at .ghostignore files'
complete -c ghost -n "__fish_ghost_using_subcommand scan" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand scan" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand scan" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand scan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand describe" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand describe" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand describe" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand describe" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand describe" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand describe" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand describe" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand describe" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand describe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand where" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand where" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand where" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand where" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand where" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand where" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand where" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand where" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand where" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -s o -l output -d 'The file to write, in place of one that is there' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -l all -d 'Everything that is known'
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand export-desc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand import-desc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l ref -d 'The line to have [default: the current line of the other]' -r
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l depth -d 'Bring only the newest N snapshots of each line; older ones come as forgotten, without their trees' -r
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand clone" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand clone" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l bare -d 'Make the repository alone: DIR is not filled'
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l lazy -d 'Bring refs, snapshots and folders; the data of files comes when it is read first'
complete -c ghost -n "__fish_ghost_using_subcommand clone" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand clone" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand clone" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand clone" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -f -a "add" -d 'Give a repository a name'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -f -a "list" -d 'Name all of them'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -f -a "remove" -d 'Forget one, with the lines that were fetched from it'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -f -a "rename" -d 'Give one another name'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -f -a "set-url" -d 'Say where one is now'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and not __fish_seen_subcommand_from add list remove rename set-url status" -f -a "status" -d 'Ask them how they are: version, latency, lines ahead and behind'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from rename" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from set-url" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand remote; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -s j -l jobs -d 'So many remotes at once' -r
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l depth -d 'Bring only the newest N snapshots of each line; older ones come as forgotten, without their trees' -r
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l deepen -d 'Bring the trees of N more snapshots of each line that a shallow clone left behind' -r
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l all -d 'Fetch from all remotes'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l prune -d 'Remove refs/remotes/NAME/LINE where the remote has no such line any more'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l unlazy -d 'Bring also all data of files that a lazy clone lacks; it is lazy no more then'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l unshallow -d 'Bring all of them, as far as the remote has them'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand fetch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand pull" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand pull" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand pull" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand pull" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand pull" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand pull" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand pull" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand pull" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand pull" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand pull" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand push" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand push" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand push" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand push" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand push" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand push" -l all -d 'All lines'
complete -c ghost -n "__fish_ghost_using_subcommand push" -l tags -d 'All tags, too'
complete -c ghost -n "__fish_ghost_using_subcommand push" -s f -l force -d 'Let lines lose what is only there'
complete -c ghost -n "__fish_ghost_using_subcommand push" -l force-with-lease -d 'The same, but only where the lines there are as they were when they were last fetched'
complete -c ghost -n "__fish_ghost_using_subcommand push" -l prune -d 'Remove lines there that are not here'
complete -c ghost -n "__fish_ghost_using_subcommand push" -s n -l dry-run -d 'Only say what would change'
complete -c ghost -n "__fish_ghost_using_subcommand push" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand push" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand push" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand push" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand push" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l socket -d 'Listen on this socket, for clients of the same user' -r -F
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l root -d 'Offer the repositories below this folder, by their paths in it, and no others' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l export -d 'Offer repositories by names, of which the first is the default one; without PATH, that at hand; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand serve" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand serve" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l stdio -d 'Talk to one client over standard input and output'
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l append-only -d 'Let clients add, and neither delete nor replace nor hide'
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l read-only -d 'Let clients read only'
complete -c ghost -n "__fish_ghost_using_subcommand serve" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand serve" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand serve" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -l push -d 'Send what the remote lacks, instead of bringing what is missing here'
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand sync-block" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -l push -d 'Send what the remote lacks, instead of bringing what is missing here'
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -l no-data -d 'Bring folders alone, not the data of files'
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand sync-tree" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -l not -d 'A snapshot that the other side has; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -l no-data -d 'Leave the bytes of files out'
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand send-pack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -l ref -d 'The line to make or to move to the first of them' -r
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -l limit-rate -d 'Bytes a second at most to or from remotes, such as 2MiB [default: io.remote-limit, which is no limit]' -r
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -l no-data -d 'The bytes of files may be missing'
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand receive-pack" -s h -l help -d 'Print help (see more with \'--help\')'
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
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand complete-revision" -s h -l help -d 'Print help (see more with \'--help\')'
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
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -s t -l kind -d 'Print the kind that it was stored as, in place of its bytes'
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand cat-block" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -l range -d 'Print LEN bytes from OFF only, fewer where the content ends before; without LEN, all from OFF' -r
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand cat-file" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l min -d 'Shortest chunk, such as 64KiB [default: as the repository has it]' -r
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l avg -d 'Mean length to aim at' -r
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l max -d 'Longest chunk' -r
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l histogram -d 'Count chunks by length, in steps of two, in place of listing them: FROM TO CHUNKS BYTES'
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l stat -d 'Show totals, shortest, mean and longest chunk, and why chunks end, in place of listing them'
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand chunk" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s r -d 'Go into folders'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s t -d 'Going into folders, list also those that differ only in what is in them'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -l name-only -d 'Show paths only'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -l name-status -d 'Show STATUS and paths only'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s M -l find-moves -d 'Find files that were moved or copied'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -l no-metadata -d 'Compare contents only'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s z -d 'End each path with NUL, and do not quote it'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand diff-tree" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -l no-objects -d 'Leave the objects out'
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand dump-data" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l append-to -d 'Hash what REF names with standard input behind it; only the last chunk of REF is cut again' -r
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s w -d 'Store the contents in the repository'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l stdin -d 'Hash standard input, before any FILE'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l stdin-paths -d 'Read paths from standard input, one a line'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s z -d 'Paths that are read, and lines of --entry, end with NUL and are not quoted'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l fullhash -d 'Print the plain hash of all bytes'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l ref -d 'Print the whole content ref, which cat-file and mktree take'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l entry -d 'Print lines as ls-tree does, of anything that is at the paths; links are not followed'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand hash-object" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -l check -d 'Change nothing; check the index, and print what is wrong with it'
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand index-data" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s r -d 'Go into folders; list what is in them in place of them'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s t -d 'Going into folders, list them as well'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s d -d 'List folders only'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s l -d 'Show the size of each file in bytes'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -l name-only -d 'Show paths only'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s z -d 'End each record with NUL, and do not quote paths'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand ls-tree" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -s p -d 'A snapshot that the new one follows; the main one first' -r
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -s m -l message -d 'Why it is made' -r
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -l tag -d 'A label; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -l time -d 'When it was taken: a time such as 2026-11-01T12:00, or @SECONDS since 1970 [default: now]' -r
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand mksnapshot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -s z -d 'Records end with NUL, and paths are not quoted'
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -l missing -d 'Do not ask that what the lines refer to is in the repository'
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand mktree" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -s n -l max-count -d 'Print at most this many changes' -r
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -l check -d 'Change nothing; read the whole log and its checkpoints, and print what is wrong with them'
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -l salvage -d 'Make a usable log of a damaged one, with the newest values that can be read, and print where the damaged one is kept'
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand ref-log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -s n -l max-count -d 'List so many snapshots at most' -r
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l objects -d 'List also all objects that the snapshots lead to, once each: ID SPACE KIND SPACE PATH'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l parents -d 'Print the parents of each snapshot behind it'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l reverse -d 'List the oldest first'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l first-parent -d 'Follow only the first parent of each snapshot'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l all -d 'Begin with what every ref names, and list forgotten snapshots too; --objects leaves out theirs'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -s z -d 'End each record with NUL, and do not quote paths'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand rev-list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -l short -d 'Print the shortest beginning of each id that no other object has, of N digits at least' -r
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -l form -d 'How to print what is named' -r -f -a "id\t'HASH:HEX'
hex\t'HEX alone'
dotted\t'HEX.HASH'
ref\t'The text form that needs no repository to be understood, such as tree:HASH:HEX or HASH:HEX+LENGTH'
uri\t'That text form as a URI'
kind\t'snapshot, tree, block, indirect, or content for what is no object of its own'"
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -l verify -d 'Ask that there is one revision, and that what it names is stored'
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -s q -l quiet -d 'With --verify: say nothing where it is not so, but exit with 1'
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -l symbolic-full-name -d 'Print the full name of the ref that each revision begins with, in place of an id'
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand rev-parse" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -l lines -d 'List lines of snapshots only'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -l tags -d 'List tags only'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -l head -d 'List first what @ names: the newest snapshot of the current line'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -s d -l dereference -d 'List behind each snapshot its tree, as NAME^{tree}'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -s s -l hash -d 'Print ids only'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand show-ref" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -s m -l message -d 'Why; kept in the ref log' -r
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -s d -d 'Delete the ref'
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -l stdin -d 'Read changes from standard input and make them all, or none'
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -s z -d 'With --stdin: commands end with NUL'
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand update-ref" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -s C -d 'Work in DIR as if ghost had been started there' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -l repo -d 'Use the repository of DIR (DIR/.ghost, or DIR itself if it is one) instead of looking upward' -r -f -a "(__fish_complete_directories)"
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -s c -d 'Set a configuration value for this run only; may be given again' -r
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -l color -d 'Use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -l quick -d 'Check headers and commit records only, and read no payload'
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -s q -l quiet -d 'Say nothing but errors and what was asked for'
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -s v -l verbose -d 'Say more; twice for details'
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -l json -d 'Print one JSON object a line, the summary last'
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -l progress -d 'Show progress even where standard error is not a terminal'
complete -c ghost -n "__fish_ghost_using_subcommand verify-data" -s h -l help -d 'Print help (see more with \'--help\')'

# Revisions: refs, and paths in snapshots, which ghost itself lists.
complete -c ghost -n "__fish_ghost_using_subcommand cat cat-file diff diff-tree log ls ls-tree reconstruct rev-list rev-parse show stats verify" -a "(ghost complete-revision -- (commandline -ct) 2>/dev/null)"

//! What all commands share, as pages of `ghost help TOPIC`; the man page `ghost.1` ends with them.

/// A page.
#[derive(Debug)]
pub struct Topic {
    /// The word after `ghost help`.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The page.
    pub text: &'static str,
}

/// All pages.
pub const TOPICS: &[Topic] = &[
    Topic {
        name: "exit-codes",
        about: "How ghost ends, for scripts",
        text: EXIT_CODES,
    },
    Topic {
        name: "revisions",
        about: "How snapshots, trees and paths in them are named",
        text: REVISIONS,
    },
    Topic {
        name: "json",
        about: "What --json prints",
        text: JSON,
    },
    Topic {
        name: "status-line",
        about: "What the line says that shows how far a long job is",
        text: STATUS_LINE,
    },
    Topic {
        name: "hooks",
        about: "Programs that run before and after jobs",
        text: HOOKS,
    },
    Topic {
        name: "environment",
        about: "Variables, files and signals",
        text: ENVIRONMENT,
    },
];

/// The exit codes.
pub const EXIT_CODES: &str = "\
Every command ends with one of these codes:

  0   done
  1   failed; the message says why and what to do next
  2   wrong usage: an unknown option, a value that makes no sense
  3   done, but some files could not be read or written; each was named
  4   damage found: stored bytes are not what was written, or are gone
  5   a compare-and-swap lost: a ref was not at the expected value; look again and retry
  130 interrupted by Ctrl-C or SIGTERM; what was stored is kept and is not stored again

A reader that closes the pipe (ghost log | head) ends ghost quietly with code 0.
";

/// The grammar of revisions.
pub const REVISIONS: &str = "\
Wherever a command takes REV:

  @                   the newest snapshot of the current line
  main                the newest snapshot of the line main (refs/snapshots/main)
  refs/tags/v1        any ref by its full name
  REV~3, REV^2        three snapshots before REV; its second parent
  REV@{2 days ago}    where REV was then; also REV@{2026-11-01}, REV@{1} (one change back)
  sha256:4f1c..., 4f1c2d3   an id, or its first seven digits or more
  REV:path/in/it      a file or directory in the snapshot; REV: is its top directory
  gfs:FILE, snap:FILE what was added last to a bundle; gfs:FILE@{1} one addition before, gfs:FILE@{main} under
                      this name; gfs:FILE:path/in/it something in it. No repository is needed to read one.
  URL, URL:REV, URL:REV:path/in/it   the same in another repository, for ls, cat, diff, reconstruct and others that
                      only read; objects come as they are needed, and no repository is needed here. URL is
                      ssh://HOST/PATH, file://PATH, dir:PATH, unix:SOCKET, HOST:/PATH, USER@HOST:PATH, or a path that
                      begins with / or . and is a repository. HOST:PATH alone is a revision; url:HOST:PATH is none.
                      `::` ends a URL that has colons, and ext::COMMAND always: ext::COMMAND::REV:path/in/it

@: is the tree of the newest snapshot of the current line. Forgotten snapshots are passed over: @ and dates mean the
newest one that is left, ~N and ^N count those that are left. By id, and as REV@{1}, they can still be named.
";

/// What `--json` prints.
pub const JSON: &str = "\
With --json a command prints one JSON object a line on standard output. Every object has a field \"type\"; the last
one is the summary, whose type is \"summary\". Fields are in snake_case; new ones may be added, none is renamed or
removed. Numbers of bytes end in _bytes; instants are RFC 3339 strings with nanoseconds; ids are tagged
(sha256:...). A name or path that is not UTF-8 is shown with replacement characters and given exactly, in hexadecimal
digits, in a second field that ends in _hex. Errors go to standard error as objects of the type \"error\" with the
fields message, hints and exit_code. With --progress, objects of the type \"progress\" come about once a second.
";

/// The template of progress.
pub const STATUS_LINE: &str = "\
On a terminal, a long job renews one line that says how far it is. The setting ui.status is its template:

  {FIELD}          a number
  {FIELD|human}    a number for people: 1.50 MiB, 78,123, 3 min 05 s
  [...]            left out while a field in it is not known

Fields: phase, files, files_total, bytes, bytes_total, percent, rate (bytes a second), new_count, new_bytes (blocks
that the repository did not have; also add_count, add_bytes), known_count, known_bytes, elapsed, left (seconds).

  ghost -c 'ui.status={files} files[, {percent}%][, {left|human} left]' snapshot
";

/// Programs that run before and after jobs.
pub const HOOKS: &str = "\
A hook is a program in .ghost/hooks/ with one of these names, executable, a file of its own (no link) that belongs to
the user who runs ghost and that nobody else may write; the same holds for the folder. One that is not executable is
none. A hook that breaks the other rules is not run, and counts as one that failed. Ghost never puts a program there:
none comes with a clone or a fetch, none is restored, and nothing in a snapshot is ever run.

  name           arguments          input    when
  pre-snapshot   ROOT...            -        before anything is read; not with --dry-run
  post-snapshot  ID                 changes  after it was recorded
  pre-push       REMOTE URL         changes  before anything is sent; old values are those of the remote
  pre-receive    -                  changes  what a peer sent is there, and no ref was changed
  update         REF OLD NEW        -        the same, once for each ref
  post-receive   -                  changes  after the refs were changed
  pre-prune      -                  -        before a gc frees anything
  post-verify    clean|damaged      -        after the repository was checked
  on-failure     COMMAND CODE       message  after a command that changes a repository failed

Input named changes is a line for each ref: OLD NEW REF, with 64 zeros for none. A hook need not read it.

A hook whose name begins with pre-, and update, stops the job unless it ends with code 0: then nothing was changed,
and ghost ends with code 1. The others run when all is done; one that fails is told of. What a hook prints, on either
stream, is shown on standard error, escaped; with -q only of one that fails.

Hooks run in the folder .ghost, with the environment of ghost and with

  GHOST_DIR       the folder .ghost; so ghost finds this repository in a hook
  GHOST_HOOK      the name of the hook; what a hook starts runs no hooks itself
  GHOST_LINE      the ref that a snapshot goes to (pre-snapshot, post-snapshot)
  GHOST_PROBLEMS  how many files could not be read (post-snapshot)
  GHOST_PEER      who sent something (pre-receive, update, post-receive)

One that runs longer than hooks.timeout seconds is ended, with all that it started. hooks.enabled=false passes all
over. Examples are in contrib/hooks.
";

/// Variables, files and signals.
pub const ENVIRONMENT: &str = "\
Variables:

  GHOST_DIR        the repository to use, as --repo says
  GHOST_CONFIG     the user's configuration file, instead of ~/.config/ghost/config
  XDG_CONFIG_HOME  where the folder ghost/ with the user's configuration is, instead of ~/.config
  GHOST_HOST, GHOST_USER   the machine and the user that new snapshots name
  GHOST_SSH        the program that is called for ssh; GHOST_SSH_COMMAND, a command line for a shell instead
  GHOST_TIME       what the time is taken to be: RFC 3339, or seconds since 1970
  TMPDIR           the folder for temporary files, instead of /tmp
  NO_COLOR         no colours, whatever its value

Configuration is read in this order, later ones win: defaults, the user's file, the repository's file .ghost/config,
-c KEY=VALUE. `ghost config dump` shows every value and where it came from.

Errors, warnings and the jobs that change a repository are also told to its log, .ghost/log (log.level, log.max-size,
log.max-age and log.keep in the configuration); a log that cannot be written fails no command.

Signals:

  SIGINT, SIGTERM  end cleanly: what was stored is kept; a second one ends at once
  SIGUSR1          print the state of a long job once on standard error
";

#[cfg(test)]
mod tests {
    #[test]
    fn pages_fit_a_terminal() {
        for topic in super::TOPICS {
            assert!(topic.text.lines().all(|line| line.len() <= 118), "{}", topic.name);
            assert!(topic.text.ends_with('\n'));
        }
    }
}

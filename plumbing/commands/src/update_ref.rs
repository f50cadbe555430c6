//! `ghost update-ref`.

use clap::Args;
use ghost_plumbing::Error;
use ghost_plumbing::refs::{Expected, Named, RefChange, Who};
use ghost_plumbing::repository::Leans;

use crate::context::{CommandError, CommandResult, Context, Outcome};
use crate::output::{Termination, read_record};

/// Change what a ref names, if it names what is expected
///
/// REF is a full name such as refs/snapshots/main. OLD is what it must name now; zeros, or nothing between quotes, say
/// that there must be no such ref. The change is one record of the ref log; where OLD is not what is there, the exit
/// code is 5 and nothing is changed.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = STDIN_HELP)]
pub struct UpdateRef {
    /// Delete the ref
    #[arg(short, conflicts_with = "stdin")]
    delete: bool,
    /// Why; kept in the ref log
    #[arg(short, long, value_name = "TEXT", default_value = "update-ref")]
    message: String,
    /// Read changes from standard input and make them all, or none
    #[arg(long)]
    stdin: bool,
    /// With --stdin: commands end with NUL
    #[arg(short = 'z', requires = "stdin")]
    nul: bool,
    /// The ref
    #[arg(value_name = "REF", required_unless_present = "stdin", conflicts_with = "stdin")]
    name: Option<String>,
    /// What it is to name: an id or a revision; with -d, what it must name now
    #[arg(value_name = "NEW")]
    new: Option<String>,
    /// What it must name now
    #[arg(value_name = "OLD")]
    old: Option<String>,
}

const STDIN_HELP: &str = "\
Commands of --stdin, one a line:
  update REF NEW [OLD]   set REF to NEW
  create REF NEW         set REF, which must not be there
  delete REF [OLD]       delete REF
  verify REF [OLD]       change nothing, but ask that REF names OLD; without OLD, that there is no REF
  start                  begin a transaction; what came before must have been committed
  commit                 make the changes since `start` in one record
  abort                  forget the changes since `start`
What stands outside of `start` and `commit` is one transaction, made at the end of the input.";

impl UpdateRef {
    /// Makes the change or the changes.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        if self.stdin {
            return self.run_stdin(ctx);
        }
        let name = self.name.unwrap_or_default();
        let change = match (self.delete, self.new, self.old) {
            (true, old, None) => delete(ctx, name, old.as_deref())?,
            (false, Some(new), old) => update(ctx, name, &new, old.as_deref())?,
            (true, _, Some(_)) => return Err(CommandError::Usage("-d takes REF and OLD, not NEW".to_owned())),
            (false, None, _) => return Err(CommandError::Usage("expected NEW, or -d".to_owned())),
        };
        make(ctx, &[change], &self.message)?;
        Ok(Outcome::Done)
    }

    fn run_stdin(self, ctx: &mut Context<'_>) -> CommandResult {
        let end = Termination::from_flag(self.nul);
        let mut pending = Pending::default();
        let mut record = Vec::new();
        let mut number = 0;
        while read_record(ctx.input, end, &mut record).map_err(Error::io("read", "standard input"))? {
            number += 1;
            let bad = |problem: String| CommandError::Input {
                input: "command",
                number,
                problem,
            };
            let line = std::str::from_utf8(&record).map_err(|_| bad("it is not UTF-8".to_owned()))?;
            let words: Vec<&str> = line.split(' ').collect();
            match pending.control(&words).map_err(bad)? {
                Control::Nothing => {}
                Control::Change => pending.changes.push(parse(ctx, &words, bad)?),
                Control::Commit => {
                    make(ctx, &std::mem::take(&mut pending.changes), &self.message)?;
                    pending.started = false;
                }
            }
        }
        if !pending.started {
            make(ctx, &pending.changes, &self.message)?;
        }
        Ok(Outcome::Done)
    }
}

/// Changes that are not made yet.
#[derive(Default)]
struct Pending {
    started: bool,
    changes: Vec<RefChange>,
}

enum Control {
    Nothing,
    Change,
    Commit,
}

impl Pending {
    fn control(&mut self, words: &[&str]) -> Result<Control, String> {
        match words {
            ["start"] if self.started || !self.changes.is_empty() => {
                Err("`start` while a transaction is open".to_owned())
            }
            ["start"] => {
                self.started = true;
                Ok(Control::Nothing)
            }
            ["commit" | "abort"] if !self.started => Err(format!("`{}` without `start`", words[0])),
            ["commit"] => Ok(Control::Commit),
            ["abort"] => {
                *self = Self::default();
                Ok(Control::Nothing)
            }
            _ => Ok(Control::Change),
        }
    }
}

fn parse(ctx: &mut Context<'_>, words: &[&str], bad: impl FnOnce(String) -> CommandError) -> CommandResult<RefChange> {
    match *words {
        ["update", name, new] => update(ctx, name.to_owned(), new, None),
        ["update", name, new, old] => update(ctx, name.to_owned(), new, Some(old)),
        ["create", name, new] => update(ctx, name.to_owned(), new, Some("")),
        ["delete", name] => delete(ctx, name.to_owned(), None),
        ["delete", name, old] => delete(ctx, name.to_owned(), Some(old)),
        ["verify", name] => verify(ctx, name.to_owned(), ""),
        ["verify", name, old] => verify(ctx, name.to_owned(), old),
        _ => Err(bad(format!("{:?} is not a command: see --help", words.join(" ")))),
    }
}

fn update(ctx: &mut Context<'_>, name: String, new: &str, old: Option<&str>) -> CommandResult<RefChange> {
    let expected = expected(ctx, old)?;
    // A ref names a snapshot or a tree that is there: an id of anything else would be lost at the next collection.
    let new = match ctx.resolve(new)?.named {
        Named::Snapshot(id) | Named::Tree(id) => Some(id),
        _ => return Err(Error::invalid("revision", new, "expected a snapshot or a tree").into()),
    };
    Ok(RefChange { name, expected, new })
}

fn delete(ctx: &mut Context<'_>, name: String, old: Option<&str>) -> CommandResult<RefChange> {
    let expected = expected(ctx, old)?;
    // Deleting what is not there is a mistake that must be heard, as in git.
    if expected == Expected::Any && ctx.repository()?.refs.get(&name)?.is_none() {
        return Err(Error::NotFound { what: "ref", name }.into());
    }
    Ok(RefChange {
        name,
        expected,
        new: None,
    })
}

fn verify(ctx: &mut Context<'_>, name: String, old: &str) -> CommandResult<RefChange> {
    let expected = expected(ctx, Some(old))?;
    let new = match expected {
        Expected::Is(id) => Some(id),
        Expected::Any | Expected::Absent => None,
    };
    Ok(RefChange { name, expected, new })
}

/// What OLD says: nothing between quotes and zeros ask that there is no such ref.
fn expected(ctx: &mut Context<'_>, old: Option<&str>) -> CommandResult<Expected> {
    Ok(match old {
        None => Expected::Any,
        Some(zeros) if zeros.bytes().all(|digit| digit == b'0') => Expected::Absent,
        Some(old) => Expected::Is(ctx.object_id(old)?),
    })
}

fn make(ctx: &mut Context<'_>, changes: &[RefChange], message: &str) -> CommandResult<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let who = Who {
        author: ctx.author.clone(),
        host: ctx.host.clone(),
        time: ctx.now,
    };
    // What is named may have been put by other processes, long ago: a ref must not name what is not whole.
    ctx.writable()?.commit(changes, &who, message, Leans::Anything)?;
    Ok(())
}

//! `ghost show-ref`.

use clap::Args;
use ghost_plumbing::object::{ObjectId, ObjectKind};
use ghost_plumbing::refs::line_ref;
use ghost_plumbing::refs::revision::read_snapshot;
use globset::Glob;
use serde::Serialize;

use crate::context::{CommandError, CommandResult, Context, Outcome};
use crate::output::json_line;

/// List refs and what they name
///
/// Each ref is one line: ID SPACE NAME. Without any, nothing is printed and the exit code is 1.
#[derive(Args, Clone, Debug)]
pub struct ShowRef {
    /// List lines of snapshots only
    #[arg(long)]
    lines: bool,
    /// List tags only
    #[arg(long)]
    tags: bool,
    /// List first what @ names: the newest snapshot of the current line
    #[arg(long)]
    head: bool,
    /// List behind each snapshot its tree, as NAME^{tree}
    #[arg(short, long)]
    dereference: bool,
    /// Print ids only
    #[arg(long, short = 's')]
    hash: bool,
    /// Only refs whose name is this or ends with a slash and this, or that this glob matches whole
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
}

#[derive(Serialize)]
struct JsonRef<'a> {
    name: &'a str,
    id: String,
}

impl ShowRef {
    /// Prints the refs, sorted by name.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let patterns = self.patterns.iter().map(|text| Pattern::new(text));
        let patterns = patterns.collect::<CommandResult<Vec<_>>>()?;
        let repository = ctx.repository()?;
        let mut outcome = Outcome::Nothing;
        if self.head {
            let line = line_ref(&repository.settings().core_line)?;
            if let Some(id) = repository.refs.get(&line)? {
                outcome = Outcome::Done;
                self.print(ctx, "@", &id)?;
            }
        }
        for (name, id) in repository.refs.list("refs/")? {
            if !self.is_of_class(&name) || !(patterns.is_empty() || patterns.iter().any(|pattern| pattern.fits(&name)))
            {
                continue;
            }
            outcome = Outcome::Done;
            self.print(ctx, &name, &id)?;
            if self.dereference && repository.store.kind_of(&id)? == Some(ObjectKind::Snapshot) {
                let tree = read_snapshot(&repository.store, &id)?.tree;
                self.print(ctx, &format!("{name}^{{tree}}"), &tree)?;
            }
        }
        Ok(outcome)
    }

    fn is_of_class(&self, name: &str) -> bool {
        let any = !self.lines && !self.tags;
        any || (self.lines && name.starts_with("refs/snapshots/")) || (self.tags && name.starts_with("refs/tags/"))
    }

    fn print(&self, ctx: &mut Context<'_>, name: &str, id: &ObjectId) -> CommandResult<()> {
        if ctx.json {
            let id = id.to_string();
            json_line(ctx.out, "ref", &JsonRef { name, id })?;
        } else if self.hash {
            writeln!(ctx.out, "{id}")?;
        } else {
            writeln!(ctx.out, "{id} {name}")?;
        }
        Ok(())
    }
}

enum Pattern {
    End(String),
    Glob(globset::GlobMatcher),
}

impl Pattern {
    fn new(text: &str) -> CommandResult<Self> {
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::End(text.to_owned()));
        }
        let glob = Glob::new(text).map_err(|error| CommandError::Usage(error.to_string()))?;
        Ok(Self::Glob(glob.compile_matcher()))
    }

    fn fits(&self, name: &str) -> bool {
        match self {
            Self::End(end) => name
                .strip_suffix(end.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('/')),
            Self::Glob(glob) => glob.is_match(name),
        }
    }
}

//! `ghost rev-parse`.

use std::ffi::{OsStr, OsString};

use clap::{Args, ValueEnum};
use ghost_plumbing::Error;
use ghost_plumbing::object::text::{TextRef, Uri, UriTarget};
use ghost_plumbing::object::{ContentRef, IdPrefix, ObjectId};
use ghost_plumbing::refs::Named;
use ghost_plumbing::repository::Repository;
use serde::Serialize;

use crate::context::{CommandError, CommandResult, Context, Outcome};
use crate::output::json_line;

/// Turn revisions into ids, and text forms into one another
///
/// A revision is @, a ref, an id or its beginning, REV~3, REV^2, REF@{2 days ago}, REV:PATH, a content ref or a URI.
#[derive(Args, Clone, Debug)]
pub struct RevParse {
    /// Ask that there is one revision, and that what it names is stored
    #[arg(long)]
    verify: bool,
    /// With --verify: say nothing where it is not so, but exit with 1
    #[arg(short, long, requires = "verify")]
    quiet: bool,
    /// Print the shortest beginning of each id that no other object has, of N digits at least
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "7")]
    short: Option<usize>,
    /// How to print what is named
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Id, conflicts_with = "short")]
    form: Form,
    /// Print the full name of the ref that each revision begins with, in place of an id
    #[arg(long, conflicts_with_all = ["short", "form"])]
    symbolic_full_name: bool,
    /// The revisions
    #[arg(value_name = "REV", required = true)]
    revisions: Vec<OsString>,
}

/// Ways to write what is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// HASH:HEX
    Id,
    /// HEX alone
    Hex,
    /// HEX.HASH
    Dotted,
    /// The text form that needs no repository to be understood, such as tree:HASH:HEX or HASH:HEX+LENGTH
    Ref,
    /// That text form as a URI
    Uri,
    /// snapshot, tree, block, indirect, or content for what is no object of its own
    Kind,
}

#[derive(Serialize)]
struct JsonRevision {
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    kind: &'static str,
    #[serde(rename = "text", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl RevParse {
    /// Prints one line for each revision.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        if self.verify && self.revisions.len() != 1 {
            return Err(CommandError::Usage("--verify takes one revision".to_owned()));
        }
        let mut lines = Vec::new();
        for revision in &self.revisions {
            match self.line(ctx, revision) {
                Ok(line) => lines.push(line),
                Err(CommandError::Plumbing(
                    Error::NotFound { .. } | Error::Missing { .. } | Error::Ambiguous { .. } | Error::Invalid { .. },
                )) if self.quiet => return Ok(Outcome::Nothing),
                Err(error) => return Err(error),
            }
        }
        for line in lines {
            ctx.out.write_all(line.as_bytes())?;
        }
        Ok(Outcome::Done)
    }

    fn line(&self, ctx: &mut Context<'_>, text: &OsStr) -> CommandResult<String> {
        let revision = ctx.resolve(text)?;
        let named = &revision.named;
        if self.verify {
            verify(&*ctx.repository()?, named)?;
        }
        if ctx.json {
            let record = JsonRevision {
                revision: text.to_string_lossy().into_owned(),
                id: named.id().map(|id| id.to_string()),
                kind: kind(named),
                reference: named.text().map(|text| text.to_string()),
                name: revision.ref_name,
            };
            let mut line = Vec::new();
            json_line(&mut line, "revision", &record)?;
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        let no_object = |what| Error::invalid("revision", text.display(), format_args!("expected {what}"));
        let line = if self.symbolic_full_name {
            revision
                .ref_name
                .ok_or_else(|| no_object("one that begins with a ref"))?
        } else if let Some(digits) = self.short {
            let id = named.id().ok_or_else(|| no_object("something that is an object"))?;
            shorten(&*ctx.repository()?, &id, digits)?
        } else {
            self.form
                .print(named)
                .ok_or_else(|| no_object("something that has this form"))?
        };
        Ok(line + "\n")
    }
}

impl Form {
    fn print(self, named: &Named) -> Option<String> {
        Some(match self {
            // What is no object of its own, such as a run of zeros, has its text form only.
            Self::Id => match named.id() {
                Some(id) => id.to_string(),
                None => named.text()?.to_string(),
            },
            Self::Hex => named.id()?.hex(),
            Self::Dotted => {
                let id = named.id()?;
                format!("{}.{}", id.hex(), id.algo())
            }
            Self::Ref => named.text()?.to_string(),
            Self::Uri => {
                let root = named.text()?;
                let target = UriTarget::Path {
                    root,
                    path: Default::default(),
                };
                Uri { host: None, target }.to_string()
            }
            Self::Kind => kind(named).to_owned(),
        })
    }
}

fn kind(named: &Named) -> &'static str {
    match named.text() {
        Some(TextRef::Snapshot(_)) => "snapshot",
        Some(TextRef::Tree(_)) => "tree",
        Some(TextRef::Content(ContentRef::Block { .. })) => "block",
        Some(TextRef::Content(ContentRef::Indirect { .. })) => "indirect",
        Some(TextRef::Content(_) | TextRef::Id(_)) => "content",
        None => "entry",
    }
}

fn verify(repository: &Repository, named: &Named) -> CommandResult<()> {
    match named.id() {
        Some(id) if !repository.store.contains(&id)? => {
            let needed_as = kind(named);
            Err(Error::Missing { id, needed_as }.into())
        }
        _ => Ok(()),
    }
}

/// The shortest beginning of an id that no other object has.
fn shorten(repository: &Repository, id: &ObjectId, digits_min: usize) -> CommandResult<String> {
    let hex = id.hex();
    for digits in digits_min.max(IdPrefix::DIGITS_MIN)..hex.len() {
        let prefix: IdPrefix = hex[..digits].parse()?;
        if repository.store.find_prefix(&prefix, 2)?.len() < 2 {
            return Ok(hex[..digits].to_owned());
        }
    }
    Ok(hex)
}

//! Copying files that a question found: what `overlap`, `find-duplicate` and `copy` have in common.

use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice as _};
use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::copy::{Copied, Copier};
use ghost_plumbing::ghosts::forest::{Forest, Leaf};
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::progress::Progress;
use serde::Serialize;

use crate::app::App;
use crate::error::Outcome;
use crate::records::PathField;
use crate::ui::show;
use crate::ui::size::{Size, counted};

/// Options of commands that may copy what they find.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CopyArguments {
    /// Copy what is printed of the first tree into DIR, under the same paths
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub copy_to: Option<PathBuf>,
    /// Replace files in DIR that have other bytes
    #[arg(long, requires = "copy_to")]
    pub overwrite: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "copy")]
struct CopyRecord<'a> {
    #[serde(flatten)]
    from: PathField,
    to: PathField,
    result: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What was copied.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Counts {
    /// Files that are there now.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that were there already.
    pub same: u64,
    /// Files that were not copied; each was named.
    pub passed_over: u64,
}

/// A run of copies into one directory.
pub struct Copying<'a> {
    /// None where nothing is to be written.
    copier: Option<Copier<'a>>,
    target: PathBuf,
    /// What was done.
    pub counts: Counts,
}

impl<'a> Copying<'a> {
    /// Into `target`, as it is named by people; with `dry`, nothing is made or written.
    pub fn new(app: &App, target: &Path, overwrite: bool, dry: bool, progress: &'a Progress) -> Outcome<Self> {
        let whole = app.environment.absolute(target);
        let copier = (!dry).then(|| Copier::new(&whole, overwrite, progress)).transpose()?;
        Ok(Self {
            copier,
            target: target.to_owned(),
            counts: Counts::default(),
        })
    }

    /// Copies one file to `to`, and tells of it; `from` is what people call it.
    pub fn file(
        &mut self,
        app: &mut App,
        forest: &dyn Forest,
        leaf: &Leaf,
        fullhash: Option<ObjectId>,
        from: &BString,
        to: &BStr,
    ) -> Outcome {
        let result = match &self.copier {
            Some(copier) => copier.copy(forest, leaf, fullhash, to),
            None => Ok(Copied::New),
        };
        let (word, problem) = match result {
            Ok(Copied::New) => {
                self.counts.copied += 1;
                self.counts.copied_bytes += leaf.size;
                ("copied", None)
            }
            Ok(Copied::Same) => {
                self.counts.same += 1;
                ("same", None)
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted.into()),
            Err(error) => {
                self.counts.passed_over += 1;
                ("passed_over", Some(error.to_string()))
            }
        };
        if app.output.json() {
            let to = self.target.join(&*to.to_os_str_lossy());
            let record = CopyRecord {
                from: PathField::new(from),
                to: PathField::new(to.as_os_str().as_encoded_bytes()),
                result: if self.copier.is_none() { "would_copy" } else { word },
                problem,
            };
            return Ok(app.output.record(&record)?);
        }
        if let Some(problem) = problem {
            app.output
                .problem(&format!("passed over: {}: {problem}", show::bytes(from)));
        }
        Ok(())
    }

    /// Says what was done, or would be.
    pub fn finish(&self, app: &mut App) -> Outcome {
        let Counts {
            copied,
            copied_bytes,
            same,
            passed_over,
        } = self.counts;
        let files = counted(copied, "file", "files");
        let target = show::bytes(self.target.as_os_str().as_encoded_bytes());
        let bytes = Size(copied_bytes);
        let said = match self.copier {
            None => format!("{files} of {bytes} would be copied to {target}"),
            Some(_) => {
                format!("{files} of {bytes} copied to {target}; {same} there already, {passed_over} passed over")
            }
        };
        Ok(app.output.say(said)?)
    }
}

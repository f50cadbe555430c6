//! `ghost verify-data`.

use std::path::PathBuf;

use bstr::ByteSlice;
use clap::Args;
use ghost_plumbing::Error;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::store::data::delta::Bases;
use ghost_plumbing::store::data::read::{DataFile, Frame};
use ghost_plumbing::store::data::verify::{Finding, check_objects, walk};
use serde::Serialize;

use crate::context::{CommandResult, Context, Outcome};
use crate::data_file;
use crate::output::{JsonPath, Termination, json_record};

/// Check data files: headers, commit records, payloads, and the hash of every object
///
/// One line for each thing that is wrong, `damage` and the problem, with the object where one is hurt; then one line for
/// each file: `ok` or `damaged`, frames, objects, bytes of objects, path. A tail behind the last commit record is no
/// damage: it is what a crash, or a writer that is at work, left. With damage the exit code is 4. Objects that are stored
/// as differences from others are read with these where the file belongs to the repository at hand; elsewhere only the
/// digests of their frames are compared.
#[derive(Args, Clone, Debug)]
pub struct VerifyData {
    /// Check headers and commit records only, and read no payload
    #[arg(long)]
    quick: bool,
    /// The data files; all of the repository where none is named
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What was found in a file.
#[derive(Default)]
struct Count {
    frames: u64,
    objects: u64,
    bytes: u64,
    damage: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Record {
    Damage {
        problem: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        object: Option<String>,
    },
    DataFile {
        #[serde(flatten)]
        path: JsonPath,
        ok: bool,
        frames: u64,
        objects: u64,
        #[serde(rename = "total_bytes")]
        bytes: u64,
    },
}

impl VerifyData {
    /// Checks file after file.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let mut outcome = Outcome::Done;
        let files = self.open(ctx, &mut outcome)?;
        let repository = ctx.repository_if_any()?;
        let mut frame = Frame::default();
        for file in &files {
            let own = repository
                .iter()
                .find(|repository| repository.format.uuid == file.header.repository);
            let near = own.map(|repository| repository.store.near());
            let bases = near.as_ref().map(|near| near as &dyn Bases);
            let count = self.check(ctx, file, &mut frame, bases)?;
            if count.damage > 0 {
                outcome = Outcome::Damage;
            }
            tell_file(ctx, file, &count)?;
        }
        Ok(outcome)
    }

    fn open(&self, ctx: &mut Context<'_>, outcome: &mut Outcome) -> CommandResult<Vec<DataFile>> {
        if !self.files.is_empty() {
            return self.files.iter().map(|path| data_file::open(ctx, path)).collect();
        }
        let repository = ctx.repository()?;
        for problem in repository.store.problems() {
            *outcome = Outcome::Damage;
            tell_damage(ctx, problem, None)?;
        }
        Ok(repository
            .store
            .data_files()
            .into_iter()
            .map(|(file, _)| file)
            .collect())
    }

    fn check(
        &self,
        ctx: &mut Context<'_>,
        file: &DataFile,
        frame: &mut Frame,
        bases: Option<&dyn Bases>,
    ) -> CommandResult<Count> {
        let mut count = Count::default();
        // The walk passes on errors of the library only; one of the output is kept here.
        let mut failed = Ok(());
        walk(file, &mut |finding| {
            let damage = match finding {
                Finding::Frame(head) => {
                    count.frames += 1;
                    count.objects += head.rows.len() as u64;
                    count.bytes += u64::from(head.header.raw_bytes);
                    if self.quick {
                        Vec::new()
                    } else {
                        check_objects(file, head, frame, bases)?
                    }
                }
                Finding::Damage(problem) => {
                    count.damage += 1;
                    if failed.is_ok() {
                        failed = tell_damage(ctx, problem.to_string(), None);
                    }
                    Vec::new()
                }
                Finding::Commit(_) | Finding::Tail { .. } => Vec::new(),
            };
            for (id, problem) in damage {
                count.damage += 1;
                if failed.is_ok() {
                    failed = tell_damage(ctx, problem.to_string(), Some(id));
                }
            }
            match failed {
                Ok(()) => Ok(()),
                Err(_) => Err(Error::Interrupted),
            }
        })
        .or_else(|error| if failed.is_err() { Ok(()) } else { Err(error) })?;
        failed.map(|()| count)
    }
}

fn tell_damage(ctx: &mut Context<'_>, problem: String, object: Option<ObjectId>) -> CommandResult<()> {
    let object = object.map(|id| id.to_string());
    if ctx.json {
        json_record(ctx.out, &Record::Damage { problem, object })?;
    } else if let Some(object) = object {
        writeln!(ctx.out, "damage {problem} object={object}")?;
    } else {
        writeln!(ctx.out, "damage {problem}")?;
    }
    Ok(())
}

fn tell_file(ctx: &mut Context<'_>, file: &DataFile, count: &Count) -> CommandResult<()> {
    let path = file.path.as_os_str().as_encoded_bytes();
    let ok = count.damage == 0;
    let Count {
        frames, objects, bytes, ..
    } = *count;
    if ctx.json {
        let path = JsonPath::new(path);
        json_record(
            ctx.out,
            &Record::DataFile {
                path,
                ok,
                frames,
                objects,
                bytes,
            },
        )?;
    } else {
        let word = if ok { "ok" } else { "damaged" };
        let path = Termination::Line.name(path);
        writeln!(ctx.out, "{word} {frames} {objects} {bytes} {}", path.as_bstr())?;
    }
    Ok(())
}

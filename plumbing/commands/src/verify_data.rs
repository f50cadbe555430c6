//! `ghost verify-data`.
//!
//! 1. A file's headers are walked in order; what is found is gathered to a batch.
//! 2. The frames of a full batch are read and hashed with all threads.
//! 3. Then the batch is told, in the order in which it was found: what is printed does not depend on the threads.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bstr::ByteSlice;
use clap::Args;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::store::data::delta::Bases;
use ghost_plumbing::store::data::read::{DataFile, Frame, Head};
use ghost_plumbing::store::data::verify::{Finding, check_objects, walk};
use ghost_plumbing::{Error, Result};
use serde::Serialize;

use crate::context::{CommandResult, Context, Outcome};
use crate::data_file;
use crate::output::{JsonPath, Termination, json_record};

/// Findings of one batch: enough frames to keep all threads at work, few enough that their tables need little memory.
const BATCH_FINDINGS: usize = 256;

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
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut frames: Vec<Frame> = (0..threads).map(|_| Frame::default()).collect();
        let repository = ctx.repository_if_any()?;
        for file in &files {
            let own = repository
                .iter()
                .find(|repository| repository.format.uuid == file.header.repository);
            let near = own.map(|repository| repository.store.near());
            let bases = near.as_ref().map(|near| near as &(dyn Bases + Sync));
            let count = self.check(ctx, file, &mut frames, bases)?;
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
        frames: &mut [Frame],
        bases: Option<&(dyn Bases + Sync)>,
    ) -> CommandResult<Count> {
        let mut check = Check {
            ctx,
            file,
            frames,
            bases,
            quick: self.quick,
            count: Count::default(),
            batch: Vec::new(),
            told: Ok(()),
        };
        let walked = walk(file, &mut |finding| check.take(finding)).and_then(|()| check.tell_batch());
        // An error of the output stopped the walk with one of the library.
        check.told?;
        walked?;
        Ok(check.count)
    }
}

/// The check of one file.
struct Check<'a, 'c> {
    ctx: &'a mut Context<'c>,
    file: &'a DataFile,
    /// One for each thread.
    frames: &'a mut [Frame],
    /// Where what objects are made from comes from.
    bases: Option<&'a (dyn Bases + Sync)>,
    quick: bool,
    count: Count,
    /// What was found and is not told yet.
    batch: Vec<Found>,
    /// How telling went: the walk passes on errors of the library only.
    told: CommandResult<()>,
}

/// Something that may have to be told.
enum Found {
    Frame(Head),
    Damage(Error),
}

/// What is wrong, and the object that is hurt, where one is.
type Damage = Vec<(Error, Option<ObjectId>)>;

impl Check<'_, '_> {
    fn take(&mut self, finding: Finding) -> Result<()> {
        match finding {
            Finding::Frame(head) => {
                self.count.frames += 1;
                self.count.objects += head.rows.len() as u64;
                self.count.bytes += u64::from(head.header.raw_bytes);
                if !self.quick {
                    self.batch.push(Found::Frame(head));
                }
            }
            Finding::Damage(problem) => self.batch.push(Found::Damage(problem)),
            Finding::Commit(_) | Finding::Tail { .. } => {}
        }
        match self.batch.len() < BATCH_FINDINGS {
            true => Ok(()),
            false => self.tell_batch(),
        }
    }

    fn tell_batch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        for found in check_batch(self.file, batch, self.frames, self.bases) {
            for (problem, object) in found? {
                self.count.damage += 1;
                self.told = tell_damage(self.ctx, problem.to_string(), object);
                if self.told.is_err() {
                    return Err(Error::Interrupted);
                }
            }
        }
        Ok(())
    }
}

/// Reads the frames of a batch, with as many threads as there are buffers; gives the damage of each finding, in order.
fn check_batch(
    file: &DataFile,
    batch: Vec<Found>,
    frames: &mut [Frame],
    bases: Option<&(dyn Bases + Sync)>,
) -> Vec<Result<Damage>> {
    let mut results: Vec<_> = batch.iter().map(|_| Ok(Vec::new())).collect();
    let work = Mutex::new(batch.into_iter().zip(&mut results));
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = |frame: &mut Frame| {
        while let Some((found, result)) = next() {
            *result = match found {
                Found::Damage(problem) => Ok(vec![(problem, None)]),
                Found::Frame(head) => check_objects(file, head, frame, bases.map(|bases| bases as &dyn Bases))
                    .map(|hurt| hurt.into_iter().map(|(id, problem)| (problem, Some(id))).collect()),
            };
        }
    };
    std::thread::scope(|scope| {
        for frame in frames {
            scope.spawn(|| run(frame));
        }
    });
    results
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

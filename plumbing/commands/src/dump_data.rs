//! `ghost dump-data`.

use std::path::PathBuf;

use clap::Args;
use ghost_plumbing::store::data::format::Commit;
use ghost_plumbing::store::data::read::{DataFile, Head, hex as id_hex};
use ghost_plumbing::store::data::verify::{Finding, walk};
use serde::Serialize;

use crate::context::{CommandResult, Context, Outcome};
use crate::data_file;
use crate::output::{hex, json_record};

/// Print the frames of data files as text
///
/// One record a line: `header`, then in the order of the file `frame` with one `object` for each row of its table,
/// `commit`, `damage` and `tail`. Offsets and lengths are in bytes. Objects of a frame of the codec `delta` are stored as
/// differences: their lines say how long these are, on which objects they lean, and how deep the chain is. Payloads are
/// not read: see `ghost verify-data`.
#[derive(Args, Clone, Debug)]
pub struct DumpData {
    /// Leave the objects out
    #[arg(long)]
    no_objects: bool,
    /// The data files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// One line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Record {
    DataFile {
        file: String,
        repository: String,
        salt: String,
        #[serde(rename = "length_bytes")]
        bytes: u64,
    },
    Frame {
        #[serde(rename = "offset_bytes")]
        offset: u64,
        #[serde(rename = "length_bytes")]
        bytes: u64,
        codec: &'static str,
        /// How many base rows a delta frame has.
        #[serde(skip_serializing_if = "Option::is_none")]
        bases: Option<u16>,
        objects: u32,
        #[serde(rename = "raw_bytes")]
        raw: u32,
        #[serde(rename = "stored_bytes")]
        stored: u32,
        #[serde(rename = "group_offset_bytes")]
        group: u64,
        digest: String,
    },
    Object {
        slot: usize,
        kind: &'static str,
        id: String,
        #[serde(rename = "length_bytes")]
        bytes: u32,
        #[serde(flatten)]
        delta: Option<Delta>,
    },
    Commit {
        #[serde(rename = "offset_bytes")]
        offset: u64,
        #[serde(rename = "length_bytes")]
        bytes: u64,
        #[serde(rename = "first_offset_bytes")]
        first: u64,
        frames: u64,
        objects: u64,
        digest: String,
    },
    Damage {
        problem: String,
    },
    Tail {
        #[serde(rename = "offset_bytes")]
        offset: u64,
        #[serde(rename = "length_bytes")]
        bytes: u64,
    },
}

/// How an object of a delta frame is stored.
#[derive(Serialize)]
struct Delta {
    #[serde(rename = "stored_bytes")]
    stored: u32,
    depth: u8,
    weight: u16,
    #[serde(rename = "base_ids")]
    bases: Vec<String>,
}

impl DumpData {
    /// Prints the frames; damage is part of what is printed.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let mut outcome = Outcome::Done;
        for path in &self.files {
            let file = data_file::open(ctx, path)?;
            print(ctx, header(&file)?)?;
            // What the walk is told cannot fail but by the output, whose error must come out as it is.
            let mut failed = Ok(());
            walk(&file, &mut |finding| {
                if matches!(finding, Finding::Damage(_)) {
                    outcome = Outcome::Damage;
                }
                if failed.is_ok() {
                    failed = self.tell(ctx, &file, finding);
                }
                Ok(())
            })?;
            failed?;
        }
        Ok(outcome)
    }

    fn tell(&self, ctx: &mut Context<'_>, file: &DataFile, finding: Finding) -> CommandResult<()> {
        match finding {
            Finding::Frame(head) => {
                print(ctx, frame(&head))?;
                for (slot, row) in head.rows.iter().enumerate().filter(|_| !self.no_objects) {
                    let record = Record::Object {
                        slot,
                        kind: row.kind.name(),
                        id: row.id.to_string(),
                        bytes: row.bytes,
                        delta: delta(&head, slot),
                    };
                    print(ctx, record)?;
                }
                Ok(())
            }
            Finding::Commit(head) => print(ctx, commit(file, &head)?),
            Finding::Damage(problem) => {
                let problem = problem.to_string();
                print(ctx, Record::Damage { problem })
            }
            Finding::Tail { offset, bytes } => print(ctx, Record::Tail { offset, bytes }),
        }
    }
}

fn header(file: &DataFile) -> CommandResult<Record> {
    let bytes = file.file.len().map_err(ghost_plumbing::Error::io("stat", &file.path))?;
    Ok(Record::DataFile {
        file: id_hex(&file.header.file),
        repository: id_hex(&file.header.repository),
        salt: format!("{:016x}", file.header.salt),
        bytes,
    })
}

fn frame(head: &Head) -> Record {
    let header = &head.header;
    Record::Frame {
        offset: head.offset,
        bytes: header.frame_bytes(),
        codec: header.codec.name(),
        bases: (header.bases > 0).then_some(header.bases),
        objects: header.objects,
        raw: header.raw_bytes,
        stored: header.stored_bytes,
        group: header.group,
        digest: hex(&header.digest),
    }
}

fn delta(head: &Head, slot: usize) -> Option<Delta> {
    let part = head.parts.get(slot)?;
    Some(Delta {
        stored: part.stored_bytes,
        depth: part.depth,
        weight: part.weight,
        bases: head
            .bases
            .get(part.range())?
            .iter()
            .map(|base| base.id.to_string())
            .collect(),
    })
}

fn commit(file: &DataFile, head: &Head) -> CommandResult<Record> {
    let mut payload = Vec::new();
    file.stored(head, &mut payload)?;
    let Some(commit) = Commit::decode(&payload) else {
        let problem = format!(
            "the commit record at {} has a payload of {} bytes",
            head.offset,
            payload.len()
        );
        return Ok(Record::Damage { problem });
    };
    Ok(Record::Commit {
        offset: head.offset,
        bytes: head.header.frame_bytes(),
        first: commit.first,
        frames: commit.frames,
        objects: commit.objects,
        digest: hex(&commit.digest),
    })
}

fn print(ctx: &mut Context<'_>, record: Record) -> CommandResult<()> {
    if ctx.json {
        return Ok(json_record(ctx.out, &record)?);
    }
    let out = &mut *ctx.out;
    match record {
        Record::DataFile {
            file,
            repository,
            salt,
            bytes,
        } => {
            writeln!(
                out,
                "header file={file} repository={repository} salt={salt} bytes={bytes}"
            )
        }
        Record::Frame {
            offset,
            bytes,
            codec,
            bases,
            objects,
            raw,
            stored,
            group,
            digest,
        } => {
            write!(out, "frame {offset}+{bytes} codec={codec}")?;
            if let Some(bases) = bases {
                write!(out, " bases={bases}")?;
            }
            writeln!(
                out,
                " objects={objects} raw={raw} stored={stored} group={group} digest={digest}"
            )
        }
        Record::Object {
            slot,
            kind,
            id,
            bytes,
            delta,
        } => {
            write!(out, "object {slot} {kind} {id} {bytes}")?;
            if let Some(delta) = delta {
                let (stored, depth, weight) = (delta.stored, delta.depth, delta.weight);
                let bases = delta.bases.join(",");
                write!(out, " stored={stored} depth={depth} weight={weight} bases={bases}")?;
            }
            writeln!(out)
        }
        Record::Commit {
            offset,
            bytes,
            first,
            frames,
            objects,
            digest,
        } => writeln!(
            out,
            "commit {offset}+{bytes} first={first} frames={frames} objects={objects} digest={digest}"
        ),
        Record::Damage { problem } => writeln!(out, "damage {problem}"),
        Record::Tail { offset, bytes } => writeln!(out, "tail {offset}+{bytes}"),
    }?;
    Ok(())
}

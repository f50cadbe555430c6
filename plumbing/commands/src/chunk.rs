//! `ghost chunk`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ghost_plumbing::Error;
use ghost_plumbing::chunk::{Chunker, Follows, Params, Part, Reason};
use ghost_plumbing::object::ObjectId;
use serde::Serialize;

use crate::context::{CommandResult, Context, Outcome};
use crate::output::json_line;
use crate::settings::{bytes_argument, settings};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

/// Show where files are cut: OFFSET LENGTH ID, one chunk a line
///
/// A run of zeros that is stored as such has `run:00` in place of an id.
#[derive(Args, Clone, Debug)]
pub struct Chunk {
    /// Count chunks by length, in steps of two, in place of listing them: FROM TO CHUNKS BYTES
    #[arg(long, conflicts_with = "stat")]
    histogram: bool,
    /// Show totals, shortest, mean and longest chunk, and why chunks end, in place of listing them
    #[arg(long)]
    stat: bool,
    /// Shortest chunk, such as 64KiB [default: as the repository has it]
    #[arg(long, value_name = "BYTES", value_parser = bytes_argument)]
    min: Option<usize>,
    /// Mean length to aim at
    #[arg(long, value_name = "BYTES", value_parser = bytes_argument)]
    avg: Option<usize>,
    /// Longest chunk
    #[arg(long, value_name = "BYTES", value_parser = bytes_argument)]
    max: Option<usize>,
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct JsonBucket {
    from_bytes: u64,
    to_bytes: u64,
    chunks: u64,
    total_bytes: u64,
}

#[derive(Serialize)]
struct JsonChunk {
    offset_bytes: u64,
    length_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// Lengths of what was found, by why it ends; none is a run of zeros.
#[derive(Default)]
struct Lengths(Vec<(u64, Option<Reason>)>);

impl Chunk {
    /// Prints the chunks of all files, or counts them together.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let mut params = settings(ctx)?.chunk_params();
        params.min = self.min.unwrap_or(params.min);
        params.avg = self.avg.unwrap_or(params.avg);
        params.max = self.max.unwrap_or(params.max);
        params.check()?;
        let algo = ctx
            .repository_if_any()?
            .map_or(ctx.algo, |repository| repository.format.hash);
        let counts_only = self.histogram || self.stat;
        let mut lengths = Lengths::default();
        for path in &self.files {
            let out = &mut *ctx.out;
            let json = ctx.json;
            let mut tell = |offset: u64, part: &Part, data: &[u8]| -> CommandResult<()> {
                if counts_only {
                    lengths.add(part);
                    return Ok(());
                }
                let id = matches!(part, Part::Data { .. }).then(|| ObjectId::hash(algo, data));
                print(out, json, offset, bytes_of(part), id)
            };
            if path.as_os_str() == "-" {
                cut(params, ctx.input, path, &mut tell)?;
            } else {
                let mut file = File::open(path).map_err(Error::io("open", path))?;
                cut(params, &mut file, path, &mut tell)?;
            }
        }
        if self.histogram {
            lengths.print_histogram(ctx)?;
        } else if self.stat {
            lengths.print_stat(ctx)?;
        }
        Ok(Outcome::Done)
    }
}

fn bytes_of(part: &Part) -> u64 {
    match part {
        Part::Data { bytes, .. } => *bytes as u64,
        Part::Zeros { bytes } => *bytes,
    }
}

fn print(out: &mut dyn Write, json: bool, offset: u64, bytes: u64, id: Option<ObjectId>) -> CommandResult<()> {
    if json {
        let id = id.map(|id| id.to_string());
        let record = JsonChunk {
            offset_bytes: offset,
            length_bytes: bytes,
            id,
        };
        json_line(out, "chunk", &record)?;
    } else if let Some(id) = id {
        writeln!(out, "{offset} {bytes} {id}")?;
    } else {
        writeln!(out, "{offset} {bytes} run:00")?;
    }
    Ok(())
}

/// Takes a part, its offset and its bytes, of which a run has none.
type Tell<'t> = dyn FnMut(u64, &Part, &[u8]) -> CommandResult<()> + 't;

/// Cuts a stream, and tells each part with its offset and bytes.
fn cut(params: Params, input: &mut dyn Read, path: &Path, tell: &mut Tell<'_>) -> CommandResult<()> {
    let mut chunker = Chunker::new(params);
    let mut buffer = vec![0; READ_BYTES.max(chunker.buffer_bytes_min())];
    let mut parts = Vec::new();
    let (mut filled, mut offset) = (0, 0);
    loop {
        let room = buffer.len() - filled;
        let mut limited = Read::take(&mut *input, room as u64);
        let read = io::copy(&mut limited, &mut &mut buffer[filled..]).map_err(Error::io("read", path))?;
        filled += usize::try_from(read).unwrap_or(room);
        let ends = filled < buffer.len();
        let follows = if ends { Follows::End } else { Follows::Data };
        let taken = chunker.cut(&buffer[..filled], follows, &mut parts);
        for part in parts.drain(..) {
            let data = match part {
                Part::Data { start, bytes, .. } => &buffer[start..start + bytes],
                Part::Zeros { .. } => &[],
            };
            tell(offset, &part, data)?;
            offset += bytes_of(&part);
        }
        if ends {
            return Ok(());
        }
        buffer.copy_within(taken..filled, 0);
        filled -= taken;
    }
}

impl Lengths {
    fn add(&mut self, part: &Part) {
        let reason = match part {
            Part::Data { reason, .. } => Some(*reason),
            Part::Zeros { .. } => None,
        };
        self.0.push((bytes_of(part), reason));
    }

    fn print_histogram(&self, ctx: &mut Context<'_>) -> CommandResult<()> {
        let mut counts: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for (bytes, _) in self.0.iter().filter(|(_, reason)| reason.is_some()) {
            let count = counts.entry(bytes.checked_ilog2().unwrap_or(0)).or_default();
            *count = (count.0 + 1, count.1 + bytes);
        }
        for (power, (chunks, bytes)) in counts {
            let from = 1u64 << power;
            // The last below the next power of two.
            let to = from - 1 + from;
            if ctx.json {
                let record = JsonBucket {
                    from_bytes: from,
                    to_bytes: to,
                    chunks,
                    total_bytes: bytes,
                };
                json_line(ctx.out, "chunk_bucket", &record)?;
            } else {
                writeln!(ctx.out, "{from} {to} {chunks} {bytes}")?;
            }
        }
        Ok(())
    }

    fn print_stat(&self, ctx: &mut Context<'_>) -> CommandResult<()> {
        let runs = self.0.iter().filter(|(_, reason)| reason.is_none());
        let data: Vec<u64> = self
            .0
            .iter()
            .filter(|(_, reason)| reason.is_some())
            .map(|(bytes, _)| *bytes)
            .collect();
        let ended = |wanted| self.0.iter().filter(|(_, reason)| *reason == Some(wanted)).count() as u64;
        let bytes: u64 = data.iter().sum();
        let stat = [
            ("chunks", data.len() as u64),
            ("total-bytes", bytes),
            ("shortest-bytes", data.iter().min().copied().unwrap_or(0)),
            ("mean-bytes", bytes.checked_div(data.len() as u64).unwrap_or(0)),
            ("longest-bytes", data.iter().max().copied().unwrap_or(0)),
            ("ended-by-content", ended(Reason::Content)),
            ("ended-by-maximum", ended(Reason::Maximum)),
            ("ended-by-end", ended(Reason::End)),
            ("runs", runs.clone().count() as u64),
            ("run-bytes", runs.map(|(bytes, _)| bytes).sum()),
        ];
        if ctx.json {
            let record: BTreeMap<_, _> = stat
                .iter()
                .map(|(name, value)| (name.replace('-', "_"), *value))
                .collect();
            json_line(ctx.out, "chunk_stat", &record)?;
            return Ok(());
        }
        for (name, value) in stat {
            writeln!(ctx.out, "{name} {value}")?;
        }
        Ok(())
    }
}

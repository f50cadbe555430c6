//! `ghost hash-object`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use clap::Args;
use ghost_plumbing::Error;
use ghost_plumbing::chunk::Params;
use ghost_plumbing::object::{HashAlgo, Hasher};
use ghost_plumbing::snapshot::content::{HashOnly, Sink, Stored, append_reader};
use serde::Serialize;

use crate::context::{CommandResult, Context, Outcome};
use crate::entry_json::JsonEntry;
use crate::live_entry::{Reader, store_named};
use crate::output::{JsonPath, Termination, json_line, read_record};
use crate::settings::settings;

const BUFFER_BYTES: usize = 256 << 10;
const STDIN: &str = "standard input";

/// Print the ids of files' contents, and store them with -w
///
/// The id of a file of one block is the plain hash of its bytes, what sha256sum prints; that of a longer one is the id
/// of its list of blocks, and --fullhash prints the plain hash of every file. With --entry each line is one of ls-tree,
/// with all metadata of the path itself, for `ghost mktree`. What is printed with -w is stored when the command ends.
#[derive(Args, Clone, Debug)]
pub struct HashObject {
    /// Store the contents in the repository
    #[arg(short)]
    write: bool,
    /// Hash standard input, before any FILE
    #[arg(long)]
    stdin: bool,
    /// Hash what REF names with standard input behind it; only the last chunk of REF is cut again
    #[arg(long, value_name = "REF", requires = "stdin", conflicts_with = "entry")]
    append_to: Option<String>,
    /// Read paths from standard input, one a line
    #[arg(long, conflicts_with_all = ["stdin", "files"])]
    stdin_paths: bool,
    /// Paths that are read, and lines of --entry, end with NUL and are not quoted
    #[arg(short = 'z')]
    nul: bool,
    /// Print the plain hash of all bytes
    #[arg(long)]
    fullhash: bool,
    /// Print the whole content ref, which cat-file and mktree take
    #[arg(long = "ref", conflicts_with = "fullhash")]
    reference: bool,
    /// Print lines as ls-tree does, of anything that is at the paths; links are not followed
    #[arg(long, conflicts_with_all = ["stdin", "fullhash", "reference"])]
    entry: bool,
    /// The files
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What is known of a content.
#[derive(Serialize)]
struct Hashed {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "content", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fullhash: Option<String>,
    #[serde(rename = "size_bytes")]
    bytes: u64,
}

impl Hashed {
    fn new(stored: Stored, bytes: u64) -> Self {
        let id = stored.content.object().map(|(_, id)| id.to_string());
        // One block is named by the hash of the whole.
        let fullhash = stored.fullhash.map(|hash| hash.to_string()).or_else(|| id.clone());
        Self {
            id,
            reference: Some(stored.content.to_string()),
            fullhash,
            bytes,
        }
    }
}

#[derive(Serialize)]
struct JsonContent {
    #[serde(flatten)]
    path: Option<JsonPath>,
    #[serde(flatten)]
    hashed: Hashed,
}

/// What all files of one call share.
struct Job<'s> {
    sink: &'s mut dyn Sink,
    params: Params,
    /// Reads entries; none where only contents are asked for.
    entries: Option<Reader>,
}

impl HashObject {
    /// Prints one line a file, in the order in which they were named.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let settings = settings(ctx)?;
        let params = settings.chunk_params();
        let reader = || Reader::new(settings.snapshot_xattrs, settings.snapshot_birth_time);
        let entries = self.entry.then(reader).transpose()?;
        if !self.write {
            let algo = ctx
                .repository_if_any()?
                .map_or(ctx.algo, |repository| repository.format.hash);
            let sink = &mut HashOnly(algo);
            return self.hash_all(ctx, Job { sink, params, entries });
        }
        let repository = ctx.writable()?;
        let writer = repository.store.writer()?;
        let mut packer = writer.packer();
        let sink = &mut packer;
        let outcome = self.hash_all(ctx, Job { sink, params, entries })?;
        packer.flush()?;
        drop(packer);
        writer.commit()?;
        Ok(outcome)
    }

    fn hash_all(&self, ctx: &mut Context<'_>, mut job: Job<'_>) -> CommandResult {
        if let Some(before) = &self.append_to {
            let hashed = self.appended(ctx, &mut job, before)?;
            self.print(ctx, None, hashed)?;
        } else if self.stdin {
            let hashed = self.content(&mut job, ctx.input, Path::new(STDIN))?;
            self.print(ctx, None, hashed)?;
        }
        for path in &self.files {
            self.hash_path(ctx, &mut job, path)?;
        }
        if self.stdin_paths {
            let end = Termination::from_flag(self.nul);
            let mut record = Vec::new();
            while read_record(ctx.input, end, &mut record).map_err(Error::io("read", STDIN))? {
                let path = PathBuf::from(std::ffi::OsString::from_vec(end.parse_name(&record)?.into()));
                self.hash_path(ctx, &mut job, &path)?;
            }
        }
        Ok(Outcome::Done)
    }

    fn hash_path(&self, ctx: &mut Context<'_>, job: &mut Job<'_>, path: &Path) -> CommandResult<()> {
        if let Some(reader) = &mut job.entries {
            let line = reader.line(path, job.sink, job.params)?;
            if ctx.json {
                return Ok(json_line(ctx.out, "entry", &JsonEntry::from(&line))?);
            }
            let mut text = Vec::new();
            line.write(&mut text, false, Termination::from_flag(self.nul));
            return Ok(ctx.out.write_all(&text)?);
        }
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let hashed = self.content(job, &mut file, path)?;
        self.print(ctx, Some(path), hashed)
    }

    /// The content of a stream; only its hash where nothing else is asked for.
    fn content(&self, job: &mut Job<'_>, input: &mut dyn Read, path: &Path) -> CommandResult<Hashed> {
        if self.fullhash && !self.write {
            return hash_stream(input, path, job.sink.algo());
        }
        let (stored, bytes) = store_named(job.sink, job.params, input, path)?;
        Ok(Hashed::new(stored, bytes))
    }

    /// The content of standard input behind one that is stored.
    fn appended(&self, ctx: &mut Context<'_>, job: &mut Job<'_>, before: &str) -> CommandResult<Hashed> {
        let before = before.parse()?;
        let repository = ctx.repository()?;
        let input = &mut *ctx.input;
        let (stored, bytes) = append_reader(job.sink, job.params, &repository.store, &before, input)?;
        Ok(Hashed::new(stored, bytes))
    }

    fn print(&self, ctx: &mut Context<'_>, path: Option<&Path>, hashed: Hashed) -> CommandResult<()> {
        if ctx.json {
            let path = path.map(|path| JsonPath::new(path.as_os_str().as_bytes()));
            return Ok(json_line(ctx.out, "content", &JsonContent { path, hashed })?);
        }
        let Hashed {
            id,
            reference,
            fullhash,
            ..
        } = hashed;
        // What is no object of its own, such as a run of zeros, has its text form only.
        let text = match (self.fullhash, self.reference) {
            (true, _) => fullhash,
            (_, true) => reference,
            _ => id.or(reference),
        };
        writeln!(ctx.out, "{}", text.unwrap_or_default())?;
        Ok(())
    }
}

/// The plain hash of a stream.
fn hash_stream(input: &mut dyn Read, path: &Path, algo: HashAlgo) -> CommandResult<Hashed> {
    let mut hasher = Hasher::new(algo);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path)(error).into()),
        }
    }
    Ok(Hashed {
        id: None,
        reference: None,
        fullhash: Some(hasher.finish().to_string()),
        bytes,
    })
}

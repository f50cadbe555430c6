//! Runs commands as a shell would, on a repository in memory.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use bstr::{BString, ByteSlice};
use clap::Parser;
use ghost_plumbing::disk::Disk;
use ghost_plumbing::disk::memory::MemoryDisk;
use ghost_plumbing::object::HashAlgo;
use ghost_plumbing::repository::{InitOptions, OpenOptions, Repository, init};
use ghost_plumbing::time::Timestamp;

use crate::{Command, CommandResult, Context, LazyRepository, Outcome};

#[derive(Parser)]
struct Cli {
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// A repository in memory.
pub struct Shell {
    disk: Arc<dyn Disk>,
}

impl Shell {
    pub fn new() -> Self {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        disk.create_dir(Path::new("/r")).unwrap();
        init(&disk, Path::new("/r"), &InitOptions::default()).unwrap();
        Self { disk }
    }

    pub fn repository(&self) -> Repository {
        Repository::open(self.disk.clone(), Path::new("/r/.ghost"), &OpenOptions::default()).unwrap()
    }

    /// Runs a command with `input`; gives how it ended and what it printed.
    pub fn try_run<A: Into<OsString> + Clone>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> (CommandResult, BString) {
        let args = std::iter::once(OsString::from("ghost")).chain(args.into_iter().map(Into::into));
        let cli = Cli::try_parse_from(args).unwrap();
        let mut out = Vec::new();
        let mut ctx = Context {
            input: &mut &input[..],
            out: &mut out,
            repository: LazyRepository::new(|| Ok(self.repository())),
            algo: HashAlgo::Sha256,
            now: Timestamp::new(1_700_000_000, 5),
            zone: jiff::tz::TimeZone::fixed(jiff::tz::offset(2)),
            host: "host".to_owned(),
            author: "author".to_owned(),
            json: cli.json,
        };
        let result = cli.command.run(&mut ctx);
        drop(ctx);
        (result, out.into())
    }

    /// Runs a command that must do all it is asked for, and gives what it printed.
    pub fn run(&self, line: &str, input: impl AsRef<[u8]>) -> BString {
        let (result, out) = self.try_run(line.split(' '), input.as_ref());
        assert_eq!(result.unwrap(), Outcome::Done, "{line}");
        out
    }

    /// Runs a command that must fail; gives the message and the exit code.
    pub fn fail(&self, line: &str, input: &str) -> (String, u8) {
        let (result, _) = self.try_run(line.split(' '), input.as_bytes());
        let error = result.unwrap_err();
        (error.to_string(), error.exit_code())
    }

    /// Runs a command that prints one line, and gives that.
    pub fn line(&self, line: &str, input: impl AsRef<[u8]>) -> String {
        let out = self.run(line, input);
        let out = out.to_str().unwrap();
        assert_eq!(out.lines().count(), 1, "{line}: {out}");
        out.trim_end().to_owned()
    }
}

//! Chores of the ghost repository: `cargo xtask CHORE`.

mod check;
mod generate;
mod layers;
mod sizes;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a chore gives back; the text says what is wrong.
type Outcome = Result<(), String>;

/// Chores of the ghost repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Write man pages and completions from the definition of the command line
    Gen {
        /// Write nothing; fail if a file is not what would be written
        #[arg(long)]
        check: bool,
    },
    /// Refuse an import in plumbing/src that points up the layers listed in plumbing/src/lib.rs
    Layers,
    /// List files and functions over the soft sizes; fail for those far over
    Sizes,
    /// Everything that must pass: fmt, clippy, layers, sizes, generated files, docs, tests, deny
    Ci {
        /// Leave out the tests, where a caller runs them
        #[arg(long)]
        no_tests: bool,
    },
}

fn main() -> ExitCode {
    let root = root();
    let result = match Cli::parse().chore {
        Chore::Gen { check } => generate::run(&root, check),
        Chore::Layers => layers::run(&root),
        Chore::Sizes => sizes::run(&root),
        Chore::Ci { no_tests } => check::run(&root, no_tests),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The top folder of the repository, two above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// All Rust files below a folder, sorted, without what cargo builds.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs_err::read_dir(&folder).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A file's text.
fn read(path: &Path) -> Result<String, String> {
    fs_err::read_to_string(path).map_err(|error| error.to_string())
}

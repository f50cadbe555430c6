//! `ghost hash-object`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use ghost_plumbing::Error;
use ghost_plumbing::object::{HashAlgo, Hasher, ObjectId};

use crate::context::{CommandResult, Context, Outcome};

const BUFFER_BYTES: usize = 256 << 10;

/// Print the hash of each file's bytes, as sha256sum prints it
#[derive(Args, Clone, Debug)]
pub struct HashObject {
    /// The files to hash
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl HashObject {
    /// Prints one id a line, in the order of the arguments.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        for path in &self.files {
            let mut file = File::open(path).map_err(Error::io("open", path))?;
            let id = hash_stream(&mut file, path, ctx.algo)?;
            writeln!(ctx.out, "{id}")?;
        }
        Ok(Outcome::Done)
    }
}

fn hash_stream(input: &mut dyn Read, path: &Path, algo: HashAlgo) -> CommandResult<ObjectId> {
    let mut hasher = Hasher::new(algo);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = input.read(&mut buffer).map_err(Error::io("read", path))?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..read]);
    }
}

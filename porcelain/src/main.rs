//! The `ghost` command. Everything is in the library beside it, so that chores can read its definition.

use std::process::ExitCode;

fn main() -> ExitCode {
    ghost::memory::give_back_long_buffers();
    // A walk holds a folder open for each level above it; where the limit cannot be raised it is merely less deep.
    let _ = ghost_plumbing::walk::raise_open_files();
    ghost::run(std::env::args_os())
}

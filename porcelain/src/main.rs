//! The `ghost` command. Everything is in the library beside it, so that chores can read its definition.

use std::process::ExitCode;

fn main() -> ExitCode {
    ghost::run(std::env::args_os())
}

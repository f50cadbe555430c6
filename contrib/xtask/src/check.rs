//! The gate: everything that must pass before a change goes in.

use std::path::Path;
use std::process::Command;

use crate::{Outcome, generate, layers, sizes};

/// Runs every step, cheap ones first, and names those that failed.
pub fn run(root: &Path, no_tests: bool) -> Outcome {
    let mut failed = Vec::new();
    let mut step = |name: &str, result: Outcome| {
        println!("{}: {name}", if result.is_ok() { "pass" } else { "FAIL" });
        if let Err(problem) = result {
            println!("{problem}");
            failed.push(name.to_owned());
        }
    };
    step("fmt", cargo(root, &["fmt", "--all", "--check"]));
    step("layers", layers::run(root));
    step("sizes", sizes::run(root));
    step("generated files", generate::run(root, true));
    let lints = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    step("clippy", cargo(root, &lints));
    step("docs", cargo(root, &["doc", "--workspace", "--no-deps", "--quiet"]));
    if !no_tests {
        step("tests", cargo(root, &["test", "--workspace", "--quiet"]));
    }
    if has_deny() {
        step("deny", cargo(root, &["deny", "--log-level", "error", "check"]));
    } else {
        println!("skip: deny (cargo-deny is not installed)");
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("failed: {}", failed.join(", ")))
}

fn has_deny() -> bool {
    Command::new("cargo-deny")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

fn cargo(root: &Path, arguments: &[&str]) -> Outcome {
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root)
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .map_err(|error| format!("cannot run cargo {}: {error}", arguments.join(" ")))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("cargo {} failed: {status}", arguments.join(" ")))
}

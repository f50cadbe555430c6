//! Soft sizes: a file of 500 lines, a function of 70, tests left out. What is over is listed; what is over by half
//! as much again fails.

use std::path::Path;

use crate::{Outcome, read, rust_files};

const FILE_LINES_SOFT: usize = 500;
const FUNCTION_LINES_SOFT: usize = 70;

/// Something longer than it should be.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    what: String,
    lines: usize,
    soft: usize,
}

impl Finding {
    fn is_far_over(&self) -> bool {
        self.lines > self.soft + self.soft / 2
    }
}

/// Checks the sources of all packages.
pub fn run(root: &Path) -> Outcome {
    let mut findings = Vec::new();
    for folder in ["plumbing", "porcelain", "contrib/xtask"] {
        for path in rust_files(&root.join(folder))? {
            if path.ends_with("tests.rs") || path.iter().any(|part| part == "tests") {
                continue;
            }
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            check(&shown, &read(&path)?, &mut findings);
        }
    }
    let mut failed = false;
    for finding in &findings {
        let word = if finding.is_far_over() { "far over" } else { "over" };
        failed |= finding.is_far_over();
        println!("{}: {} lines, {word} {}", finding.what, finding.lines, finding.soft);
    }
    if failed {
        return Err("split what is far over its soft size".to_owned());
    }
    Ok(())
}

/// Relies on rustfmt: a function ends at the closing brace that stands as far in as its first line.
fn check(shown: &str, text: &str, findings: &mut Vec<Finding>) {
    let tests_from = text.find("\n#[cfg(test)]\nmod ").map_or(text.len(), |at| at + 1);
    let lines: Vec<&str> = text[..tests_from].lines().collect();
    if lines.len() > FILE_LINES_SOFT {
        findings.push(Finding {
            what: shown.to_owned(),
            lines: lines.len(),
            soft: FILE_LINES_SOFT,
        });
    }
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let end = lines[start..].iter().position(|line| {
            line.len() > indent && line[..indent].trim().is_empty() && line[indent..].trim_end() == "}"
        });
        let Some(length) = end.map(|end| end + 1) else { continue };
        if length > FUNCTION_LINES_SOFT && !line.trim_end().ends_with([';', '}']) {
            findings.push(Finding {
                what: format!("{shown}:{}: fn {name}", start + 1),
                lines: length,
                soft: FUNCTION_LINES_SOFT,
            });
        }
    }
}

fn function_name(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let at = if code.starts_with("fn ") {
        0
    } else {
        code.find(" fn ")? + 1
    };
    let before = &code[..at];
    let words_only = before.chars().all(|c| c.is_alphanumeric() || " ()\"_:".contains(c));
    let rest = &code[at + 3..];
    let end = rest.find(['(', '<'])?;
    words_only.then(|| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        check("x.rs", text, &mut findings);
        findings
    }

    #[test]
    fn long_functions_are_found() {
        let body = "        work();\n".repeat(80);
        let text = format!("impl A {{\n    pub fn long(&self) {{\n{body}    }}\n\n    fn short() {{\n    }}\n}}\n");
        let found = findings(&text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, "x.rs:2: fn long");
        assert_eq!(found[0].lines, 82);
        assert!(!found[0].is_far_over());
    }

    #[test]
    fn tests_do_not_count() {
        let tests = "    line();\n".repeat(600);
        assert!(findings(&format!("fn a() {{}}\n\n#[cfg(test)]\nmod tests {{\n{tests}}}\n")).is_empty());
        assert_eq!(findings(&tests).len(), 1);
    }
}

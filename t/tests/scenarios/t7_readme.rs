//! t7: the sessions that README.md shows are run, and say what README.md says.
//!
//! A block that begins with three backticks and `console` is a session: lines that begin with `$ ` are commands, those
//! with `> ` go on with them, the rest is what they print. All run in one shell, one after the other; only the commands
//! that build and test ghost itself are left out. Ids, dates, durations, and the numbers in lines that count objects
//! are compared as words, whatever their digits: the README shows those of a real run.

use std::fs;
use std::path::Path;

use crate::harness::{World, noise};

struct Step {
    line: usize,
    command: String,
    expected: String,
}

fn sessions(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
                (Some(command), ..) => steps.push(Step {
                    line: number + 1,
                    command: command.to_owned(),
                    expected: String::new(),
                }),
                (None, Some(more), Some(step)) => step.command = format!("{}\n{more}", step.command),
                (None, None, Some(step)) => step.expected = format!("{}{line}\n", step.expected),
                (None, _, None) => panic!("README.md:{}: output before any command", number + 1),
            },
        }
    }
    steps.retain(|step| !step.command.starts_with("cargo ") && step.command != "t/run");
    steps
}

const UNITS: [&str; 6] = ["s", "ms", "us", "KiB/s", "MiB/s", "GiB/s"];

/// Text with ids, dates and durations replaced by what they are.
fn normal(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let counts_objects = line.contains(" objects");
        let kept = words.iter().enumerate().map(|(at, word)| {
            let unit = |word: &str| UNITS.contains(&word.trim_end_matches(['.', ',', ';', ')']));
            let number = word.trim_matches(['(', ',', ';', '~', '.']).parse::<f64>().is_ok();
            match word {
                _ if unit(word) => "UNIT".to_owned(),
                _ if number && (counts_objects || words.get(at + 1).is_some_and(|next| unit(next))) => "N".to_owned(),
                word if counts_objects && ["B", "KiB", "MiB"].contains(&word.trim_end_matches([',', ';'])) => {
                    "SIZE".into()
                }
                _ if is_date(word) => "DATE".to_owned(),
                _ => without_ids(word),
            }
        });
        out.push_str(&kept.collect::<Vec<_>>().join(" "));
        out.push('\n');
    }
    out
}

/// `2026-11-21`, `10:45:54`, `10:45:54,`, `+00:00:`
fn is_date(word: &str) -> bool {
    let word = word.trim_end_matches([',', ':', '.']).trim_start_matches('+');
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let separators = word.bytes().filter(|byte| matches!(byte, b'-' | b':')).count();
    digits >= 4 && separators >= 1 && digits + separators == word.len()
}

/// A word in which runs of seven or more hexadecimal digits are written `HEX`.
fn without_ids(word: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for character in word.chars().chain(['\0']) {
        if character.is_ascii_hexdigit() && !character.is_ascii_uppercase() {
            run.push(character);
            continue;
        }
        let id = run.len() >= 7 && run.contains(|c: char| c.is_ascii_digit());
        out.push_str(if id { "HEX" } else { &run });
        run.clear();
        if character != '\0' {
            out.push(character);
        }
    }
    out
}

#[test]
fn ids_and_durations_are_not_compared() {
    assert_eq!(normal("kept 12ab34c in 0.21 s."), normal("kept 0000000  in 7 ms"));
    assert_eq!(
        normal("at 2026-11-21 10:45:54 +00:00:"),
        normal("at 2025-01-02 01:02:03 +01:00:")
    );
    assert_ne!(normal("3 files"), normal("4 files"));
    assert_ne!(normal("deface it"), normal("effaced it"));
}

#[test]
fn sessions_in_the_readme_are_true() {
    // The listing names the owner.
    need_root!();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("README.md");
    let steps = sessions(&fs::read_to_string(readme).unwrap());
    assert!(steps.len() > 5, "README.md shows no session");
    let world = World::new();
    // What the first session begins with.
    world.write("shopping.txt", "milk\nbread\n");
    world.write("photos/sea.jpg", noise(1, 300_000));
    std::os::unix::fs::symlink("photos/sea.jpg", world.path("latest.jpg")).unwrap();
    let mut script = "umask 022; set +e; chmod -R go=u,go-w .; exec 2>&1\n".to_owned();
    for step in &steps {
        script += &format!("{}\nprintf '\\001'\n", step.command);
    }
    let done = world.shell(&script).ok();
    let printed = done.out();
    for (step, found) in steps.iter().zip(printed.split('\u{1}')) {
        let (expected, found) = (normal(&step.expected), normal(found));
        assert!(
            expected == found,
            "README.md:{}: $ {}\nREADME.md has\n{expected}\nghost says\n{found}",
            step.line,
            step.command
        );
    }
}

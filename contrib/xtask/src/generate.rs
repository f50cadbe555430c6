//! Man pages and completions, from the one definition of the command line.
//!
//! The files are committed, so that packages need no build to have them; `cargo xtask gen --check` fails when they
//! are not what the definition says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use ghost::commands::completions::{Supported, script};
use ghost::topics::TOPICS;
use ghost_plumbing::repository::config::{KEYS, Scope, Settings};

use crate::Outcome;

/// Generated files by their path from the top folder.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Writes or compares.
pub fn run(root: &Path, check: bool) -> Outcome {
    let files = generate()?;
    let mut stale = surplus(root, &files)?;
    for (path, bytes) in &files {
        if fs_err::read(root.join(path)).ok().as_ref() != Some(bytes) {
            stale.push(path.clone());
        }
    }
    if check {
        return report(&stale);
    }
    for path in stale {
        let target = root.join(&path);
        match files.get(&path) {
            None => fs_err::remove_file(target).map_err(|error| error.to_string())?,
            Some(bytes) => {
                let folder = target.parent().unwrap_or(root);
                fs_err::create_dir_all(folder).map_err(|error| error.to_string())?;
                fs_err::write(&target, bytes).map_err(|error| error.to_string())?;
            }
        }
        println!("{}", path.display());
    }
    Ok(())
}

fn report(stale: &[PathBuf]) -> Outcome {
    if stale.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = stale.iter().map(|path| format!("  {}", path.display())).collect();
    Err(format!(
        "these generated files are not what the command line says; run `cargo xtask gen`:\n{}",
        names.join("\n")
    ))
}

/// Files in the generated folders that nothing generates any more.
fn surplus(root: &Path, files: &Files) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for folder in ["contrib/man", "contrib/completions"] {
        let Ok(entries) = fs_err::read_dir(root.join(folder)) else {
            continue;
        };
        for entry in entries {
            let name = entry.map_err(|error| error.to_string())?.file_name();
            let path = Path::new(folder).join(name);
            if !files.contains_key(&path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn generate() -> Result<Files, String> {
    let mut files = Files::new();
    for shell in Supported::ALL {
        files.insert(
            Path::new("contrib/completions").join(shell.file_name()),
            script(shell).into_bytes(),
        );
    }
    let mut command = ghost::cli::command();
    command.build();
    let version = command.get_version().unwrap_or_default().to_owned();
    files.insert(PathBuf::from("contrib/man/ghost.1"), main_page(&command)?);
    files.insert(PathBuf::from("contrib/man/ghost-config.5"), config_page()?);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("ghost-{}", sub.get_name());
        let page = Man::new(sub.clone().version(version.clone()).display_name(&name))
            .title(name.to_uppercase())
            .manual("ghost");
        let mut out = Vec::new();
        page.render(&mut out).map_err(|error| error.to_string())?;
        files.insert(PathBuf::from(format!("contrib/man/{name}.1")), out);
    }
    Ok(files)
}

/// The page of the program ends with the pages of `ghost help TOPIC`.
fn main_page(command: &clap::Command) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let page = Man::new(command.clone()).manual("ghost");
    page.render(&mut out).map_err(|error| error.to_string())?;
    let mut roff = Roff::new();
    for topic in TOPICS {
        roff.control("SH", [topic.name.replace('-', " ").to_uppercase().as_str()]);
        preformatted(&mut roff, topic.text);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("ghost-config"), roman("(5)")]);
    roff.to_writer(&mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

/// The page of the configuration file, from the table of keys.
fn config_page() -> Result<Vec<u8>, String> {
    let mut roff = Roff::new();
    roff.control("TH", ["ghost-config", "5", "", "ghost", "ghost"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("ghost-config - settings of ghost")]);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in CONFIG_INTRODUCTION {
        roff.text([roman(*paragraph)]);
        roff.control("PP", []);
    }
    roff.control("SH", ["KEYS"]);
    let defaults = Settings::default();
    for key in KEYS {
        roff.control("TP", []);
        roff.text([bold(key.name)]);
        let default = match defaults.text(key.name).unwrap_or_default() {
            text if text.is_empty() => "empty".to_owned(),
            text => text,
        };
        let place = match key.scope {
            Scope::Any => "",
            Scope::User => " Only in the user's own file.",
        };
        let expected = key.kind.expected();
        roff.text([roman(format!(
            "{} Takes {expected}. Default: {default}.{place}",
            key.help
        ))]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("ghost"), roman("(1), "), bold("ghost-config"), roman("(1)")]);
    let mut out = Vec::new();
    roff.to_writer(&mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

const CONFIG_INTRODUCTION: &[&str] = &[
    "A configuration file is TOML. The user's file is ~/.config/ghost/config (or the file that GHOST_CONFIG names), \
     that of a repository .ghost/config. Values of the repository win over those of the user, and -c KEY=VALUE wins \
     over both.",
    "A key such as chunk.avg is the key avg in the table chunk. Sizes are numbers of bytes or texts such as \"64KiB\". \
     A key that is not listed here is refused, and the nearest one is named.",
    "`ghost config dump` prints every effective value and where it came from.",
];

/// Text whose line breaks and columns mean something.
fn preformatted(roff: &mut Roff, text: &str) {
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

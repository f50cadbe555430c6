//! What a snapshot leaves out: from options and settings to rules.

use std::path::PathBuf;

use bstr::ByteSlice as _;
use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::repository::config::{Settings, parse_bytes};
use ghost_plumbing::walk::RuleOptions;

use crate::error::{Failure, Outcome};

/// The options that leave paths out.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "What is left out")]
pub struct RuleArguments {
    /// Leave out what GLOB matches, as a line of .gitignore would; ! in front brings back
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Leave out what the patterns in FILE match
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub exclude_from: Vec<PathBuf>,
    /// Leave out what is in folders that a CACHEDIR.TAG marks as caches
    #[arg(long)]
    pub exclude_caches: bool,
    /// Leave out what is in folders that hold NAME
    #[arg(long, value_name = "NAME")]
    pub exclude_if_present: Vec<String>,
    /// Leave out files of more than SIZE bytes, such as 500M
    #[arg(long, value_name = "SIZE")]
    pub exclude_larger_than: Option<String>,
    /// Leave out what is mounted below
    #[arg(long)]
    pub one_file_system: bool,
    /// Do not look at .ghostignore files
    #[arg(long)]
    pub no_ignore_files: bool,
}

impl RuleArguments {
    /// The rules, with those of the settings in front.
    pub fn options(&self, settings: &Settings) -> Outcome<RuleOptions> {
        let mut exclude: Vec<String> = settings.snapshot_exclude.clone();
        for path in &self.exclude_from {
            exclude.extend(patterns_in(path)?);
        }
        exclude.extend(self.exclude.iter().cloned());
        let mut present = settings.snapshot_exclude_if_present.clone();
        present.extend(self.exclude_if_present.iter().cloned());
        let larger_than = match &self.exclude_larger_than {
            Some(text) => Some(parse_bytes(text).ok_or_else(|| {
                let message = format!("--exclude-larger-than {text}: expected a size");
                Failure::usage(message, "write it as 1048576, 500K, 20MiB or 4G")
            })?),
            None => Some(settings.snapshot_exclude_larger_than_bytes).filter(|bytes| *bytes > 0),
        };
        Ok(RuleOptions {
            exclude: exclude.into_iter().map(Into::into).collect(),
            exclude_from: Vec::new(),
            exclude_caches: self.exclude_caches || settings.snapshot_exclude_caches,
            exclude_if_present: present.into_iter().map(Into::into).collect(),
            exclude_larger_than: larger_than,
            one_file_system: self.one_file_system || settings.snapshot_one_file_system,
            no_ignore_files: self.no_ignore_files,
        })
    }
}

/// The lines of a file that are patterns.
pub fn patterns_in(path: &PathBuf) -> Outcome<Vec<String>> {
    let text = fs_err::read(path).map_err(|source| Error::Io {
        op: "read",
        path: path.clone(),
        source,
    })?;
    let text = text.to_str().map_err(|error| {
        let problem = format_args!("not UTF-8 at offset {}", error.valid_up_to());
        Error::invalid("file of patterns", path.display(), problem)
    })?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_all_that_was_asked_for() {
        let arguments = RuleArguments {
            exclude: vec!["*.o".to_owned(), "!a b".to_owned()],
            exclude_caches: true,
            exclude_if_present: vec![".nobackup".to_owned()],
            exclude_larger_than: Some("1M".to_owned()),
            one_file_system: true,
            no_ignore_files: true,
            ..RuleArguments::default()
        };
        let rules = arguments.options(&Settings::default()).unwrap();
        let lines = rules.to_lines();
        assert_eq!(lines.len(), 7);
        assert_eq!(RuleOptions::from_lines(&lines).to_lines(), lines);
        assert!(
            RuleOptions::from_lines(&["later thing".to_owned()])
                .to_lines()
                .is_empty()
        );
    }
}

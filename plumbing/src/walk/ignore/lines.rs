//! The lines by which a snapshot says what it left out: `exclude PATTERN`, `exclude-caches`, `exclude-if-present NAME`,
//! `exclude-larger-than BYTES`, `one-file-system`, `no-ignore-files`. With them a live directory is looked at as the
//! snapshot looked at it.

use super::RuleOptions;

impl RuleOptions {
    /// The lines that a snapshot keeps.
    pub fn to_lines(&self) -> Vec<String> {
        let exclude = self.exclude.iter().map(|pattern| format!("exclude {pattern}"));
        let mut lines: Vec<String> = exclude.collect();
        let names = self.exclude_if_present.iter();
        lines.extend(names.map(|name| format!("exclude-if-present {name}")));
        let larger = self.exclude_larger_than.iter();
        lines.extend(larger.map(|bytes| format!("exclude-larger-than {bytes}")));
        for (set, word) in [
            (self.exclude_caches, "exclude-caches"),
            (self.one_file_system, "one-file-system"),
            (self.no_ignore_files, "no-ignore-files"),
        ] {
            lines.extend(set.then(|| word.to_owned()));
        }
        lines
    }

    /// The rules that a snapshot was taken with. Lines of later versions that are not known are passed over.
    pub fn from_lines(lines: &[String]) -> Self {
        let mut rules = Self::default();
        for line in lines {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "exclude" => rules.exclude.push(value.into()),
                "exclude-if-present" => rules.exclude_if_present.push(value.into()),
                "exclude-larger-than" => rules.exclude_larger_than = value.parse().ok(),
                "exclude-caches" => rules.exclude_caches = true,
                "one-file-system" => rules.one_file_system = true,
                "no-ignore-files" => rules.no_ignore_files = true,
                _ => {}
            }
        }
        rules
    }
}

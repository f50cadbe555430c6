//! Colours: eight styles by meaning, as ANSI sequences, or nothing.

use std::fmt;

/// The values of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    /// Whether a stream gets colours.
    pub fn enabled(self, is_terminal: bool, plain: bool) -> bool {
        match self {
            Self::Auto => is_terminal && !plain,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// Headings.
    Bold,
    /// Less important.
    Dim,
    /// The id of a snapshot.
    Id,
    /// Something added; success.
    Added,
    /// Something deleted; an error.
    Deleted,
    /// Something changed.
    Changed,
    /// A warning or a hint.
    Hint,
    /// A directory.
    Directory,
}

impl Style {
    fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Id => "\x1b[33m",
            Self::Added => "\x1b[32m",
            Self::Deleted => "\x1b[31m",
            Self::Changed => "\x1b[36m",
            Self::Hint => "\x1b[35m",
            Self::Directory => "\x1b[34m",
        }
    }

    /// Text in this style, where `enabled`.
    pub fn paint<T: fmt::Display>(self, text: T, enabled: bool) -> Painted<T> {
        let style = if enabled { self } else { Self::Plain };
        Painted { style, text }
    }
}

/// Text with the sequences around it.
#[derive(Debug)]
pub struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = self.style.sequence();
        let off = if on.is_empty() { "" } else { "\x1b[0m" };
        f.write_str(on)?;
        self.text.fmt(f)?;
        f.write_str(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(Style::Added.paint("A", true).to_string(), "\x1b[32mA\x1b[0m");
        assert_eq!(Style::Added.paint("A", false).to_string(), "A");
        assert_eq!(format!("[{:>3}]", Style::Plain.paint("A", true)), "[  A]");
        for (choice, terminal, plain, enabled) in [
            (ColorChoice::Auto, true, false, true),
            (ColorChoice::Auto, true, true, false),
            (ColorChoice::Auto, false, false, false),
            (ColorChoice::Always, false, true, true),
            (ColorChoice::Never, true, false, false),
        ] {
            assert_eq!(
                choice.enabled(terminal, plain),
                enabled,
                "{choice:?} {terminal} {plain}"
            );
        }
    }
}

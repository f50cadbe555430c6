//! `ghost completions`.

use clap_complete::Shell;

use crate::app::App;
use crate::error::Outcome;

/// Print the completion script of a shell
///
/// For bash: `ghost completions bash > ~/.local/share/bash-completion/completions/ghost`. For zsh, a file `_ghost` in
/// a folder of $fpath. For fish: `~/.config/fish/completions/ghost.fish`. Names of refs and paths in snapshots are
/// completed by asking `ghost`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_parser = clap::builder::EnumValueParser::<Supported>::new())]
    pub shell: Supported,
}

/// The shells that are cared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Supported {
    /// GNU bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl Supported {
    /// All of them.
    pub const ALL: [Supported; 3] = [Self::Bash, Self::Zsh, Self::Fish];

    /// The name of the file that a shell looks for.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Bash => "ghost.bash",
            Self::Zsh => "_ghost",
            Self::Fish => "ghost.fish",
        }
    }
}

/// Commands that take revisions.
const WITH_REVISIONS: &[&str] = &[
    "cat",
    "cat-file",
    "diff",
    "diff-tree",
    "log",
    "ls",
    "ls-tree",
    "reconstruct",
    "rev-list",
    "rev-parse",
    "show",
    "stats",
    "verify",
];
/// Positional arguments that are revisions, as the generated script of zsh has them.
const ZSH_REVISIONS: &[&str] = &[
    "':revision ",
    "'::revision ",
    "'*::revisions ",
    "'::old ",
    "'::new ",
    "':old ",
    "':tree ",
];

/// The completion script: what clap knows, and behind it what only a repository knows.
pub fn script(shell: Supported) -> String {
    match shell {
        Supported::Bash => {
            let glue = include_str!("revisions.bash");
            generated(Shell::Bash) + &glue.replace("@COMMANDS@", &WITH_REVISIONS.join(" | "))
        }
        Supported::Zsh => {
            let script: String = generated(Shell::Zsh).lines().map(zsh_line).collect();
            let end = "if [ \"$funcstack[1]\" = \"_ghost\" ]";
            script.replace(end, &format!("{}{end}", include_str!("revisions.zsh")))
        }
        Supported::Fish => {
            let glue = include_str!("revisions.fish");
            generated(Shell::Fish) + &glue.replace("@COMMANDS@", &WITH_REVISIONS.join(" "))
        }
    }
}

fn zsh_line(line: &str) -> String {
    let is_revision = ZSH_REVISIONS.iter().any(|start| line.starts_with(start));
    match line.strip_suffix(":_default' \\") {
        Some(start) if is_revision => format!("{start}:_ghost_revisions' \\\n"),
        _ => format!("{line}\n"),
    }
}

fn generated(shell: Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::command(), "ghost", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    Ok(app.output.bytes(script(arguments.shell).as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_with_revisions_exist() {
        let command = crate::cli::command();
        for name in WITH_REVISIONS {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }

    #[test]
    fn scripts_ask_for_revisions() {
        for shell in Supported::ALL {
            assert!(script(shell).contains("ghost complete-revision"), "{shell:?}");
        }
        let files =
            "'*::revisions -- The files, one behind the other; URL\\:REV\\:PATH is one in a remote:_ghost_revisions'";
        assert!(script(Supported::Zsh).contains(files));
    }
}

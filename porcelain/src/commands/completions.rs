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

/// The completion script.
pub fn script(shell: Supported) -> Vec<u8> {
    let generator = match shell {
        Supported::Bash => Shell::Bash,
        Supported::Zsh => Shell::Zsh,
        Supported::Fish => Shell::Fish,
    };
    let mut out = Vec::new();
    clap_complete::generate(generator, &mut crate::cli::command(), "ghost", &mut out);
    out
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    Ok(app.output.bytes(&script(arguments.shell))?)
}

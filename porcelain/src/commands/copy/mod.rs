//! `ghost copy`.

mod files;
mod rehash;
mod snapshots;

use std::ffi::OsString;

use clap::ValueHint;

use self::snapshots::Place;
use crate::app::App;
use crate::commands::fetch::RateArguments;
use crate::error::{Failure, Outcome};

/// Copy snapshots from one repository to another, or files of a tree into a folder
///
/// Where SRC and DST both name repositories, snapshots are copied: those of the lines and tags that are named, or of all of
/// them, with everything they need and all before them. A repository is a folder that holds one, a .ghost folder, a URL
/// (HOST:PATH, ssh://…, dir:FOLDER, unix:SOCKET, ext::COMMAND), or the name of a remote. What DST has already does not travel;
/// what comes goes from one to the other as it is stored, is hashed there, and is not kept here. Lines there move forward only.
/// Where DST makes its ids with another hash, all is read and hashed anew, and each snapshot says which one it was made from;
/// then DST is a repository of this machine, and contents that are described only cannot be copied.
///
/// Else files are copied: SRC is a directory, file, snapshot or bundle (REV, REV:PATH, URL:REV:PATH, snap:FILE, gfs:FILE), DST a
/// folder. Files come under the same paths, with the bytes checked by their hash on the way, sharing blocks where the file
/// system can. A file that is there with the same bytes is left alone; one with other bytes is passed over and said, unless
/// --overwrite is given, and makes the command end with code 3. Only files are copied, with the folders above them; `ghost
/// reconstruct` restores all else.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A repository, or the tree whose files are copied
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub source: OsString,
    /// The other repository, or the folder for the files; it is made if it is not there
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub target: OsString,
    /// Between repositories: lines or tags of SRC; REV:LINE brings a snapshot to the line LINE [default: all lines and tags]
    #[arg(value_name = "REV")]
    pub revisions: Vec<String>,
    /// Copy files, even where both are repositories
    #[arg(long, conflicts_with = "revisions")]
    pub files: bool,
    /// Files: copy only those whose bytes are nowhere in OTHER; may be given again
    #[arg(long, value_name = "OTHER", conflicts_with = "common_with")]
    pub not_in: Vec<OsString>,
    /// Files: copy only those whose bytes are in OTHER; may be given again
    #[arg(long, value_name = "OTHER")]
    pub common_with: Vec<OsString>,
    /// Files: call it so, where SRC is one file
    #[arg(long, value_name = "NAME")]
    pub name: Option<OsString>,
    /// Files: replace those that have other bytes
    #[arg(long)]
    pub overwrite: bool,
    /// Snapshots: let lines of DST lose what is only there
    #[arg(short, long)]
    pub force: bool,
    /// Only say what would be copied
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// How it is done
    #[command(flatten)]
    pub rate: RateArguments,
}

impl Arguments {
    /// Whether only files can be meant.
    fn means_files(&self) -> bool {
        let asks_others = !self.not_in.is_empty() || !self.common_with.is_empty();
        self.files || self.overwrite || self.name.is_some() || asks_others
    }
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repositories = match arguments.means_files() {
        true => None,
        false => Place::pair(app, arguments),
    };
    if let Some((source, target)) = repositories {
        return snapshots::run(app, arguments, &source, &target);
    }
    let only_snapshots = [(!arguments.revisions.is_empty(), "REV"), (arguments.force, "--force")];
    if let Some((_, what)) = only_snapshots.into_iter().find(|(is_given, _)| *is_given) {
        let message = format!("{what} is for copies between repositories, and SRC and DST are not two of them");
        return Err(Failure::usage(message, "`ghost copy --help` says what is a repository"));
    }
    if crate::remote::url::is_url(&arguments.target) {
        return Err(Failure::usage(
            "files are copied into a folder of this machine, and SRC is no repository",
            "`ghost copy REPOSITORY URL` copies snapshots",
        ));
    }
    files::run(app, arguments)
}

//! Tree arguments: what stands for a tree of files wherever a command takes one.
//!
//! | text | meaning |
//! | --- | --- |
//! | `snap:FILE.gs` | the snapshot in a file, or a path in it: `snap:FILE.gs:PATH` |
//! | `gfs:FILE.gfs` | the newest tree of a bundle, or what follows names: [`bundles`] |
//! | `path:PATH` | a directory or file as it is now |
//! | `rev:REV` | a snapshot, tree or path in one: `ghost help revisions` |
//! | `URL:REV` | the same in another repository: [`crate::remote::named`] |
//! | anything else | a path if there is something, else a revision |
//!
//! What is both a path and a revision is refused, unless it begins with `.` or `/`: then it is a path.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use bstr::BString;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::forest::Forest;
use ghost_plumbing::ghosts::live::Live;
use ghost_plumbing::ghosts::recall::Recall;
use ghost_plumbing::ghosts::stored::Stored;
use ghost_plumbing::object::{HashAlgo, Node};
use ghost_plumbing::refs::Named;
use ghost_plumbing::remote::objects::walk::Below;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::Trust;
use ghost_plumbing::walk::cache::Cutoff;
use ghost_plumbing::walk::{RuleOptions, Rules};

use crate::app::App;
use crate::bundles;
use crate::commands::snapshot::COARSE;
use crate::error::{Failure, Outcome, Report};
use crate::ghosts;
use crate::remote::source::bring_below;
use crate::ui::show;

/// What a tree argument names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeArgument {
    /// `snap:FILE.gs`.
    SnapshotFile(PathBuf),
    /// `gfs:FILE.gfs`.
    Bundle(PathBuf),
    /// A directory or file on this machine.
    Live(PathBuf),
    /// A revision, to be looked up in the repository.
    Revision(OsString),
}

/// What a text is by its form alone; none where that depends on what is there.
fn by_form(text: &OsStr) -> Option<TreeArgument> {
    let bytes = text.as_bytes();
    let after = |tag: &[u8]| bytes.strip_prefix(tag).map(OsStr::from_bytes);
    if let Some(file) = after(b"snap:") {
        return Some(TreeArgument::SnapshotFile(file.into()));
    }
    if let Some(file) = after(b"gfs:") {
        return Some(TreeArgument::Bundle(file.into()));
    }
    if let Some(path) = after(b"path:") {
        return Some(TreeArgument::Live(path.into()));
    }
    if let Some(revision) = after(b"rev:") {
        return Some(TreeArgument::Revision(revision.into()));
    }
    let is_path = bytes.starts_with(b".") || bytes.starts_with(b"/");
    is_path.then(|| TreeArgument::Live(text.into()))
}

/// Says what a tree argument names. An empty one, and one that is both a path and a revision, is refused.
pub fn parse(app: &App, text: &OsStr) -> Outcome<TreeArgument> {
    if text.is_empty() {
        return Err(Failure::usage(
            "the name of a tree is empty",
            "name a path or a revision",
        ));
    }
    // A path alone is a folder, also where that is a repository.
    if app.named_far(text).is_some_and(|named| !named.may_be_folder) {
        return Ok(TreeArgument::Revision(text.to_owned()));
    }
    if let Some(argument) = by_form(text) {
        return Ok(argument);
    }
    let exists = app.environment.absolute(Path::new(text)).symlink_metadata().is_ok();
    if !exists {
        return Ok(TreeArgument::Revision(text.to_owned()));
    }
    let is_revision = app
        .repository()
        .is_ok_and(|repository| names_tree(app, &repository, text));
    if is_revision {
        let shown = show::bytes(text.as_bytes());
        let message = format!("{shown} is a path and a revision");
        let hint = format!("write path:{shown} or rev:{shown}");
        return Err(Failure::usage(message, hint));
    }
    Ok(TreeArgument::Live(text.into()))
}

fn names_tree(app: &App, repository: &Repository, text: &OsStr) -> bool {
    match app.resolve(repository, text) {
        Ok(revision) => !matches!(revision.named, Named::Content(_)),
        // A beginning of several ids is a revision that somebody may have meant.
        Err(error) => matches!(error, Error::Ambiguous { .. }),
    }
}

fn is_nothing(text: &OsStr) -> Failure {
    let message = format!("{} is neither a path nor a revision", show::bytes(text.as_bytes()));
    Failure::other(message, "check the spelling; `ghost log` lists the snapshots")
}

/// The node that a revision, or a text that names something in a bundle, names: a directory, or a file.
fn node_of(app: &App, repository: &Repository, text: &OsStr) -> Outcome<Node> {
    let named = match app.resolve(repository, text) {
        Err(Error::NotFound { .. }) => {
            let message = format!("{} is neither a path nor a revision", show::bytes(text.as_bytes()));
            return Err(Failure::other(
                message,
                "check the spelling; `ghost log` lists the snapshots",
            ));
        }
        named => named?.named,
    };
    let node = match named {
        Named::Entry { entry, .. } => entry.node,
        Named::Content(content) => Node::File {
            content,
            fullhash: None,
        },
        named => Node::Directory {
            tree: named.tree(&repository.store)?,
        },
    };
    if let Node::Directory { tree } = &node {
        bring_below(app, &repository.store, *tree, &[], Below::Lists)?;
    }
    Ok(node)
}

/// An open tree as the library takes it.
pub enum Look<'a> {
    /// On a disk.
    Live(&'a Live),
    /// In a store.
    Stored(Stored<'a>),
}

impl Look<'_> {
    /// The tree.
    pub fn forest(&self) -> &dyn Forest {
        match self {
            Self::Live(live) => *live,
            Self::Stored(stored) => stored,
        }
    }
}

/// How trees are looked at.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// What of live directories is left out.
    pub rules: RuleOptions,
    /// Live files are read always: what the catalogue knows of them is not believed.
    pub reads_all: bool,
}

/// Open trees, by number, in the order of the arguments.
pub struct Trees {
    trees: Vec<Tree>,
    recall: Option<Arc<Recall>>,
}

enum Tree {
    Live(Box<Live>),
    Stored {
        repository: Box<Repository>,
        node: Node,
        label: BString,
        algo: HashAlgo,
    },
}

/// Opens trees. A live one is one that is there; the catalogue of the repository, if there is one, says what is known of
/// its files.
pub fn open(app: &mut App, texts: &[OsString], manner: &Manner) -> Outcome<Trees> {
    let arguments: Vec<TreeArgument> = texts.iter().map(|text| parse(app, text)).collect::<Outcome<_>>()?;
    let repository = match app.repository() {
        Err(Error::NoRepository { .. }) => None,
        found => Some(found?),
    };
    let named = texts.iter().filter(|text| bundles::is_named(text));
    let stored: Vec<HashAlgo> = named.map(|text| bundles::algo(app, text)).collect::<Result<_, _>>()?;
    let algo = repository.as_ref().map(|repository| repository.store.algo());
    let algo = algo.or_else(|| stored.first().copied()).unwrap_or_default();
    let is_live = |argument: &TreeArgument| matches!(argument, TreeArgument::Live(_));
    let recall = match &repository {
        Some(repository) if !manner.reads_all && arguments.iter().any(is_live) => recall(app, repository),
        _ => None,
    };
    let rules = Rules::new(RuleOptions {
        no_ignore_files: true,
        ..manner.rules.clone()
    });
    let mut opening = Opening {
        app,
        algo,
        rules,
        recall: recall.clone(),
    };
    let all = arguments.into_iter().zip(texts);
    let trees = all
        .map(|(argument, text)| opening.tree(argument, text))
        .collect::<Outcome<_>>()?;
    Ok(Trees { trees, recall })
}

/// What trees are opened with.
struct Opening<'a> {
    app: &'a mut App,
    algo: HashAlgo,
    rules: Arc<Rules>,
    recall: Option<Arc<Recall>>,
}

impl Opening<'_> {
    fn tree(&mut self, argument: TreeArgument, text: &OsStr) -> Outcome<Tree> {
        let algo = self.algo;
        let (repository, text) = match argument {
            TreeArgument::Live(path) => {
                let whole = self.app.environment.resolved(&path);
                let live = Live::open(&whole, path.as_os_str().as_bytes(), algo, self.rules.clone())?;
                // `ghost scan --trust=hash` said of some trees that their times prove nothing.
                let recall = self.recall.as_ref().filter(|recall| !recall.distrusts(&whole));
                return Ok(Tree::Live(Box::new(match recall {
                    Some(recall) => live.recalling(recall.clone()),
                    None => live,
                })));
            }
            TreeArgument::Revision(revision) => match self.app.repository_for([&*revision]) {
                Err(Error::NoRepository { .. }) => return Err(is_nothing(&revision)),
                found => (found?, revision),
            },
            TreeArgument::SnapshotFile(_) | TreeArgument::Bundle(_) => {
                (bundles::repository_of(self.app, text)?, text.to_owned())
            }
        };
        Ok(Tree::Stored {
            node: node_of(self.app, &repository, &text)?,
            repository: Box::new(repository),
            label: label(self.app, &text),
            algo,
        })
    }
}

/// What paths in a stored tree are shown behind. The URL of a remote has colons of its own: where no path is named in it,
/// one ends it.
fn label(app: &App, text: &OsStr) -> BString {
    let mut label = BString::from(text.as_bytes());
    if let Some(named) = app.named_far(text)
        && !named.rest.as_bytes().contains(&b':')
    {
        let ending: &[u8] = if named.rest.is_empty() { b"::@:" } else { b":" };
        label.extend_from_slice(ending);
    }
    label
}

/// What the catalogue knows, unless nothing but bytes is trusted. Where it cannot be used, everything is read, which is
/// only said to who wants to know more.
fn recall(app: &mut App, repository: &Repository) -> Option<Arc<Recall>> {
    if repository.settings().snapshot_trust == Trust::Hash {
        return None;
    }
    let looked = app.environment.clock();
    let opened = ghosts::open_to_recall(app, repository);
    let catalogue = match opened.and_then(|catalogue| Ok(catalogue.with_small_cache()?)) {
        Ok(catalogue) => catalogue,
        Err(failure) => {
            let why = Report::of(&failure).message.unwrap_or_default();
            app.output.note(1, format_args!("working without the catalogue: {why}"));
            return None;
        }
    };
    if catalogue.is_read_only() {
        app.output.note(
            0,
            "nothing can be written where the catalogue is: what is learnt is not kept",
        );
    }
    let host = app.host(repository.settings());
    let cutoff = Cutoff::new(looked, COARSE);
    Some(Arc::new(Recall::new(catalogue, &host, looked, cutoff)))
}

impl Trees {
    /// As the library takes them, by number.
    pub fn looks(&self) -> Vec<Look<'_>> {
        fn look(tree: &Tree) -> Look<'_> {
            match tree {
                Tree::Live(live) => Look::Live(live),
                Tree::Stored {
                    repository,
                    node,
                    label,
                    algo,
                } => Look::Stored(Stored::new(&repository.store, node.clone(), label, *algo)),
            }
        }
        self.trees.iter().map(look).collect()
    }

    /// A path in a tree as people write it: so that it can be given to a command again.
    pub fn shown(&self, number: usize, path: &[u8]) -> BString {
        match &self.trees[number] {
            Tree::Live(live) => live_path(live.label(), path),
            Tree::Stored { label, .. } => stored_path(label, path),
        }
    }

    /// Records what was learnt of live files.
    pub fn finish(&self, app: &mut App) {
        if let Some(recall) = &self.recall
            && let Err(error) = recall.finish()
        {
            app.output.warn(format_args!(
                "not all that was learnt could be kept in the catalogue: {error}"
            ));
        }
    }
}

fn live_path(label: &[u8], path: &[u8]) -> BString {
    match (label, path) {
        (label, b"") => label.into(),
        (b"." | b"./", path) => path.into(),
        (label, path) if label.ends_with(b"/") => [label, path].concat().into(),
        (label, path) => [label, b"/", path].concat().into(),
    }
}

fn stored_path(label: &[u8], path: &[u8]) -> BString {
    let tag = [&b"snap:"[..], b"gfs:", b"rev:"]
        .into_iter()
        .find(|tag| label.starts_with(tag));
    let name = &label[tag.map_or(0, <[u8]>::len)..];
    let between: &[u8] = match name {
        _ if path.is_empty() || name.ends_with(b":") || name.ends_with(b"/") => b"",
        name if name.contains(&b':') => b"/",
        _ => b":",
    };
    [label, between, path].concat().into()
}

/// Those arguments that are not below another one, each once: so that no file is met twice.
pub fn outermost(app: &App, texts: &[OsString]) -> Outcome<Vec<OsString>> {
    let place = |text: &OsString| -> Outcome<Option<PathBuf>> {
        Ok(match parse(app, text)? {
            TreeArgument::Live(path) => Some(app.environment.resolved(&path)),
            _ => None,
        })
    };
    let places: Vec<Option<PathBuf>> = texts.iter().map(place).collect::<Outcome<_>>()?;
    let inside = |number: usize| {
        let mut others = places.iter().enumerate().filter(|(other, _)| *other != number);
        places[number].as_ref().is_some_and(|own| {
            others.any(|(other, place)| {
                let above = place.as_ref().is_some_and(|above| own.starts_with(above));
                above && (places[number] != places[other] || other < number)
            })
        })
    };
    let kept = texts.iter().enumerate().filter(|(number, _)| !inside(*number));
    Ok(kept.map(|(_, text)| text.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_decides_where_it_can() {
        let of = |text: &str| by_form(OsStr::new(text));
        assert_eq!(of("snap:a.gs"), Some(TreeArgument::SnapshotFile("a.gs".into())));
        assert_eq!(of("gfs:/x/a.gfs"), Some(TreeArgument::Bundle("/x/a.gfs".into())));
        assert_eq!(of("path:main"), Some(TreeArgument::Live("main".into())));
        assert_eq!(of("rev:./x"), Some(TreeArgument::Revision("./x".into())));
        assert_eq!(of("./main"), Some(TreeArgument::Live("./main".into())));
        assert_eq!(of("/"), Some(TreeArgument::Live("/".into())));
        for text in ["main", "@", "@~1:a/b", "snapshot:1234567", "a.gs"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn paths_are_shown_as_they_are_written() {
        for (label, path, shown) in [
            ("a", "b/c", "a/b/c"),
            ("a/", "b", "a/b"),
            (".", "b", "b"),
            ("/", "b", "/b"),
            ("a/f", "", "a/f"),
        ] {
            assert_eq!(live_path(label.as_bytes(), path.as_bytes()), shown);
        }
        for (label, path, shown) in [
            ("@", "b/c", "@:b/c"),
            ("@:", "b", "@:b"),
            ("main~2:a", "b", "main~2:a/b"),
            ("@:f", "", "@:f"),
            ("gfs:x.gfs", "b", "gfs:x.gfs:b"),
            ("snap:x.gs:a", "b", "snap:x.gs:a/b"),
        ] {
            assert_eq!(stored_path(label.as_bytes(), path.as_bytes()), shown);
        }
    }
}

//! `ghost condense`.
//!
//! 1. Each input becomes a tree that is read through one store: live folders are taken into a spool, bundles are
//!    attached. What is to be written to a repository is copied there first instead.
//! 2. The library unites the trees and puts the descriptions together.
//! 3. The result is a snapshot in the output, which is made or grows by it.

mod describe;
mod written;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ghost_plumbing::Result;
use ghost_plumbing::bundle::{Addition, Bundle, Root, copy_roots, count_missing};
use ghost_plumbing::ghosts::Ghosts;
use ghost_plumbing::ghosts::condense::{Input, unite};
use ghost_plumbing::object::text::quote_name;
use ghost_plumbing::object::{ObjectId, ObjectKind, ObjectSource as _, Snapshot, Totals};
use ghost_plumbing::progress::{Phase, Progress};
use ghost_plumbing::refs::revision::read_snapshot;
use ghost_plumbing::refs::{Expected, RefChange, Who, short_name};
use ghost_plumbing::repository::{Leans, Repository, Settings};
use ghost_plumbing::snapshot::{self, Keep, Place, Problem};
use ghost_plumbing::store::Store;
use serde::Serialize;

use self::describe::unknown;
use self::written::{Written, line_of, put};
use crate::app::App;
use crate::bundles;
use crate::commands::gfs::{Subject, is_gs, read_descriptions, write_descriptions};
use crate::commands::log;
use crate::commands::snapshot::{place, request_by};
use crate::error::{Failure, Outcome, PARTIAL};
use crate::records::ProblemRecord;
use crate::rules::RuleArguments;
use crate::ui::show::{self, short_id};
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

/// Unite folders and snapshots into one snapshot
///
/// The result has every path and every content of all trees, and the same content once. Folders of one name become one
/// folder. Where files of one path differ, all stay: the one with the newest time of change keeps the name, each other
/// has `~` and the first twelve digits of its hash behind it; a folder always keeps its name. Of equal files, the
/// metadata with the newest time is kept, and hard links become files of one content. So the order of the trees does not
/// matter, and uniting again changes nothing.
///
/// A bundle as output also gets a description of each content, with every path that it was seen at, and the oldest
/// and the newest date of all.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folders, revisions, bundles (snap:FILE, gfs:FILE) of which the last addition counts
    #[arg(value_name = "TREE", required = true)]
    pub trees: Vec<OsString>,
    /// Where the result goes: snap:FILE (without contents), gfs:FILE or a line; made, or united with what is there
    #[arg(value_name = "OUT")]
    pub output: OsString,
    /// Leave the contents of files out
    #[arg(long)]
    pub ghosts_only: bool,
    /// Why the snapshot is made
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub message: String,
    /// The rules
    #[command(flatten)]
    pub rules: RuleArguments,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    snapshot: String,
    tree: String,
    inputs: usize,
    files: u64,
    total_bytes: u64,
    distinct_contents: u64,
    added_objects: u64,
    added_bytes: u64,
    stored_bytes: u64,
    missing_files: u64,
    problems: u64,
    seconds: f64,
}

/// A tree to unite, with what is known of where it was.
struct Tree {
    tree: ObjectId,
    snapshot: Option<Snapshot>,
    /// Its snapshot in the store, if it has one.
    id: Option<ObjectId>,
    /// When all bytes were read, where that was just now.
    is_live: bool,
}

/// What was gathered, and what came of it.
struct Job<'a> {
    arguments: &'a Arguments,
    keep: Keep,
    progress: Arc<Progress>,
    trees: Vec<Tree>,
    ghosts: Ghosts,
    /// What bundles tell of them, where the catalogue is to get it.
    told: Option<Ghosts>,
    contents: u64,
    problems: Vec<Problem>,
    begun: Instant,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let mut subjects = Vec::new();
    for text in &arguments.trees {
        match Subject::parse(app, text)? {
            Subject::Descriptors(_) => {
                let hint = "`ghost gfs add gfs:FILE WHAT.ghostdesc` adds descriptions to a bundle";
                return Err(Failure::usage(format!("{} is not a tree", text.display()), hint));
            }
            subject => subjects.push(subject),
        }
    }
    let into_file = bundles::is_named(&arguments.output);
    let keep = match arguments.ghosts_only || (into_file && is_gs(&arguments.output)) {
        true => Keep::Ghosts,
        false => Keep::Everything,
    };
    let mut job = Job {
        arguments,
        keep,
        progress: Arc::new(Progress::new(app.interrupt.clone())),
        trees: Vec::new(),
        ghosts: Ghosts::default(),
        told: None,
        contents: 0,
        problems: Vec::new(),
        begun: Instant::now(),
    };
    match into_file {
        true => job.unite_in_bundle(app, subjects),
        false => job.unite_on_line(app, subjects),
    }
}

impl Job<'_> {
    /// Unites into a bundle.
    fn unite_in_bundle(&mut self, app: &mut App, subjects: Vec<Subject>) -> Outcome {
        let config = app.config()?;
        let settings = config.typed();
        let path = app
            .environment
            .real(Path::new(bundles::without_tag(&self.arguments.output)));
        let repository = || app.repository().ok().map(|found| found.store.algo());
        let algo = subjects
            .iter()
            .find_map(Subject::algo)
            .or_else(repository)
            .unwrap_or_default();
        let mut bundle = Bundle::open_or_create(app.disk.clone(), &path, algo, settings.store_options())?;
        if let Some(problem) = bundle.take_problem() {
            // What does not read of it would be missing in the result.
            return Err(problem.into());
        }
        let progress = self.progress.clone();
        let monitor = app.monitor_by(&progress, settings)?;
        self.ghosts = Ghosts::spilling(app.disk.clone(), &path);
        let (base, spool) = self.gather(app, settings, &bundle, subjects)?;
        let snapshot = self.unite(app, &base.store, &spool, Vec::new())?;
        self.describe(&base.store)?;
        let id = match bundle.top() {
            Some(top) if self.tells_the_same(&base.store, top, &snapshot)? => top.id,
            _ => put(&spool, &snapshot)?,
        };
        // What was put into the spool since it was attached is to be seen.
        base.store.refresh()?;
        let addition = Addition {
            roots: vec![Root {
                added: app.environment.now(),
                label: "condensed".to_owned(),
                ..root(id)
            }],
            without_data: self.keep == Keep::Ghosts,
            ..Addition::default()
        };
        self.contents = self.count()?;
        let known = self.descriptions_of(app, &bundle)?;
        let texts = write_descriptions(unknown(self.ghosts.sorted()?, known.sorted()?));
        let added = bundle.add_described(&base.store, addition, texts, &progress)?;
        drop(monitor);
        let written = Written {
            objects: added.objects,
            bytes: added.bytes,
            stored_bytes: added.stored_bytes,
            missing_files: added.missing_files,
        };
        let shown = app.shown(&path);
        self.tell(app, &shown, &id, &snapshot, &written)
    }

    /// Gives a store through which all trees are read, and the spool that takes what is new; both are attached to the
    /// first, with what the output holds already.
    fn gather(
        &mut self,
        app: &App,
        settings: &Settings,
        bundle: &Bundle,
        subjects: Vec<Subject>,
    ) -> Outcome<(Repository, Store)> {
        let output = bundle.store();
        let spool = Store::spool(
            app.disk.clone(),
            &output.place(),
            output.algo(),
            settings.store_options(),
        )?;
        spool.attach(output)?;
        let base = match subjects.iter().any(|subject| matches!(subject, Subject::Stored(..))) {
            true => app.repository()?,
            false => bundles::scratch(app, output.algo())?,
        };
        base.store.attach(output)?;
        self.add_bundle(bundle, bundle.top().cloned())?;
        let at = Place {
            disk: &*app.disk,
            ghost_dir: None,
            uuid: spool.uuid(),
            store: &spool,
        };
        for subject in subjects {
            match subject {
                Subject::Live(paths) => self.add_live(app, settings, &at, paths)?,
                Subject::Stored(repository, root) => self.add_root(&repository.store, &root)?,
                Subject::Bundle(other, roots) => {
                    base.store.attach(other.store())?;
                    self.add_bundle(&other, roots.into_iter().next())?;
                }
                Subject::Descriptors(_) => {}
            }
        }
        base.store.attach(&spool)?;
        Ok((base, spool))
    }

    /// Unites into a line of the repository.
    fn unite_on_line(&mut self, app: &mut App, subjects: Vec<Subject>) -> Outcome {
        let repository = app.repository()?;
        repository.check_writable()?;
        let line = line_of(&self.arguments.output)?;
        let parent = repository.refs.get(&line)?;
        let mut written = Written::default();
        let pile = || Ghosts::spilling(app.disk.clone(), &repository.ghost_dir.join("condense"));
        (self.ghosts, self.told) = (pile(), Some(pile()));
        let progress = self.progress.clone();
        let monitor = app.monitor(&progress, &repository.config)?;
        let store = &repository.store;
        if let Some(parent) = parent {
            self.add_root(store, &root(parent))?;
        }
        for subject in subjects {
            match subject {
                Subject::Live(paths) => self.add_live(app, repository.settings(), &place(&repository), paths)?,
                Subject::Stored(_, root) => self.add_root(store, &root)?,
                Subject::Bundle(other, roots) => {
                    let top = &roots[..roots.len().min(1)];
                    let counters = copy_roots(other.store(), store, top, self.keep == Keep::Ghosts, &progress)?;
                    written.add(&counters);
                    self.add_bundle(&other, top.first().cloned())?;
                }
                Subject::Descriptors(_) => {}
            }
        }
        let parents: BTreeSet<ObjectId> = self.trees.iter().filter_map(|tree| tree.id).collect();
        let others = parents.into_iter().filter(|id| Some(*id) != parent);
        let parents = parent.into_iter().chain(others).collect();
        let snapshot = self.unite(app, store, store, parents)?;
        let is_same = match parent {
            Some(parent) => self.tells_the_same(store, &root(parent), &snapshot)?,
            None => false,
        };
        self.describe(store)?;
        let id = match parent.filter(|_| is_same) {
            Some(parent) => parent,
            None => put(store, &snapshot)?,
        };
        let who = Who {
            author: snapshot.author.clone(),
            host: app.host(repository.settings()),
            time: app.environment.now(),
        };
        let change = RefChange {
            name: line.clone(),
            expected: parent.map_or(Expected::Absent, Expected::Is),
            new: Some(id),
        };
        if parent != Some(id) {
            repository.commit(&[change], &who, "condense", Leans::Anything)?;
        }
        drop(monitor);
        self.contents = self.count()?;
        self.keep_descriptions(app, &repository)?;
        let shown = format!("line {}", show::text(short_name(&line)));
        self.tell(app, &shown, &id, &snapshot, &written)
    }

    fn add_live(&mut self, app: &App, settings: &Settings, at: &Place<'_>, paths: Vec<PathBuf>) -> Outcome {
        let mut request = request_by(app, settings, self.arguments.rules.options(settings)?);
        request.roots = paths;
        request.keep = self.keep;
        let taken = snapshot::take(at, &request, &self.progress)?;
        self.problems.extend(taken.problems);
        self.trees.push(Tree {
            tree: taken.snapshot.tree,
            snapshot: Some(taken.snapshot),
            id: Some(taken.id),
            is_live: true,
        });
        Ok(())
    }

    fn add_root(&mut self, store: &Store, root: &Root) -> Outcome {
        let (tree, snapshot) = match root.kind {
            ObjectKind::Snapshot => {
                let snapshot = read_snapshot(store, &root.id)?;
                (snapshot.tree, Some(snapshot))
            }
            _ => (root.id, None),
        };
        self.trees.push(Tree {
            tree,
            id: snapshot.as_ref().map(|_| root.id),
            snapshot,
            is_live: false,
        });
        Ok(())
    }

    fn add_bundle(&mut self, bundle: &Bundle, root: Option<Root>) -> Outcome {
        for pile in [Some(&mut self.ghosts), self.told.as_mut()].into_iter().flatten() {
            read_descriptions(bundle, pile)?;
        }
        root.iter().try_for_each(|root| self.add_root(bundle.store(), root))
    }

    /// Unites the trees that are read through `from`, puts the nodes of the result into `to`, and gives its snapshot.
    fn unite(&self, app: &App, from: &Store, to: &Store, parents: Vec<ObjectId>) -> Outcome<Snapshot> {
        self.progress.set_phase(Phase::Writing);
        let inputs: Vec<Input<'_>> = self
            .trees
            .iter()
            .map(|tree| Input {
                source: from,
                tree: tree.tree,
            })
            .collect();
        let writer = to.writer()?;
        let mut packer = writer.packer();
        let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
        let (tree, totals) = unite(&inputs, from.algo(), &mut put, &self.progress)?;
        packer.flush()?;
        drop(packer);
        writer.commit()?;
        from.refresh()?;
        let of_tree = Root {
            kind: ObjectKind::Tree,
            ..root(tree)
        };
        let is_partial = count_missing(from, &[of_tree], &self.progress)? > 0;
        let mut snapshot = self.snapshot(app, tree, totals, parents)?;
        snapshot.set_ghosts_only(self.keep == Keep::Ghosts || is_partial);
        Ok(snapshot)
    }

    fn snapshot(&self, app: &App, tree: ObjectId, totals: Totals, parents: Vec<ObjectId>) -> Result<Snapshot> {
        let config = app.config()?;
        let time = app.environment.now();
        let mut snapshot = Snapshot {
            tree,
            parents,
            time,
            offset_minutes: app.environment.offset_minutes(time),
            host: app.host(config.typed()),
            author: app.author(config.typed()),
            message: self.arguments.message.clone(),
            tags: Vec::new(),
            roots: Vec::new(),
            rules: Vec::new(),
            totals,
            extra: Vec::new(),
        };
        snapshot.set_condensed_of(self.places());
        Ok(snapshot)
    }

    /// Where the trees were: the lines of those that were united before, and one for each folder of the others.
    fn places(&self) -> Vec<u8> {
        let mut lines: BTreeSet<Vec<u8>> = BTreeSet::new();
        for snapshot in self.trees.iter().filter_map(|tree| tree.snapshot.as_ref()) {
            if let Some(before) = snapshot.condensed_of() {
                lines.extend(before.split(|&byte| byte == b'\n').map(<[u8]>::to_vec));
            }
            for root in &snapshot.roots {
                lines.insert(format!("{}\t{}", snapshot.host, quote_name(&root.path)).into_bytes());
            }
        }
        lines.into_iter().collect::<Vec<_>>().join(&b'\n')
    }

    /// Whether what is there already has the tree and the places of a new snapshot.
    fn tells_the_same(&self, store: &Store, top: &Root, snapshot: &Snapshot) -> Result<bool> {
        if top.kind != ObjectKind::Snapshot {
            return Ok(false);
        }
        let there = Snapshot::decode(&store.object(ObjectKind::Snapshot, &top.id)?)?;
        let told = |snapshot: &Snapshot| (snapshot.tree, snapshot.condensed_of().map(<[u8]>::to_vec));
        let holds_less = there.is_ghosts_only() && !snapshot.is_ghosts_only();
        Ok(told(&there) == told(snapshot) && !holds_less)
    }

    fn tell(&self, app: &mut App, shown: &str, id: &ObjectId, snapshot: &Snapshot, written: &Written) -> Outcome {
        for problem in &self.problems {
            if app.output.json() {
                app.output.record(&ProblemRecord::new(&problem.path, &problem.error))?;
            }
            app.output.failed_path(&problem.path, &problem.error);
        }
        if app.output.json() {
            app.output.record(&Summary {
                command: "condense",
                snapshot: id.to_string(),
                tree: snapshot.tree.to_string(),
                inputs: self.trees.len(),
                files: snapshot.totals.files,
                total_bytes: snapshot.totals.bytes,
                distinct_contents: self.contents,
                added_objects: written.objects,
                added_bytes: written.bytes,
                stored_bytes: written.stored_bytes,
                missing_files: written.missing_files,
                problems: self.problems.len() as u64,
                seconds: self.begun.elapsed().as_secs_f64(),
            })?;
        } else {
            let trees = counted(self.trees.len() as u64, "tree", "trees");
            let contents = counted(self.contents, "distinct content", "distinct contents");
            app.output.say(format_args!(
                "United {trees} in {shown}: snapshot {}, {}; {contents}; {}",
                short_id(id),
                log::holds(snapshot),
                Length(self.begun.elapsed())
            ))?;
            if written.stored_bytes > 0 {
                let objects = counted(written.objects, "object", "objects");
                app.output.say(format_args!(
                    "  new: {} in {objects}, {} on disk",
                    Size(written.bytes),
                    Size(written.stored_bytes)
                ))?;
            }
            if self.keep == Keep::Everything && written.missing_files > 0 {
                let files = counted(written.missing_files, "file", "files");
                app.output
                    .say(format_args!("  the bytes of {files} are described, not stored"))?;
            }
        }
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(Failure::Code(PARTIAL)),
        }
    }
}

fn root(id: ObjectId) -> Root {
    Root {
        kind: ObjectKind::Snapshot,
        id,
        is_complete: true,
        added: ghost_plumbing::time::Timestamp::default(),
        label: String::new(),
    }
}

//! Bundles: what is pushed to one, or condensed into one, is there as a whole or not at all.

use std::path::Path;
use std::sync::Arc;

use super::life::{Life, open};
use super::{Trial, images, kills, power_cuts};
use crate::bundle::{Addition, Bundle, Root};
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::disk::simulated::{Crash, Fate, Fault, Injection, Journal, SimulatedDisk, Tail};
use crate::error::{Error, Result};
use crate::ghosts::condense::{Input, unite};
use crate::object::{HashAlgo, ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::progress::Progress;
use crate::store::{Options, Store};
use crate::time::Timestamp;
use crate::verify::{Depth, Request, Target, run};

const PATH: &str = "/b/f.gfs";

/// A repository, and what is pushed from it into a bundle, one addition after another. Mark n is written when addition n
/// is acknowledged.
struct Pushes {
    from: Store,
    additions: Vec<Vec<Root>>,
    journal: Journal,
}

fn root(kind: ObjectKind, id: ObjectId) -> Root {
    Root {
        kind,
        id,
        is_complete: false,
        added: Timestamp::new(1_700_000_000, 5),
        label: "label".to_owned(),
    }
}

/// The united tree of two snapshots, stored in `store`.
fn condensed(store: &Store, of: [ObjectId; 2]) -> ObjectId {
    let tree = |id| {
        Snapshot::decode(&store.object(ObjectKind::Snapshot, &id).unwrap())
            .unwrap()
            .tree
    };
    let inputs = of.map(|id| Input {
        source: store,
        tree: tree(id),
    });
    let writer = store.writer().unwrap();
    let mut packer = writer.packer();
    let mut put = |kind, bytes: Vec<u8>| packer.put(kind, &bytes).map(|(id, _)| id);
    let (tree, _) = unite(&inputs, HashAlgo::Sha256, &mut put, &Progress::default()).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    tree
}

fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    for folder in ["/", "/b"] {
        disk.create_dir(Path::new(folder)).unwrap();
    }
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

impl Pushes {
    fn new() -> Self {
        let life = Life::new(4);
        let whole = Crash {
            after: life.journal.ops().len(),
            fate: Fate::Kill,
            sector: 512,
            tail: Tail::Zeros,
            seed: 0,
        };
        let image: Arc<dyn Disk> = Arc::new(life.journal.image(&whole));
        let from = open(&image).unwrap().store;
        let snapshots: Vec<ObjectId> = life.values.iter().flatten().copied().collect();
        let united = condensed(&from, [snapshots[0], snapshots[2]]);
        let snapshot = |at: usize| root(ObjectKind::Snapshot, snapshots[at]);
        let additions = vec![
            vec![snapshot(0)],
            vec![snapshot(1), snapshot(2)],
            vec![root(ObjectKind::Tree, united)],
            vec![snapshot(3)],
        ];
        let mut pushes = Self {
            from,
            additions,
            journal: Journal::default(),
        };
        let disk = disk();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        // The last addition is what comes after a crash.
        for n in 1..pushes.additions.len() {
            pushes.push(&shared, n).unwrap();
            disk.mark(n as u64);
        }
        pushes.journal = disk.journal();
        pushes
    }

    /// Makes addition `n`, from 1.
    fn push(&self, disk: &Arc<dyn Disk>, n: usize) -> Result<()> {
        let mut bundle = Bundle::open_or_create(disk.clone(), Path::new(PATH), HashAlgo::Sha256, Options::default())?;
        let addition = Addition {
            roots: self.additions[n - 1].clone(),
            descriptors: vec![format!("descriptors {n}\n").into_bytes()],
            without_data: false,
        };
        bundle.add(&self.from, addition, &Progress::default()).map(drop)
    }

    /// The roots after addition `n`, the newest first.
    fn roots(&self, n: usize) -> Vec<ObjectId> {
        self.additions[..n].iter().rev().flatten().map(|root| root.id).collect()
    }

    fn ids(bundle: &Bundle) -> Vec<ObjectId> {
        bundle.roots().iter().map(|root| root.id).collect()
    }
}

/// Reads all of a bundle and asks for it to be whole.
fn check_whole(bundle: &Bundle, what: &dyn std::fmt::Debug) {
    assert!(bundle.problems().is_empty(), "{what:?}: {:?}", bundle.problems());
    check_objects(bundle, &[], what);
}

/// The same of what a power cut left. A commit record at the end that lost its second half looks like one that was damaged
/// later, and is told to be safe; the next writer replaces it.
fn check_torn(bundle: &Bundle, crash: &Crash) {
    let problems = bundle.problems();
    let is_torn = |error: &Error| matches!(error, Error::Damaged { offset, .. } if *offset + 200 > length(bundle));
    assert!(
        problems.len() <= 1 && problems.iter().all(is_torn),
        "{crash:?}: {problems:?}"
    );
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    check_objects(bundle, &told, crash);
}

fn length(bundle: &Bundle) -> u64 {
    bundle.store().data_files()[0].0.file.len().unwrap()
}

fn check_objects(bundle: &Bundle, told: &[String], what: &dyn std::fmt::Debug) {
    let target = |root: &Root| Target {
        name: root.id.to_string(),
        kind: root.kind,
        id: root.id,
        needs_data: Some(root.is_complete),
        needs_tree: true,
    };
    assert!(
        bundle.roots().iter().all(|root| root.is_complete),
        "{what:?}: bytes are missing"
    );
    let request = Request {
        targets: bundle.roots().iter().map(target).collect(),
        everything: true,
        depth: Depth::Data,
        threads: 1,
    };
    let report = run(bundle.store(), None, &request, &Progress::default());
    let mut report = report.unwrap_or_else(|error| panic!("{what:?}: {error}"));
    report.damage.retain(|error| !told.contains(&error.to_string()));
    assert!(report.is_clean(), "{what:?}: {report:?}");
    let texts: Result<Vec<_>, _> = bundle.descriptors().collect();
    texts.unwrap_or_else(|error| panic!("{what:?}: {error}"));
}

impl Trial for Pushes {
    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn check(&self, image: MemoryDisk, mark: Option<u64>, crash: &Crash, goes_on: bool) {
        let disk: Arc<dyn Disk> = Arc::new(image);
        let acknowledged = mark.unwrap_or(0) as usize;
        match Bundle::open(disk.clone(), Path::new(PATH)) {
            Ok(bundle) => {
                let found = Self::ids(&bundle);
                let allowed = [acknowledged, acknowledged + 1].map(|n| self.roots(n));
                assert!(allowed.contains(&found), "{crash:?}: {found:?}, not in {allowed:?}");
                check_torn(&bundle, crash);
            }
            Err(error) => assert_eq!(acknowledged, 0, "{crash:?}: {error}"),
        }
        if goes_on {
            let last = self.additions.len();
            self.push(&disk, last)
                .unwrap_or_else(|error| panic!("{crash:?}: the next addition: {error}"));
            let bundle = Bundle::open(disk, Path::new(PATH)).unwrap();
            assert_eq!(bundle.roots()[0].id, self.additions[last - 1][0].id, "{crash:?}");
            check_whole(&bundle, crash);
        }
    }
}

#[test]
fn a_kill_leaves_an_addition_to_a_bundle_whole_or_undone() {
    kills(&Pushes::new());
}

#[test]
fn a_power_cut_leaves_an_addition_to_a_bundle_whole_or_undone() {
    power_cuts("bundles", &Pushes::new(), images() / 4);
}

#[test]
fn a_failing_disk_never_earns_a_false_done_of_an_addition() {
    let pushes = Pushes::new();
    for (kind, count) in [
        (std::io::ErrorKind::StorageFull, 1),
        (std::io::ErrorKind::Other, usize::MAX),
    ] {
        for fault in [Fault::Fails(kind), Fault::Half(kind)] {
            for from in 0.. {
                let disk = disk();
                let shared: Arc<dyn Disk> = Arc::new(disk.clone());
                pushes.push(&shared, 1).unwrap();
                let from = disk.asked() + from;
                disk.inject(Some(Injection { from, count, fault }));
                let result = pushes.push(&shared, 2);
                let reached = disk.asked() > from;
                disk.inject(None);
                let what = (fault, count, from, result.as_ref().map_err(ToString::to_string));
                let bundle = Bundle::open(shared.clone(), Path::new(PATH)).unwrap();
                let found = Pushes::ids(&bundle);
                let is_done = found == pushes.roots(2);
                assert!(
                    is_done || (result.is_err() && found == pushes.roots(1)),
                    "{what:?}: {found:?}"
                );
                check_whole(&bundle, &what);
                pushes
                    .push(&shared, 2)
                    .unwrap_or_else(|error| panic!("{what:?}: again: {error}"));
                let bundle = Bundle::open(shared.clone(), Path::new(PATH)).unwrap();
                assert_eq!(Pushes::ids(&bundle), pushes.roots(2), "{what:?}");
                check_whole(&bundle, &what);
                if !reached {
                    assert!(result.is_ok(), "{what:?}: nothing failed");
                    break;
                }
            }
        }
    }
}

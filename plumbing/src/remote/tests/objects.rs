//! Objects by their ids: what comes, what is missing, what is kept. Who lies about them: [`super::hostile`].

use std::io::pipe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use super::world::*;
use crate::content;
use crate::disk::Disk;
use crate::disk::memory::MemoryDisk;
use crate::error::{Error, Result};
use crate::object::{ContentRef, HashAlgo, Indirect, ObjectId, ObjectKind, ObjectSource};
use crate::progress::Progress;
use crate::refs::revision::read_snapshot;
use crate::remote::client::Client;
use crate::remote::message::{self, GetRequest};
use crate::remote::objects::Brought;
use crate::remote::objects::cache::{Cache, Keeping, Place};
use crate::remote::objects::supply::{Peer, Peers};
use crate::remote::objects::walk::{Below, bring_differing, bring_trees};
use crate::remote::policy::Policy;
use crate::remote::server::serve;
use crate::remote::wire::{Channel, Connection, Greeting, Limits, Role};
use crate::store::{Options, Show, Store, Writer};
use crate::time::Timestamp;

/// A server in a thread of its own that is asked through a connection.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) connection: Option<Connection>,
    server: Option<JoinHandle<()>>,
    pub(super) questions: AtomicU64,
}

/// What a server of today says that it can.
const CAPABILITIES: [&str; 3] = [message::HISTORY, message::WHOLE, message::LEANING];

impl Asked {
    /// Of a sound server.
    pub(super) fn serving(side: &Side) -> Self {
        let exports = exports(side, Policy::default());
        Self::running(move |connection| drop(serve(&connection, &exports, &Progress::default())))
    }

    /// The same of one that is older than differences in answers.
    pub(super) fn serving_as_before(side: &Side) -> Self {
        let exports = exports(side, Policy::default());
        let serve = move |connection| drop(serve(&connection, &exports, &Progress::default()));
        Self::running_as(&[message::HISTORY, message::WHOLE], serve)
    }

    /// Of one that answers each request for objects so.
    pub(super) fn answering(answer: impl Fn(GetRequest, Channel) + Send + 'static) -> Self {
        Self::answering_as(&CAPABILITIES, answer)
    }

    /// The same of one that says to have these capabilities.
    pub(super) fn answering_as(
        capabilities: &'static [&'static str],
        answer: impl Fn(GetRequest, Channel) + Send + 'static,
    ) -> Self {
        Self::running_as(capabilities, move |connection| {
            while let Ok(Some(request)) = connection.accept() {
                let asked = request.channel.receive_all(message::MESSAGE_MAX).unwrap();
                answer(GetRequest::decode(&asked).unwrap(), request.channel);
            }
        })
    }

    pub(super) fn running(run: impl FnOnce(Connection) + Send + 'static) -> Self {
        Self::running_as(&CAPABILITIES, run)
    }

    fn running_as(capabilities: &'static [&'static str], run: impl FnOnce(Connection) + Send + 'static) -> Self {
        let (client_in, server_out) = pipe().unwrap();
        let (server_in, client_out) = pipe().unwrap();
        let hello = |name: &str| {
            let greeting = Greeting::new(name, 1 << 20);
            capabilities
                .iter()
                .fold(greeting, |greeting, name| greeting.with(name, []))
        };
        let server = std::thread::spawn(move || {
            let limits = Limits::default();
            run(Connection::start(
                Role::Server,
                server_in,
                server_out,
                &hello("server"),
                limits,
            ));
        });
        let limits = Limits::default();
        let connection = Connection::start(Role::Client, client_in, client_out, &hello("client"), limits);
        Self {
            connection: Some(connection),
            server: Some(server),
            questions: AtomicU64::new(0),
        }
    }

    pub(super) fn with<T>(&self, ask: impl FnOnce(&Client<'_>) -> T) -> T {
        let progress = Progress::default();
        ask(&Client::new(self.connection.as_ref().unwrap(), &progress))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.connection = None;
        self.server.take().unwrap().join().unwrap();
    }
}

impl Peer for Asked {
    fn name(&self) -> String {
        "origin".to_owned()
    }

    fn bring(&self, writer: &Writer<'_>, ids: &[ObjectId], show: &Show<'_>) -> Result<Brought> {
        self.questions.fetch_add(1, Relaxed);
        self.with(|client| client.bring_shown(writer, ids, show))
    }

    fn bring_history(&self, writer: &Writer<'_>, id: ObjectId, most: u64) -> Result<Brought> {
        self.questions.fetch_add(1, Relaxed);
        self.with(|client| client.bring_history(writer, id, most))
    }
}

pub(super) fn id(bytes: &[u8]) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, bytes)
}

pub(super) fn keeping(place: Place, bytes_max: u64) -> Keeping {
    Keeping {
        place,
        bytes_max,
        time: None,
        now: Timestamp::new(1_700_000_000, 0),
    }
}

pub(super) fn cache_on(disk: &Arc<dyn Disk>, keeping: Keeping) -> Cache {
    Cache::open(disk.clone(), HashAlgo::Sha256, Options::default(), keeping).unwrap()
}

pub(super) fn spool(bytes_max: u64) -> Cache {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::with_seed(7));
    disk.create_dir(Path::new("/tmp")).unwrap();
    cache_on(&disk, keeping(Place::Spool("/tmp/spool".into()), bytes_max))
}

/// An empty repository that reads what `asked` has, through a cache of so many bytes.
pub(super) fn reader(asked: &Arc<Asked>, cache: Cache) -> (Side, crate::repository::Repository) {
    let side = Side::new(9);
    let repository = side.open();
    let peers = Arc::new(Peers::new(cache));
    peers.add(asked.clone());
    peers.supply(&repository.store).unwrap();
    (side, repository)
}

pub(super) fn read(store: &Store, bytes: &[u8]) -> Result<Vec<u8>> {
    store.object(ObjectKind::Block, &id(bytes))
}

#[test]
fn what_is_not_here_comes_when_it_is_read() {
    let far = Side::new(2);
    let tip = far.commit(MAIN, &[("a", b"one"), ("f/b", b"two"), ("f/c", b"three, the longest")]);
    let asked = Arc::new(Asked::serving_as_before(&far));
    let (side, repository) = reader(&asked, spool(1 << 20));
    let store = &repository.store;
    let tree = read_snapshot(store, &tip).unwrap().tree;
    bring_trees(store, &[tree], Below::Lists, &Progress::default()).unwrap();
    assert_eq!(
        asked.questions.load(Relaxed),
        3,
        "the snapshot, and a question for each level"
    );
    store.bring(&[id(b"one"), id(b"two"), id(b"one")]).unwrap();
    assert_eq!(read(store, b"one").unwrap(), b"one");
    assert_eq!(read(store, b"two").unwrap(), b"two");
    assert_eq!(asked.questions.load(Relaxed), 4, "all at once, and each once");
    assert_eq!(read(store, b"three, the longest").unwrap(), b"three, the longest");
    assert_eq!(asked.questions.load(Relaxed), 5);
    // Nothing of it is in the repository.
    drop(repository);
    assert!(!side.open().store.contains(&tip).unwrap());
}

#[test]
fn a_content_of_many_blocks_comes_in_few_answers() {
    let far = Side::new(2);
    let repository = far.open();
    let mut parts = Vec::new();
    let mut expected = Vec::new();
    {
        let writer = repository.store.writer().unwrap();
        let mut packer = writer.packer();
        for number in 0..5000u64 {
            let bytes = noise(number, 100);
            let (id, _) = packer.put(ObjectKind::Block, &bytes).unwrap();
            parts.push(ContentRef::Block { id, bytes: 100 });
            expected.extend(bytes);
        }
        packer.flush().unwrap();
        drop(packer);
        writer.commit().unwrap();
    }
    let asked = Arc::new(Asked::serving(&far));
    let (_side, reading) = reader(&asked, spool(1 << 20));
    let mut out = Vec::new();
    for parts in parts.chunks(1000) {
        let mut builder = crate::object::IndirectBuilder::new(HashAlgo::Sha256);
        let list = Memory::default();
        for part in parts {
            builder.push(part.clone(), &mut |_, bytes| Ok(list.put(bytes))).unwrap();
        }
        let content = builder.finish(&mut |_, bytes| Ok(list.put(bytes))).unwrap();
        let both = Both(&list, &reading.store);
        content::copy_to(&both, &content, &mut out).unwrap();
    }
    assert!(out == expected);
    assert_eq!(asked.questions.load(Relaxed), 5, "one for each thousand blocks");
}

/// Lists that are here, blocks that are elsewhere.
struct Both<'a>(&'a Memory, &'a Store);

#[derive(Default)]
struct Memory(parking_lot::Mutex<hashbrown::HashMap<ObjectId, Vec<u8>>>);

impl Memory {
    fn put(&self, bytes: Vec<u8>) -> ObjectId {
        let id = id(&bytes);
        self.0.lock().insert(id, bytes);
        id
    }
}

impl ObjectSource for Both<'_> {
    fn object(&self, kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        let here = self.0.0.lock().get(id).cloned();
        here.map_or_else(|| self.1.object(kind, id), Ok)
    }

    fn will_read(&self, ids: &[ObjectId]) -> Result<()> {
        self.1.will_read(ids)
    }
}

#[test]
fn a_comparison_brings_only_what_differs() {
    let far = Side::new(2);
    let old = far.commit(MAIN, &[("a/x", b"1"), ("b/x", b"2"), ("c/x", b"3")]);
    let new = far.commit(MAIN, &[("a/x", b"1"), ("b/x", b"9"), ("c/x", b"3")]);
    let asked = Arc::new(Asked::serving_as_before(&far));
    let (_side, repository) = reader(&asked, spool(1 << 20));
    let store = &repository.store;
    let [old, new] = [old, new].map(|id| read_snapshot(store, &id).unwrap().tree);
    asked.questions.store(0, Relaxed);
    bring_differing(store, old, new, &Progress::default()).unwrap();
    assert_eq!(asked.questions.load(Relaxed), 2, "the tops, then b of both");
    let same = far.open().store;
    let a = crate::object::tree::lookup(&same, old, b"a").unwrap().unwrap();
    let crate::object::Node::Directory { tree: a } = a.node else {
        panic!("expected a directory");
    };
    assert!(store.locate(&a).unwrap().is_none(), "what both have is not looked into");
}

#[test]
fn what_nobody_has_is_named() {
    let far = Side::new(2);
    far.commit(MAIN, &[("a", b"one")]);
    let asked = Arc::new(Asked::serving(&far));
    let (_side, repository) = reader(&asked, spool(1 << 20));
    let error = read(&repository.store, b"nowhere").unwrap_err();
    assert!(matches!(error, Error::Missing { id: missing, .. } if missing == id(b"nowhere")));
    repository.store.bring(&[id(b"nowhere"), id(b"one")]).unwrap();
    assert!(
        repository.store.locate(&id(b"one")).unwrap().is_some(),
        "one that is missing takes none with it"
    );
    let target = Side::new(3);
    let store = target.open().store;
    let writer = store.writer().unwrap();
    let ids = [id(b"x"), id(b"one"), id(b"y")];
    let brought = asked.with(|client| client.bring_objects(&writer, &ids)).unwrap();
    assert_eq!(brought.missing, [id(b"x"), id(b"y")]);
    assert_eq!(brought.objects, 1);
}

#[test]
fn the_next_one_is_asked_for_what_one_does_not_have() {
    let (first, second) = (Side::new(2), Side::new(3));
    first.commit(MAIN, &[("a", b"one")]);
    second.commit(MAIN, &[("b", b"two")]);
    let gone = Arc::new(Asked::answering(|_, channel| channel.fail(&Error::Interrupted)));
    let asked = [&first, &second].map(|side| Arc::new(Asked::serving(side)));
    let repository = Side::new(9).open();
    let peers = Arc::new(Peers::new(spool(1 << 20)));
    peers.add(gone);
    asked.iter().for_each(|asked| peers.add(asked.clone()));
    peers.supply(&repository.store).unwrap();
    repository.store.bring(&[id(b"one"), id(b"two")]).unwrap();
    assert_eq!(read(&repository.store, b"two").unwrap(), b"two");
    let error = read(&repository.store, b"nowhere").unwrap_err();
    assert!(
        matches!(&error, Error::Away { remote, .. } if remote == "origin"),
        "one of them could not be asked: it may have it: {error}"
    );
}

#[test]
fn one_tree_is_filled_in_with_what_it_lacks() {
    let far = Side::new(2);
    let tip = far.commit(MAIN, &[("a", b"one"), ("f/b", b"two"), ("f/c", b"three")]);
    let tree = read_snapshot(&far.open().store, &tip).unwrap().tree;
    let asked = Asked::serving(&far);
    let here = Side::new(3);
    here.commit(MAIN, &[("z", b"two")]);
    let fill = |below| asked.with(|client| client.fill(&here.open(), tree, below)).unwrap();
    let filled = fill(Below::Lists);
    assert_eq!((filled.looked_at, filled.objects), (2, 2), "two directories");
    let filled = fill(Below::Blocks);
    assert_eq!(
        (filled.looked_at, filled.objects),
        (5, 2),
        "of three contents one was here"
    );
    assert_eq!(fill(Below::Blocks).objects, 0);
    holds(&here, &[b"one", b"two", b"three"]);
}

#[test]
fn one_tree_is_given_with_what_the_other_side_lacks() {
    let far = Side::new(2);
    far.commit(MAIN, &[("z", b"two")]);
    let here = Side::new(3);
    let tip = here.commit(MAIN, &[("a", b"one"), ("f/b", b"two"), ("f/c", b"three")]);
    let repository = here.open();
    let tree = read_snapshot(&repository.store, &tip).unwrap().tree;
    let asked = Asked::serving(&far);
    let give = |id| asked.with(|client| client.give(&repository, &client.list().unwrap(), id, &who()));
    let filled = give(tree).unwrap();
    assert_eq!((filled.looked_at, filled.objects), (5, 4));
    assert_eq!(give(tree).unwrap().objects, 0);
    holds(&far, &[b"one", b"two", b"three"]);
    let alone = put(&here, ObjectKind::Block, b"alone");
    repository.store.refresh().unwrap();
    assert_eq!(give(alone).unwrap().objects, 1);
    holds(&far, &[b"alone"]);
}

fn holds(side: &Side, blocks: &[&[u8]]) {
    let repository = side.open();
    for bytes in blocks {
        assert_eq!(read(&repository.store, bytes).unwrap(), *bytes);
    }
}

/// A walk along a chain of snapshots asks a few times, and not for each; of one that is short, no more comes than there is.
#[test]
fn history_is_read_in_few_answers() {
    let far = Side::new(2);
    let mut tips = Vec::new();
    for round in 0..600u32 {
        let parents: Vec<ObjectId> = tips.last().copied().into_iter().collect();
        tips.push(far.store(&[("a", &round.to_le_bytes())], &parents));
    }
    far.set(MAIN, tips.last().copied());
    let asked = Arc::new(Asked::serving(&far));
    let (_side, repository) = reader(&asked, spool(1 << 30));
    let store = &repository.store;
    let mut next = tips.last().copied();
    let mut found = Vec::new();
    while let Some(id) = next {
        found.push(id);
        next = read_snapshot(store, &id).unwrap().parents.first().copied();
    }
    found.reverse();
    assert_eq!(found, tips);
    // 1, then 1 + 8, 1 + 64, 1 + 512 and the rest.
    assert_eq!(asked.questions.load(Relaxed), 5);
    let first = read_snapshot(store, &tips[0]).unwrap();
    assert!(store.locate(&first.tree).unwrap().is_none(), "only snapshots came");
}

#[test]
fn a_list_without_what_it_lists_is_refused() {
    let far = Side::new(2);
    let here = Side::new(3);
    let refs = vec![
        ContentRef::Block {
            id: id(b"abc"),
            bytes: 3,
        },
        ContentRef::Block {
            id: id(b"de"),
            bytes: 2,
        },
    ];
    let list = put(&here, ObjectKind::Indirect, &Indirect { depth: 1, refs }.encode());
    put(&here, ObjectKind::Block, b"abc");
    let repository = here.open();
    let asked = Asked::serving(&far);
    let give = || asked.with(|client| client.give(&repository, &client.list().unwrap(), list, &who()));
    let error = give().unwrap_err();
    assert!(
        matches!(error, Error::Missing { id: missing, .. } if missing == id(b"de")),
        "{error}"
    );
    put(&here, ObjectKind::Block, b"de");
    repository.store.refresh().unwrap();
    assert_eq!(give().unwrap().objects, 3);
}

fn put(side: &Side, kind: ObjectKind, bytes: &[u8]) -> ObjectId {
    let repository = side.open();
    let writer = repository.store.writer().unwrap();
    let mut packer = writer.packer();
    let (id, _) = packer.put(kind, bytes).unwrap();
    packer.flush().unwrap();
    drop(packer);
    writer.commit().unwrap();
    id
}

#[test]
fn the_page_says_what_is_asked() {
    let request = GetRequest {
        ids: vec![id(b"")],
        ..GetRequest::default()
    };
    let hex: Vec<String> = request.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<String> = hex.chunks(16).map(|line| line.join(" ")).collect();
    let block = format!("```hex wire-get\n{}\n```", lines.join("\n"));
    assert!(include_str!("../../../../object-format.md").contains(&block), "{block}");
}

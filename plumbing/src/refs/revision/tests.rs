mod uses;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::object::{Metadata, TreeBuilder};

/// Objects and refs in maps.
#[derive(Default)]
struct Fixture {
    objects: BTreeMap<ObjectId, (ObjectKind, Vec<u8>)>,
    histories: BTreeMap<String, Vec<HistoryEntry>>,
}

impl ObjectSource for Fixture {
    fn object(&self, _kind: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        let found = self.objects.get(id).map(|(_, bytes)| bytes.clone());
        found.ok_or(Error::Missing {
            id: *id,
            needed_as: "block",
        })
    }
}

impl RevisionSource for Fixture {
    fn ref_value(&self, name: &str) -> Result<Option<ObjectId>> {
        Ok(self.histories.get(name).and_then(|history| history.first()?.new))
    }
    fn walk_history(&self, name: &str, visit: &mut dyn FnMut(HistoryEntry) -> ControlFlow<()>) -> Result<()> {
        let _ = self
            .histories
            .get(name)
            .into_iter()
            .flatten()
            .cloned()
            .try_for_each(visit);
        Ok(())
    }
    fn find_prefix(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<ObjectId>> {
        Ok(self
            .objects
            .keys()
            .filter(|id| prefix.matches(id))
            .copied()
            .take(limit)
            .collect())
    }
    fn kind_of(&self, id: &ObjectId) -> Result<Option<ObjectKind>> {
        Ok(self.objects.get(id).map(|(kind, _)| *kind))
    }
    fn objects(&self) -> &dyn ObjectSource {
        self
    }
    fn forgotten(&self) -> Result<Forgotten> {
        let newest = |(name, history): (&'_ String, &Vec<HistoryEntry>)| Some((name.clone(), history.first()?.new?));
        let refs: Vec<(String, ObjectId)> = self.histories.iter().filter_map(newest).collect();
        Ok(Forgotten::of(refs.iter().map(|(name, id)| (name.as_str(), *id))))
    }
}

impl Fixture {
    fn put(&mut self, kind: ObjectKind, bytes: Vec<u8>) -> ObjectId {
        let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
        self.objects.entry(id).or_insert((kind, bytes));
        id
    }

    fn tree(&mut self, entries: Vec<(&str, Node)>) -> ObjectId {
        let mut builder = TreeBuilder::new();
        let mut put = |kind, bytes| Ok(self.put(kind, bytes));
        for (name, node) in entries {
            let entry = Entry {
                name: name.into(),
                meta: Metadata::default(),
                node,
            };
            builder.push(&entry, &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap()
    }

    fn snapshot(&mut self, tree: ObjectId, parents: Vec<ObjectId>, message: &str) -> ObjectId {
        let snapshot = Snapshot {
            parents,
            message: message.into(),
            totals: crate::object::Totals::default(),
            ..Snapshot::bare(tree)
        };
        self.put(ObjectKind::Snapshot, snapshot.encode())
    }

    fn change(&mut self, name: &str, new: Option<ObjectId>, time: &str) {
        let time: jiff::Timestamp = time.parse().unwrap();
        let history = self.histories.entry(name.into()).or_default();
        let entry = HistoryEntry {
            sequence: crate::refs::Sequence(1 + history.len() as u64),
            old: history.first().and_then(|entry| entry.new),
            new,
            time: Timestamp::new(time.as_second(), 0),
            author: String::new(),
            host: String::new(),
            message: String::new(),
        };
        history.insert(0, entry);
    }

    fn resolve(&self, text: &str) -> Result<Named> {
        let context = RevisionContext {
            line: "main".into(),
            now: "2026-11-21T10:00:00+00:00[UTC]".parse().unwrap(),
            algo: HashAlgo::Sha256,
        };
        resolve(self, &context, text.as_bytes()).map(|revision| revision.named)
    }

    fn refused(&self, text: &str) -> String {
        match self.resolve(text) {
            Ok(named) => panic!("{text} is {named:?}"),
            Err(e) => e.to_string(),
        }
    }
}

struct Line {
    fixture: Fixture,
    file: ObjectId,
    sub: ObjectId,
    tree: ObjectId,
    /// Snapshots, oldest first; the last has the first as its second parent.
    snapshots: Vec<ObjectId>,
}

fn line() -> Line {
    let mut fixture = Fixture::default();
    let file = fixture.put(ObjectKind::Block, b"hello".to_vec());
    let content = ContentRef::Block { id: file, bytes: 5 };
    let node = Node::File {
        content,
        fullhash: None,
    };
    let sub = fixture.tree(vec![("a:b", node.clone()), ("file", node.clone())]);
    let link = Node::Symlink { target: "sub".into() };
    let tree = fixture.tree(vec![
        ("link", link),
        ("sub", Node::Directory { tree: sub }),
        ("top", node),
    ]);
    let first = fixture.snapshot(tree, vec![], "first");
    let second = fixture.snapshot(tree, vec![first], "second");
    let third = fixture.snapshot(tree, vec![second, first], "third");
    for (id, day) in [(first, 1), (second, 10), (third, 20)] {
        fixture.change("refs/snapshots/main", Some(id), &format!("2026-11-{day:02}T12:00:00Z"));
    }
    fixture.change("refs/tags/v1", Some(first), "2026-11-02T00:00:00Z");
    fixture.change("refs/trees/t", Some(sub), "2026-11-02T00:00:00Z");
    fixture.change("refs/snapshots/gone", Some(second), "2026-11-03T00:00:00Z");
    fixture.change("refs/snapshots/gone", None, "2026-11-05T00:00:00Z");
    Line {
        fixture,
        file,
        sub,
        tree,
        snapshots: vec![first, second, third],
    }
}

#[test]
fn names_and_their_operators() {
    let line = line();
    let [first, second, third] = line.snapshots[..] else {
        panic!()
    };
    for (text, expected) in [
        ("@", third),
        ("main", third),
        ("refs/snapshots/main", third),
        ("snapshots/main", third),
        ("v1", first),
        ("@~", second),
        ("@^", second),
        ("main~2", first),
        ("main~~", first),
        ("main^2", first),
        ("main^1^1", first),
        ("main^0", third),
        ("main~0", third),
        ("main^{snapshot}", third),
        ("main@{0}", third),
        ("main@{1}", second),
        ("@{2}", first),
        ("@@{1}", second),
        ("main@{1}~1", first),
        ("main@{2026-11-20T12:00Z}", third),
        ("main@{2026-11-20}", second),
        ("main@{2 days ago}", second),
        ("main@{yesterday}", second),
        ("@{9 days ago}", second),
        ("gone@{1}", second),
        ("gone@{2026-11-04}", second),
    ] {
        assert_eq!(
            line.fixture.resolve(text).unwrap_or_else(|e| panic!("{text}: {e}")),
            Named::Snapshot(expected),
            "{text}"
        );
    }
    assert_eq!(line.fixture.resolve("main^{tree}").unwrap(), Named::Tree(line.tree));
    assert_eq!(line.fixture.resolve("trees/t").unwrap(), Named::Tree(line.sub));
}

#[test]
fn what_is_forgotten_gives_way_to_what_is_left_unless_its_number_is_named() {
    let mut line = line();
    let [first, second, third] = line.snapshots[..] else {
        panic!()
    };
    let forget = |line: &mut Line, id| {
        let mark = crate::refs::forgotten_ref(&id);
        line.fixture.change(&mark, Some(id), "2026-11-21T12:00:00Z");
    };
    let resolved = |line: &Line, text: &str| line.fixture.resolve(text).unwrap();
    forget(&mut line, second);
    assert_eq!(resolved(&line, "main@{2026-11-12}"), Named::Snapshot(first));
    assert_eq!(resolved(&line, "main@{1}"), Named::Snapshot(second));
    assert_eq!(resolved(&line, "main"), Named::Snapshot(third));
    forget(&mut line, third);
    assert_eq!(resolved(&line, "main"), Named::Snapshot(first));
    assert_eq!(resolved(&line, "main@{0}"), Named::Snapshot(third));
}

#[test]
fn ids_prefixes_and_text_forms() {
    let line = line();
    let third = line.snapshots[2];
    let hex = third.hex();
    for text in [
        hex.clone(),
        format!("sha256:{hex}"),
        format!("{hex}.sha256"),
        hex[..7].to_owned(),
        hex[..20].to_uppercase(),
        format!("sha256:{}", &hex[..9]),
        format!("snapshot:{third}"),
        format!("{}^0", &hex[..9]),
    ] {
        assert_eq!(
            line.fixture.resolve(&text).unwrap_or_else(|e| panic!("{text}: {e}")),
            Named::Snapshot(third),
            "{text}"
        );
    }
    let content = ContentRef::Block {
        id: line.file,
        bytes: 5,
    };
    for text in [
        line.file.to_string(),
        content.to_string(),
        format!("x-ghost:///f/h/{}", line.file),
    ] {
        assert_eq!(
            line.fixture.resolve(&text).unwrap(),
            Named::Content(content.clone()),
            "{text}"
        );
    }
    for text in [
        format!("tree:{}", line.sub),
        format!("x-ghost:///d/h/{}", line.sub),
        format!("{}:", line.sub),
        format!("tree:{}:", line.sub),
        format!("sha256:{}^{{tree}}", line.sub.hex()),
    ] {
        assert_eq!(line.fixture.resolve(&text).unwrap(), Named::Tree(line.sub), "{text}");
    }
    assert!(
        line.fixture
            .refused(&format!("x-ghost://other/f/h/{}", line.file))
            .contains("host other")
    );
    assert!(line.fixture.refused(&"0".repeat(64)).contains("no object"));
    assert!(line.fixture.refused("0123456").contains("no revision \"0123456\""));
}

#[test]
fn paths_lead_to_entries() {
    let line = line();
    let entry_name = |text: &str| match line.fixture.resolve(text).unwrap_or_else(|e| panic!("{text}: {e}")) {
        Named::Entry { entry, path } => (entry.name.to_string(), path.to_string()),
        other => panic!("{text}: {other:?}"),
    };
    let pair = |name: &str, path: &str| (name.to_owned(), path.to_owned());
    assert_eq!(entry_name("@:top"), pair("top", "top"));
    assert_eq!(entry_name("main~1:sub/file"), pair("file", "sub/file"));
    assert_eq!(entry_name("@:sub/a:b"), pair("a:b", "sub/a:b"));
    assert_eq!(entry_name("@:sub/"), pair("sub", "sub"));
    assert_eq!(entry_name("main@{2026-11-20T12:00:00Z}:link"), pair("link", "link"));
    assert_eq!(entry_name(&format!("{}:sub", line.tree)), pair("sub", "sub"));
    assert_eq!(
        entry_name(&format!("x-ghost:/tree:{}/sub/a%3Ab", line.tree)),
        pair("a:b", "sub/a:b")
    );
    assert_eq!(line.fixture.resolve("@:sub").unwrap().id(), Some(line.sub));
    let has_content = |text: &str| line.fixture.resolve(text).unwrap().content().is_some();
    assert!(has_content("@:top") && has_content("@:sub/a:b"));
    assert!(!has_content("@:link") && !has_content("@:sub") && !has_content("@"));
    assert_eq!(line.fixture.resolve("@:").unwrap(), Named::Tree(line.tree));
    assert_eq!(
        line.fixture.resolve("@:sub").unwrap().tree(&line.fixture).unwrap(),
        line.sub
    );
    for (text, problem) in [
        ("@:none", "no path \"none\""),
        ("@:sub/none", "no path \"sub/none\""),
        ("@:top/x", "no directory on the path \"top/x\""),
        ("@:top/", "no directory on the path"),
        ("@:link/file", "no directory on the path"),
        ("@:../x", "unsafe name"),
        ("@:sub//file", "unsafe name"),
    ] {
        let error = line.fixture.refused(text);
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[test]
fn what_is_not_there_is_said() {
    let line = line();
    for (text, problem) in [
        ("nowhere", "no revision \"nowhere\""),
        ("nowhere@{1}", "no revision \"nowhere\""),
        ("gone", "no revision \"gone\""),
        ("main~3", "no parent \"main~3"),
        ("main^3", "has 2)"),
        ("main@{3}", "no value \"refs/snapshots/main@{3}"),
        ("main@{2026-01-01}", "its log goes back to 2026-11-01 12:00:00"),
        ("gone@{2026-11-06}", "no value"),
        ("main@{", "expected } behind"),
        ("main~1@{1}", "right behind the name"),
        ("main^{blob}", "expected ^{tree}"),
        ("main~99999999999999", "smaller number"),
        ("main@{99999999999999}", "smaller number"),
        ("main@{whenever}", "invalid time"),
        ("", "invalid revision"),
        ("~1", "invalid revision"),
        (":top", "invalid revision"),
        ("a b", "no revision"),
    ] {
        let error = line.fixture.refused(text);
        assert!(error.contains(problem), "{text}: {error}");
    }
    let error = line.fixture.refused(&format!("{}@{{1}}", line.tree));
    assert!(error.contains("expected a ref"), "{error}");
    assert!(
        Fixture::default()
            .refused("@")
            .contains("no snapshot yet on line \"main\"")
    );
}

#[test]
fn an_ambiguous_beginning_is_settled_by_use_or_lists_candidates() {
    let mut line = line();
    let third = line.snapshots[2];
    // A block whose id differs in the last digit only cannot be found: its kind is made up.
    let mut digest = *third.padded();
    digest[31] ^= 1;
    let twin = ObjectId::from_padded(HashAlgo::Sha256, digest).unwrap();
    line.fixture.objects.insert(twin, (ObjectKind::Block, Vec::new()));
    let prefix = &third.hex()[..10];
    match line.fixture.resolve(prefix).unwrap_err() {
        Error::Ambiguous { candidates, .. } => assert_eq!(candidates.len(), 2),
        e => panic!("{e}"),
    }
    assert_eq!(
        line.fixture.resolve(&format!("{prefix}~1")).unwrap(),
        Named::Snapshot(line.snapshots[1])
    );
    assert_eq!(
        line.fixture.resolve(&format!("{prefix}:")).unwrap(),
        Named::Tree(line.tree)
    );
}

#[test]
fn bytes_that_were_stored_as_a_file_first_can_still_be_a_tree() {
    let mut line = line();
    let bytes = line.fixture.objects[&line.tree].1.clone();
    line.fixture.objects.insert(line.tree, (ObjectKind::Block, bytes));
    line.fixture
        .change("refs/trees/u", Some(line.tree), "2026-11-02T00:00:00Z");
    assert_eq!(line.fixture.resolve("refs/trees/u").unwrap(), Named::Tree(line.tree));
    let named = line.fixture.resolve(&format!("{}:top", line.tree)).unwrap();
    assert!(matches!(named, Named::Entry { .. }));
    assert!(matches!(
        line.fixture.resolve(&line.tree.to_string()).unwrap(),
        Named::Content(_)
    ));
}

proptest! {
    #[test]
    fn no_text_panics(text in "[@main:~^{}0-9a-f/ ]{0,20}") {
        let _ = line().fixture.resolve(&text);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let fixture = Fixture::default();
        let context = RevisionContext {
            line: "main".into(),
            now: jiff::Zoned::new(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC),
            algo: HashAlgo::Sha256,
        };
        prop_assert!(resolve(&fixture, &context, &bytes).is_err());
    }
}

use std::collections::HashMap;
use std::sync::Mutex;

use bstr::BString;
use hashbrown::HashSet;

use super::*;
use crate::object::tree::Entries;
use crate::object::{ContentRef, Entry, HashAlgo, Metadata, Node, Root, TreeBuilder};
use crate::progress::Progress;
use crate::refs::Forgotten;
use crate::time::Timestamp;
use crate::walk::{RuleOptions, Rules};

/// Objects in memory, with a count of reads.
#[derive(Default)]
struct Objects {
    all: Mutex<HashMap<ObjectId, Vec<u8>>>,
    reads: Mutex<usize>,
}

impl ObjectSource for Objects {
    fn object(&self, _: ObjectKind, id: &ObjectId) -> Result<Vec<u8>> {
        *self.reads.lock().unwrap() += 1;
        let missing = Error::Missing {
            id: *id,
            needed_as: "tree",
        };
        self.all.lock().unwrap().get(id).cloned().ok_or(missing)
    }
}

impl Objects {
    fn put(&self, _: ObjectKind, bytes: Vec<u8>) -> Result<ObjectId> {
        let id = ObjectId::hash(HashAlgo::Sha256, &bytes);
        self.all.lock().unwrap().insert(id, bytes);
        Ok(id)
    }

    /// A tree of files with these paths; the content of each is its path.
    fn tree(&self, paths: &[&str]) -> ObjectId {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut folders: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
        for path in paths {
            match path.split_once('/') {
                None => entries.push(((*path).to_owned(), file(path))),
                Some((folder, "")) => drop(folders.entry(folder).or_default()),
                Some((folder, rest)) => folders.entry(folder).or_default().push(rest),
            }
        }
        for (name, below) in folders {
            let tree = self.tree(&below);
            entries.push((name.to_owned(), Node::Directory { tree }));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mut put = |kind, bytes| self.put(kind, bytes);
        let mut builder = TreeBuilder::new();
        for (name, node) in entries {
            let (name, meta) = (name.into(), Metadata::default());
            builder.push(&Entry { name, meta, node }, &mut put).unwrap();
        }
        builder.finish(&mut put).unwrap()
    }

    fn snapshot(&self, number: i64, tree: ObjectId, parents: &[ObjectId]) -> ObjectId {
        let snapshot = Snapshot {
            parents: parents.to_vec(),
            time: Timestamp::new(number, 0),
            host: "host".to_owned(),
            message: number.to_string(),
            tags: vec!["a".to_owned()],
            roots: vec![Root {
                path: "/root".into(),
                meta: Some(Metadata::default()),
            }],
            totals: self.count(tree),
            ..Snapshot::bare(tree)
        };
        self.put(ObjectKind::Snapshot, snapshot.encode()).unwrap()
    }

    fn count(&self, tree: ObjectId) -> Totals {
        let mut totals = Totals::default();
        for entry in Entries::new(self, tree) {
            match entry.unwrap().node {
                Node::File { content, .. } => {
                    totals.files += 1;
                    totals.bytes += content.len();
                }
                Node::Directory { tree } => {
                    let below = self.count(tree);
                    totals.files += below.files;
                    totals.bytes += below.bytes;
                    totals.directories += below.directories + 1;
                }
                _ => totals.others += 1,
            }
        }
        totals
    }

    fn read(&self, id: ObjectId) -> Snapshot {
        read_snapshot(self, &id).unwrap()
    }

    /// Rewrites with patterns as `--exclude` takes them.
    fn exclude(&self, values: &Values, patterns: &[&str], forgotten: &Forgotten) -> Rewriter {
        let rules = Rules::new(RuleOptions {
            exclude: patterns.iter().map(|&pattern| BString::from(pattern)).collect(),
            ..RuleOptions::default()
        });
        let leaves_out = |path: &[u8], is_directory: bool| rules.leaves_out(path, is_directory);
        let progress = Progress::default();
        let mut exclude = Exclude::new(self, &leaves_out, &[], &progress);
        exclude.select(None, forgotten.clone());
        let mut rewriter = Rewriter::default();
        let mut put = |kind, bytes| self.put(kind, bytes);
        rewriter.run(values, self, &mut exclude, &mut put).unwrap();
        rewriter
    }
}

fn file(content: &str) -> Node {
    let id = ObjectId::hash(HashAlgo::Sha256, content.as_bytes());
    let bytes = content.len() as u64;
    let content = ContentRef::Block { id, bytes };
    Node::File {
        content,
        fullhash: None,
    }
}

fn line(name: &str, id: ObjectId) -> (String, ObjectId) {
    (format!("refs/snapshots/{name}"), id)
}

#[test]
fn a_rewritten_tree_is_the_one_that_never_had_the_paths() {
    let objects = Objects::default();
    let all = ["a", "big/x", "big/deep/y", "keep/big", "keep/z", "z.o"];
    for (patterns, left) in [
        (&["/big"][..], &["a", "keep/big", "keep/z", "z.o"][..]),
        (&["big"], &["a", "keep/z", "z.o"]),
        (&["big/"], &["a", "keep/big", "keep/z", "z.o"]),
        (&["*.o", "y"], &["a", "big/x", "big/deep/", "keep/big", "keep/z"]),
        (&["keep/*", "!keep/z"], &["a", "big/x", "big/deep/y", "keep/z", "z.o"]),
        (&["none"], &all),
    ] {
        let old = objects.snapshot(1, objects.tree(&all), &[]);
        let rewriter = objects.exclude(&[line("main", old)], patterns, &Forgotten::default());
        let new = objects.read(rewriter.successor(&old).unwrap_or(old));
        assert_eq!(new.tree, objects.tree(left), "{patterns:?}");
        assert_eq!(new.totals, objects.count(new.tree), "{patterns:?}");
        assert_eq!(rewriter.replaced.is_empty(), left == all);
    }
}

#[test]
fn what_comes_after_follows_and_nothing_else_moves() {
    let objects = Objects::default();
    let tree = objects.tree(&["a"]);
    let first = objects.snapshot(1, tree, &[]);
    let second = objects.snapshot(2, tree, &[first]);
    let side = objects.snapshot(3, tree, &[first]);
    let merge = objects.snapshot(4, tree, &[second, side]);
    let values = [
        (forgotten_ref(&second), second),
        ("refs/remotes/away/main".to_owned(), merge),
        line("main", merge),
        line("old", first),
        line("side", side),
        ("refs/tags/v2".to_owned(), second),
        ("refs/trees/t".to_owned(), tree),
        ("refs/tags/tree".to_owned(), tree),
    ];
    let amendment = Amendment {
        message: Some("other".to_owned()),
        add_tags: vec!["z".to_owned(), "b".to_owned(), "a".to_owned()],
        ..Amendment::default()
    };
    let mut edit = Amend {
        id: second,
        amendment: &amendment,
    };
    let mut rewriter = Rewriter::default();
    rewriter
        .run(&values, &objects, &mut edit, &mut |kind, bytes| {
            objects.put(kind, bytes)
        })
        .unwrap();
    let [new_second, new_merge] = [second, merge].map(|id| rewriter.successor(&id).unwrap());
    assert_eq!(objects.read(new_second).message, "other");
    assert_eq!(objects.read(new_second).tags, ["a", "b", "z"]);
    assert_eq!(objects.read(new_second).parents, [first]);
    let expected = Snapshot {
        parents: vec![new_second, side],
        ..objects.read(merge)
    };
    assert_eq!(objects.read(new_merge), expected);
    assert!(rewriter.successor(&first).is_none() && rewriter.successor(&side).is_none());
    assert_eq!(
        rewriter.left_behind(&values, &objects).unwrap(),
        ["refs/remotes/away/main"]
    );
    let moved: Vec<_> = rewriter
        .changes(&values)
        .unwrap()
        .into_iter()
        .map(|change| (change.name, change.new))
        .collect();
    let expected = [
        (forgotten_ref(&second), None),
        (forgotten_ref(&new_second), Some(new_second)),
        ("refs/snapshots/main".to_owned(), Some(new_merge)),
        ("refs/tags/v2".to_owned(), Some(new_second)),
    ];
    assert_eq!(moved, expected);
}

#[test]
fn what_cannot_be_amended_is_refused() {
    let objects = Objects::default();
    let id = objects.snapshot(1, objects.tree(&[]), &[]);
    let refuse = |amendment: Amendment| {
        let mut edit = Amend {
            id,
            amendment: &amendment,
        };
        let mut put = |kind, bytes| objects.put(kind, bytes);
        let run = Rewriter::default().run(&[line("main", id)], &objects, &mut edit, &mut put);
        run.unwrap_err().to_string()
    };
    let label = Amendment {
        remove_tags: vec!["none".to_owned()],
        ..Amendment::default()
    };
    assert_eq!(refuse(label), "no label of this snapshot \"none\"");
    let long = Amendment {
        message: Some("x".repeat(crate::limits::MESSAGE_BYTES_MAX + 1)),
        ..Amendment::default()
    };
    assert!(refuse(long).contains("message"));
}

#[test]
fn cost_is_that_of_what_differs() {
    let objects = Objects::default();
    let mut paths: Vec<String> = (0..50).map(|n| format!("d{n:02}/f")).collect();
    let tree = |paths: &[String]| objects.tree(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let mut tip = objects.snapshot(0, tree(&paths), &[]);
    for number in 1..20 {
        paths[7] = format!("d07/f{number}");
        tip = objects.snapshot(number, tree(&paths), &[tip]);
    }
    *objects.reads.lock().unwrap() = 0;
    let rewriter = objects.exclude(&[line("main", tip)], &["d03"], &Forgotten::default());
    assert_eq!(rewriter.replaced.len(), 20);
    // Snapshots, and a question whether the tip is a tree; 49 folders once, one folder again for each other snapshot; the
    // top of each twice; what is dropped once.
    assert_eq!(*objects.reads.lock().unwrap(), (20 + 1) + 49 + 19 + 2 * 20 + 1);
}

#[test]
fn forgotten_trees_may_be_gone() {
    let objects = Objects::default();
    let gone = objects.tree(&["x", "gone"]);
    let first = objects.snapshot(1, gone, &[]);
    let second = objects.snapshot(2, objects.tree(&["x"]), &[first]);
    objects.all.lock().unwrap().remove(&gone);
    let values = [(forgotten_ref(&first), first), line("main", second)];
    let forgotten = Forgotten::of(values.iter().map(|(name, id)| (name.as_str(), *id)));
    let rewriter = objects.exclude(&values, &["x"], &forgotten);
    assert!(rewriter.successor(&first).is_none());
    assert_eq!(
        objects.read(rewriter.successor(&second).unwrap()).tree,
        objects.tree(&[])
    );
    let all: HashSet<ObjectId> = edits::behind(&objects, [second]).unwrap();
    assert_eq!(all.len(), 2);
}

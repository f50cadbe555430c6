//! Files whose blocks are here and there.

use super::*;
use crate::chunk::{Chunker, Follows, Params, Part};

/// A file in the tree that is cut as files are cut; `stored` says which of its blocks the store has, by number.
fn cut(bench: &Bench, name: &str, content: &[u8], stored: impl Fn(usize) -> bool) -> Item {
    let mut parts = Vec::new();
    Chunker::new(Params::default()).cut(content, Follows::End, &mut parts);
    assert!(parts.len() > 4, "{} parts", parts.len());
    let refs = parts.into_iter().enumerate().map(|(number, part)| match part {
        Part::Zeros { bytes } => ContentRef::Run { byte: 0, bytes },
        Part::Data { start, bytes, .. } => {
            let block = &content[start..start + bytes];
            match stored(number) {
                true => bench.block(block),
                false => ContentRef::Block {
                    id: ObjectId::hash(HashAlgo::Sha256, block),
                    bytes: bytes as u64,
                },
            }
        }
    });
    let node = Node::File {
        content: bench.parts(refs.collect()),
        fullhash: Some(ObjectId::hash(HashAlgo::Sha256, content)),
    };
    item(name, 0o640, What::Node(node))
}

/// A content, and an earlier and a later state of it, neither of which has all of its blocks.
fn states() -> [Vec<u8>; 3] {
    let mut content = bytes(5, 1_500_000);
    content[600_000..700_000].fill(0);
    let mut earlier = content.clone();
    earlier.truncate(1_100_000);
    earlier.splice(10..10, *b"inserted");
    let mut later = content.clone();
    later.splice(900_000..900_100, bytes(6, 40_000));
    [content, earlier, later]
}

#[test]
fn blocks_come_from_other_states_of_the_file_and_from_the_store() {
    let [content, earlier, later] = states();
    let bench = Bench::new();
    bench.source("d/big", &earlier);
    // Where the target has the later state, which is replaced.
    write(bench.target().join("d/big"), &later);
    let job = Job::new(&bench, vec![dir("d", vec![cut(&bench, "big", &content, |_| false)])]);
    let (report, lines) = job.run();
    assert_eq!((report.files, report.sourced, report.not_located), (1, 1, 0));
    assert!(fs::read(bench.target().join("d/big")).unwrap() == content);
    assert!(lines.of("d/big").1.starts_with("Assembled "), "{}", lines.of("d/big").1);
    // The store has what the earlier state lacks.
    let bench = Bench::new();
    bench.source("big", &earlier);
    let (report, _) = Job::new(
        &bench,
        vec![cut(&bench, "big", &content, |number| number == 0 || number > 8)],
    )
    .run();
    assert_eq!((report.sourced, report.not_located), (1, 0));
    assert!(fs::read(bench.target().join("big")).unwrap() == content);
}

#[test]
fn a_block_that_is_nowhere_leaves_no_file() {
    let [content, earlier, _] = states();
    let bench = Bench::new();
    bench.source("big", &earlier);
    let (report, lines) = Job::new(&bench, vec![cut(&bench, "big", &content, |_| false)]).run();
    assert_eq!((report.sourced, report.not_located), (0, 1));
    assert_eq!(lines.of("big").1, "NotLocated");
    assert_eq!(listing(&bench.target()), Vec::<String>::new());
}

#[test]
fn the_hash_of_the_whole_decides() {
    let [content, earlier, later] = states();
    let bench = Bench::new();
    bench.source("big", &earlier);
    write(bench.target().join("big"), &later);
    let mut wrong = cut(&bench, "big", &content, |_| false);
    if let What::Node(Node::File { fullhash, .. }) = &mut wrong.what {
        *fullhash = Some(ObjectId::hash(HashAlgo::Sha256, b"another"));
    }
    let mut job = Job::new(&bench, vec![wrong]);
    job.options.overwrite = Overwrite::Always;
    let (report, _) = job.once(false);
    assert_eq!((report.sourced, report.not_located), (0, 1));
    assert!(
        fs::read(bench.target().join("big")).unwrap() == later,
        "what was there stays"
    );
}

#[test]
fn blocks_come_from_files_at_any_path_of_the_sources_and_the_target() {
    let [content, earlier, later] = states();
    let bench = Bench::new();
    bench.source("other/name.old", &earlier);
    bench.source("too/short", b"not worth to be cut");
    write(bench.target().join("here/too"), &later);
    let job = Job::new(&bench, vec![cut(&bench, "big", &content, |_| false)]);
    let (report, lines) = job.run();
    assert_eq!((report.sourced, report.not_located), (1, 0));
    assert!(fs::read(bench.target().join("big")).unwrap() == content);
    let said = lines.of("big").1;
    assert!(
        said.starts_with("Assembled ") && said.ends_with("other/name.old"),
        "{said}"
    );
}

/// Knows where one content was seen, and trees that say of which blocks contents consist.
struct Seen {
    fullhash: ObjectId,
    path: PathBuf,
    trees: Vec<ObjectId>,
}

impl Known for Seen {
    fn places(&self, fullhash: &ObjectId, _: u64) -> Vec<PathBuf> {
        (*fullhash == self.fullhash)
            .then(|| self.path.clone())
            .into_iter()
            .collect()
    }

    fn trees(&self) -> Vec<ObjectId> {
        self.trees.clone()
    }
}

#[test]
fn blocks_come_from_where_another_content_was_seen_that_has_them() {
    let [content, earlier, later] = states();
    let bench = Bench::new();
    bench.source("x", &later);
    let folder = bench.folder.path().canonicalize().unwrap();
    let path = write(folder.join("far/away"), &earlier);
    let mut job = Job::new(&bench, vec![cut(&bench, "big", &content, |_| false)]);
    let seen = |trees| {
        let fullhash = ObjectId::hash(HashAlgo::Sha256, &earlier);
        let path = path.clone();
        Box::new(Seen { fullhash, path, trees })
    };
    job.known = seen(Vec::new());
    assert_eq!(job.once(false).0.not_located, 1, "nothing says what is in it");
    job.known = seen(vec![bench.tree(vec![cut(&bench, "old", &earlier, |_| false)])]);
    let (report, _) = job.run();
    assert_eq!((report.sourced, report.not_located), (1, 0));
    assert!(fs::read(bench.target().join("big")).unwrap() == content);
    // What was seen there is not there any more.
    fs::remove_file(bench.target().join("big")).unwrap();
    write(path.clone(), &bytes(9, 1_000_000));
    assert_eq!(job.run().0.not_located, 1);
    assert_eq!(listing(&bench.target()), Vec::<String>::new());
}

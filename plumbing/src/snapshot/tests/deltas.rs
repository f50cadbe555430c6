//! What is found to be like what changed.

use super::*;
use crate::content::copy_to;
use crate::object::ContentRef;

fn line(n: u32) -> Vec<u8> {
    format!("{:08x} is line {n} of a file\n", n.wrapping_mul(2_654_435_761)).into_bytes()
}

fn text(lines: std::ops::Range<u32>) -> Vec<u8> {
    lines.flat_map(line).collect()
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Takes a snapshot that follows `parent` and compares every file of the folder with what is stored.
fn take_whole(world: &World, parent: Option<ObjectId>) -> Outcome {
    let outcome = world.take(|request| request.about.parents = parent.into_iter().collect());
    let store = world.store();
    let mut pending = vec![(outcome.snapshot.tree, world.folder.path().to_owned())];
    while let Some((tree, path)) = pending.pop() {
        for entry in Entries::new(&store, tree) {
            let entry = entry.unwrap();
            let path = path.join(entry.name.to_string());
            match entry.node {
                Node::Directory { tree } => pending.push((tree, path)),
                Node::File { content, .. } => assert_same(&store, &content, &path),
                _ => {}
            }
        }
    }
    outcome
}

fn assert_same(store: &Store, content: &ContentRef, path: &Path) {
    let mut found = Vec::new();
    copy_to(store, content, &mut found).unwrap();
    assert!(found == fs::read(path).unwrap(), "{}", path.display());
}

#[test]
fn what_replaces_a_file_is_stored_as_the_difference() {
    let world = World::new();
    fs::create_dir_all(world.path("folder")).unwrap();
    for n in 0..40 {
        fs::write(world.path(&format!("folder/f{n}")), text(n * 1000..n * 1000 + 700)).unwrap();
    }
    let first = take_whole(&world, None);
    assert_eq!(get(&first.counters.delta_objects), 0);
    for n in 0..30 {
        let mut changed = text(n * 1000..n * 1000 + 700);
        changed.splice(3000..3005, *b"another word");
        fs::write(world.path(&format!("folder/f{n}")), changed).unwrap();
    }
    let second = take_whole(&world, Some(first.id));
    assert!(get(&second.counters.delta_objects) >= 30, "{:?}", second.counters);
    let stored = get(&second.counters.stored_bytes);
    assert!(stored < 12_000, "{stored} bytes for 30 edits");
}

#[test]
fn without_a_stat_cache_the_parent_says_what_was_there() {
    let world = World::new();
    fs::create_dir_all(world.path("a/b")).unwrap();
    fs::write(world.path("a/b/file"), text(0..900)).unwrap();
    let first = take_whole(&world, None);
    for name in world.disk.list(Path::new("/g/cache")).unwrap() {
        world.disk.remove(&Path::new("/g/cache").join(name)).unwrap();
    }
    fs::write(world.path("a/b/file"), text(1..900)).unwrap();
    let second = take_whole(&world, Some(first.id));
    assert!(get(&second.counters.delta_objects) >= 1);
    assert!(get(&second.counters.stored_bytes) < 1500, "{:?}", second.counters);
}

/// A file of many chunks: edits here and there, an insertion that moves the rest, and then a change in every chunk.
#[test]
fn chunks_are_compared_with_those_that_they_replace() {
    let world = World::new();
    let path = world.path("dump");
    let lines: Vec<Vec<u8>> = (0..250_000).map(line).collect();
    fs::write(&path, lines.concat()).unwrap();
    let mut last = take_whole(&world, None);
    let whole = get(&last.counters.stored_bytes);
    let mut edited = lines;
    for at in [10_000, 100_000, 200_000] {
        edited[at] = b"another line\n".to_vec();
    }
    edited.splice(50_000..50_000, (1_000_000..1_000_400).map(line));
    fs::write(&path, edited.concat()).unwrap();
    last = take_whole(&world, Some(last.id));
    let stored = get(&last.counters.stored_bytes);
    assert!(stored < 40_000, "{stored} bytes for four edits");
    // One line in a hundred, as in a daily dump of a database.
    for (n, line) in edited.iter_mut().enumerate().filter(|(n, _)| n % 97 == 5) {
        *line = format!("row {n} has another value now\n").into_bytes();
    }
    fs::write(&path, edited.concat()).unwrap();
    last = take_whole(&world, Some(last.id));
    let stored = get(&last.counters.stored_bytes);
    assert!(stored < whole / 8, "{stored} bytes, and {whole} for the whole");
}

#[test]
fn a_stream_is_compared_with_what_had_its_name() {
    let world = World::new();
    let store = world.store();
    let place = Place {
        disk: &*world.disk,
        ghost_dir: None,
        uuid: [7; 16],
        store: &store,
    };
    let mut request = None;
    world.take(|made| request = Some(made.clone()));
    let mut request = request.unwrap();
    let mut take = |lines: std::ops::Range<u32>, parents: Vec<ObjectId>| {
        request.about.parents = parents;
        let meta = crate::object::Metadata::default();
        let (progress, mut reader) = (Progress::default(), &*text(lines));
        take_stream(&place, &request, "dump".into(), meta, &mut reader, &progress).unwrap()
    };
    let first = take(0..200_000, Vec::new());
    let second = take(3..200_000, vec![first.id]);
    let stored = get(&second.counters.stored_bytes);
    assert!(stored < 20_000, "{stored} bytes for three lines");
}

#[test]
fn nodes_of_a_long_directory_are_compared_with_those_that_they_replace() {
    let world = World::new();
    for n in 0..9000 {
        fs::write(world.path(&format!("a-name-of-some-length-{n}")), n.to_string()).unwrap();
    }
    let first = take_whole(&world, None);
    for n in [7, 4500, 8990] {
        fs::write(world.path(&format!("a-name-of-some-length-{n}")), "changed").unwrap();
    }
    let second = take_whole(&world, Some(first.id));
    assert!(get(&second.counters.delta_objects) >= 3, "{:?}", second.counters);
    assert!(get(&second.counters.stored_bytes) < 4000, "{:?}", second.counters);
}

#[test]
fn what_was_renamed_or_moved_and_changed_is_found_again() {
    let world = World::new();
    for name in ["a-folder", "old-name", "z-folder"] {
        fs::create_dir_all(world.path(name)).unwrap();
    }
    fs::write(world.path("a-folder/moves-away.txt"), text(50_000..50_700)).unwrap();
    fs::write(world.path("a-folder/draft-1.txt"), text(1000..1700)).unwrap();
    for n in 0..5 {
        fs::write(world.path(&format!("old-name/f{n}")), text(n * 3000..n * 3000 + 700)).unwrap();
    }
    let first = take_whole(&world, None);
    fs::rename(world.path("old-name"), world.path("old-name-2")).unwrap();
    fs::rename(world.path("a-folder/draft-1.txt"), world.path("a-folder/draft-2.txt")).unwrap();
    fs::rename(
        world.path("a-folder/moves-away.txt"),
        world.path("z-folder/moves-away.txt"),
    )
    .unwrap();
    fs::write(world.path("a-folder/draft-2.txt"), text(1001..1700)).unwrap();
    fs::write(world.path("z-folder/moves-away.txt"), text(50_001..50_700)).unwrap();
    for n in 0..5 {
        fs::write(
            world.path(&format!("old-name-2/f{n}")),
            text(n * 3000 + 1..n * 3000 + 700),
        )
        .unwrap();
    }
    let second = take_whole(&world, Some(first.id));
    assert!(get(&second.counters.delta_objects) >= 7, "{:?}", second.counters);
    assert!(get(&second.counters.stored_bytes) < 6000, "{:?}", second.counters);
}

#[test]
fn a_copy_under_another_name_is_found_by_what_it_is_like() {
    let world = World::new();
    fs::create_dir_all(world.path("a-folder")).unwrap();
    fs::create_dir_all(world.path("z-folder")).unwrap();
    for n in 0..20 {
        fs::write(world.path(&format!("a-folder/f{n}")), text(n * 1000..n * 1000 + 700)).unwrap();
    }
    let first = take_whole(&world, None);
    let mut edited = text(7000..7700);
    edited.splice(3000..3005, *b"another word");
    edited.splice(0..0, *b"a line before all others\n");
    // The original stays; nothing else is called so, nor as long.
    fs::write(
        world.path("z-folder/nobody-was-called-so"),
        [&edited, &edited[..9000]].concat(),
    )
    .unwrap();
    let second = take_whole(&world, Some(first.id));
    assert!(get(&second.counters.delta_objects) >= 1, "{:?}", second.counters);
    let stored = get(&second.counters.stored_bytes);
    assert!(stored < 2000, "{stored} bytes for a copy");
    // Without what is remembered it is stored whole.
    world.disk.remove(Path::new("/g/cache/likeness")).unwrap();
    let mut edited = text(9000..9700);
    edited.splice(3000..3005, *b"another word");
    fs::write(world.path("z-folder/nor-so"), edited).unwrap();
    let third = take_whole(&world, Some(second.id));
    assert!(get(&third.counters.stored_bytes) > 4000, "{:?}", third.counters);
}

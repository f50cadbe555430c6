//! What a revision means where it could mean more than one thing.

use super::*;

#[test]
fn a_beginning_that_a_tree_has_too_is_settled_by_what_the_use_needs() {
    let line = line();
    let [_, second, third] = line.snapshots[..] else {
        panic!()
    };
    let with_twin = |of: ObjectId, kind: ObjectKind| {
        let mut line = self::line();
        let mut digest = *of.padded();
        digest[31] ^= 1;
        let twin = ObjectId::from_padded(HashAlgo::Sha256, digest).unwrap();
        line.fixture.objects.insert(twin, (kind, Vec::new()));
        (line, of.hex()[..10].to_owned())
    };
    let is_ambiguous = |line: &Line, text: &str| match line.fixture.resolve(text).unwrap_err() {
        Error::Ambiguous { candidates, .. } => candidates.len() == 2,
        other => panic!("{text}: {other}"),
    };

    // Only snapshots have parents; snapshots and trees have paths.
    let (twins, prefix) = with_twin(third, ObjectKind::Tree);
    let parent = twins.fixture.resolve(&format!("{prefix}~1")).unwrap();
    assert_eq!(parent, Named::Snapshot(second));
    assert!(is_ambiguous(&twins, &format!("{prefix}:")) && is_ambiguous(&twins, &prefix));

    let (twins, prefix) = with_twin(line.tree, ObjectKind::Block);
    let named = twins.fixture.resolve(&format!("{prefix}:")).unwrap();
    assert_eq!(named, Named::Tree(line.tree));
    assert!(is_ambiguous(&twins, &format!("{prefix}~1")) && is_ambiguous(&twins, &prefix));
}

#[test]
fn a_full_id_is_no_name_even_where_a_ref_is_called_so() {
    let mut line = line();
    let named_so = format!("refs/snapshots/{}", line.tree.hex());
    line.fixture
        .change(&named_so, Some(line.snapshots[0]), "2026-11-02T00:00:00Z");
    assert_eq!(line.fixture.resolve(&line.tree.hex()).unwrap(), Named::Tree(line.tree));
    assert_eq!(
        line.fixture.resolve(&named_so).unwrap(),
        Named::Snapshot(line.snapshots[0])
    );
}

#[test]
fn what_is_called_a_tree_is_taken_for_nothing_else() {
    let line = line();
    let snapshot = line.snapshots[2];
    assert!(line.fixture.resolve(&format!("{snapshot}:top")).is_ok());
    line.fixture.refused(&format!("tree:{snapshot}:top"));
    for suffix in ["^{tree}", "~1"] {
        let error = line.fixture.refused(&format!("tree:{}{suffix}", line.sub));
        assert!(error.contains("expected nothing behind"), "{error}");
    }
}

#[test]
fn the_oldest_change_that_is_known_tells_what_was_there_before_it() {
    let mut line = line();
    let before = line.sub;
    let history = line.fixture.histories.get_mut("refs/snapshots/main").unwrap();
    history.last_mut().unwrap().old = Some(before);
    assert_eq!(line.fixture.resolve("main@{3}").unwrap(), Named::Tree(before));
    let error = line.fixture.refused("main@{4}");
    assert!(error.contains("no value"), "{error}");
}

#[test]
fn what_a_ref_names_is_what_its_bytes_can_be() {
    let mut line = line();
    let third = line.snapshots[2];
    line.fixture.objects.get_mut(&third).unwrap().0 = ObjectKind::Block;
    assert_eq!(line.fixture.resolve("main").unwrap(), Named::Snapshot(third));
    line.fixture
        .change("refs/trees/f", Some(line.file), "2026-11-02T00:00:00Z");
    let content = ContentRef::Block {
        id: line.file,
        bytes: 5,
    };
    assert_eq!(line.fixture.resolve("trees/f").unwrap(), Named::Content(content));
}

#[test]
fn a_colon_belongs_to_an_id_only_behind_the_name_of_a_hash() {
    let mut line = line();
    // What looks like a beginning of an id is a path here.
    let error = line.fixture.refused("main:abcdef012");
    assert!(error.contains("no path \"abcdef012\""), "{error}");
    // A line may be called as a hash is, where no id follows.
    line.fixture
        .change("refs/snapshots/sha256", Some(line.snapshots[0]), "2026-11-02T00:00:00Z");
    let named = line.fixture.resolve("sha256:top").unwrap();
    assert!(matches!(named, Named::Entry { .. }), "{named:?}");
    let error = line.fixture.refused("sha256:abcdef012");
    assert!(error.contains("no revision \"sha256:abcdef012\""), "{error}");
}

#[test]
fn the_step_at_which_no_parent_is_left_is_told() {
    let line = line();
    for (text, step) in [("main~3", 3), ("main~5", 3), ("main~1~4", 2), ("main^3", 3)] {
        let error = line.fixture.refused(text);
        assert!(error.contains(&format!("{text} (number {step}:")), "{error}");
    }
}

//! What becomes of duplicates, and what must not.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::ghosts::act::{Action, Job, Keep, KeepRules};
use crate::ghosts::dup::{Duplicates, Group, Select};
use crate::ghosts::forest::Forest;
use crate::ghosts::live::Live;
use crate::object::HashAlgo;
use crate::progress::Progress;
use crate::walk::{RuleOptions, Rules};

struct World {
    folder: tempfile::TempDir,
    forest: Live,
    groups: Vec<Group>,
}

impl World {
    /// Files of the given names and contents, and their groups.
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        Self::of(folder)
    }

    fn of(folder: tempfile::TempDir) -> Self {
        let root = folder.path().canonicalize().unwrap();
        let forest = Live::open(&root, b"live", HashAlgo::Sha256, Rules::new(RuleOptions::default())).unwrap();
        let progress = Progress::default();
        let forests: [&dyn Forest; 1] = [&forest];
        let found = Duplicates::find(&forests, &Select::default(), 1, &progress).unwrap();
        let groups = found.map(Result::unwrap).collect();
        Self { folder, forest, groups }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ino(&self, name: &str) -> u64 {
        std::fs::symlink_metadata(self.at(name)).unwrap().ino()
    }

    /// Acts on all groups; of each name whether it was done.
    fn act(&self, action: Action, rules: &KeepRules) -> Vec<(String, Result<(), String>)> {
        let progress = Progress::default();
        let forests: [&dyn Forest; 1] = [&self.forest];
        let job = Job {
            forests: &forests,
            action,
            mixes_owners: false,
            progress: &progress,
        };
        let mut told = Vec::new();
        for group in &self.groups {
            let Some(plan) = rules.plan(&forests, group) else {
                continue;
            };
            let keep = group.files.first_name(plan.keep);
            for other in plan.others {
                job.run(group, &keep, &group.files.get(other), &mut |name, result| {
                    told.push((name.path.to_string(), result.map_err(|error| error.to_string())));
                });
            }
        }
        assert_eq!(leftovers(self.folder.path()), 0);
        told
    }
}

fn leftovers(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    names
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => leftovers(&entry.path()),
            false => usize::from(entry.file_name().to_string_lossy().starts_with(".ghost-link")),
        })
        .sum()
}

fn keep(by: Keep) -> KeepRules {
    KeepRules {
        by,
        ..KeepRules::default()
    }
}

#[test]
fn links_take_the_place_of_copies_and_the_kept_file_stays_as_it_is() {
    for action in [Action::Hardlink, Action::Symlink] {
        let world = World::new(&[("a/1", "same"), ("b/c/2", "same"), ("3", "same"), ("other", "SAME")]);
        std::fs::hard_link(world.at("b/c/2"), world.at("b/2too")).unwrap();
        let world = World::of(world.folder);
        let before = std::fs::metadata(world.at("3")).unwrap();
        let told = world.act(action, &KeepRules::default());
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.iter().all(|(_, result)| result.is_ok()), "{told:?}");
        let after = std::fs::metadata(world.at("3")).unwrap();
        let key = |stat: &std::fs::Metadata| (stat.ino(), stat.mode(), stat.mtime(), stat.mtime_nsec(), stat.size());
        assert_eq!(key(&before), key(&after));
        for name in ["a/1", "b/c/2", "b/2too", "3"] {
            assert_eq!(std::fs::read(world.at(name)).unwrap(), b"same");
            assert_eq!(std::fs::metadata(world.at(name)).unwrap().ino(), before.ino());
            assert_eq!(
                std::fs::symlink_metadata(world.at(name)).unwrap().is_symlink(),
                action == Action::Symlink && name != "3"
            );
        }
        assert_eq!(std::fs::read(world.at("other")).unwrap(), b"SAME");
    }
}

#[test]
fn one_of_each_group_is_never_removed() {
    let world = World::new(&[
        ("a", "1"),
        ("b", "1"),
        ("c", "22"),
        ("d", "22"),
        ("e", "22"),
        ("f", "333"),
    ]);
    let told = world.act(Action::Remove, &keep(Keep::Last));
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["c", "d", "a"]);
    for name in ["b", "e", "f"] {
        assert!(world.at(name).exists());
    }
    assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 3);
}

#[test]
fn what_changed_since_is_passed_over() {
    for action in [Action::Hardlink, Action::Symlink, Action::Remove] {
        let world = World::new(&[("1", "same"), ("2", "same"), ("3", "same"), ("4", "same")]);
        // Of the same length, and with the time it had.
        let time = std::fs::metadata(world.at("2")).unwrap().modified().unwrap();
        std::fs::write(world.at("2"), "SAME").unwrap();
        std::fs::File::options()
            .write(true)
            .open(world.at("2"))
            .unwrap()
            .set_modified(time)
            .unwrap();
        std::fs::remove_file(world.at("3")).unwrap();
        std::os::unix::fs::symlink("1", world.at("3")).unwrap();
        let told = world.act(action, &KeepRules::default());
        assert!(told[0].1.as_ref().unwrap_err().contains("no longer those"), "{told:?}");
        assert!(told[1].1.is_err() && told[2].1.is_ok(), "{told:?}");
        assert_eq!(std::fs::read(world.at("2")).unwrap(), b"SAME");
        assert!(std::fs::symlink_metadata(world.at("3")).unwrap().is_symlink());
        assert_eq!(std::fs::read(world.at("1")).unwrap(), b"same");
    }
}

#[test]
fn nothing_is_done_when_the_file_that_stays_changed_or_went() {
    for gone in [true, false] {
        let world = World::new(&[("1", "same"), ("2", "same"), ("3", "same")]);
        match gone {
            true => std::fs::remove_file(world.at("1")).unwrap(),
            false => std::fs::write(world.at("1"), "SAME").unwrap(),
        }
        let told = world.act(Action::Remove, &KeepRules::default());
        assert_eq!(told.iter().filter(|(_, result)| result.is_err()).count(), 2, "{told:?}");
        assert_eq!(std::fs::read(world.at("2")).unwrap(), b"same");
        assert_eq!(std::fs::read(world.at("3")).unwrap(), b"same");
    }
}

#[test]
fn another_owner_or_mode_is_not_given_away() {
    let world = World::new(&[("1", "same"), ("2", "same")]);
    std::fs::set_permissions(world.at("2"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(world.at("1"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = world.act(Action::Hardlink, &KeepRules::default());
    assert!(told[0].1.as_ref().unwrap_err().contains("owner, mode"), "{told:?}");
    assert_ne!(world.ino("1"), world.ino("2"));
}

#[test]
fn sharing_blocks_changes_nothing_where_it_is_not_known() {
    let world = World::new(&[("1", "same"), ("2", "same")]);
    let before = world.ino("2");
    for (_, result) in world.act(Action::Reflink, &KeepRules::default()) {
        // Some file systems do it.
        assert!(result.is_ok() || result.unwrap_err().contains("share"));
    }
    assert_eq!(world.ino("2"), before);
    assert_eq!(std::fs::read(world.at("2")).unwrap(), b"same");
}

#[test]
fn rules_say_which_file_stays() {
    let world = World::new(&[("a/long/name", "x"), ("b/m", "x"), ("c/deep/n", "x"), ("d/oo", "x")]);
    for (name, seconds) in [("a/long/name", 30), ("b/m", 20), ("c/deep/n", 40), ("d/oo", 10)] {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options()
            .write(true)
            .open(world.at(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    let forests: [&dyn Forest; 1] = [&world.forest];
    let kept = |rules: &KeepRules| {
        let plan = rules.plan(&forests, &world.groups[0]).unwrap();
        (
            world.groups[0].files.first_name(plan.keep).path.to_string(),
            plan.others.len(),
        )
    };
    for (by, name) in [
        (Keep::First, "a/long/name"),
        (Keep::Last, "d/oo"),
        (Keep::Oldest, "d/oo"),
        (Keep::Newest, "c/deep/n"),
        (Keep::Shortest, "b/m"),
    ] {
        assert_eq!(kept(&keep(by)), (name.to_owned(), 3));
    }
    let root = world.folder.path().canonicalize().unwrap();
    let inside = |names: &[&str]| names.iter().map(|name| root.join(name)).collect();
    let rules = KeepRules {
        by: Keep::Newest,
        inside: inside(&["b", "d"]),
    };
    assert_eq!(kept(&rules), ("b/m".to_owned(), 2));
    let rules = KeepRules {
        by: Keep::First,
        inside: inside(&[""]),
    };
    assert_eq!(rules.plan(&forests, &world.groups[0]), None);
}

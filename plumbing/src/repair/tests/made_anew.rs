//! The files `format` and `generation` are made anew as they were, or later.

use super::*;
use crate::disk::{read_file, replace_file};
use crate::repository::format::{DELTA, FILE, GENERATIONS, require};
use crate::repository::{Format, remains};
use crate::store::generation::{Generation, Prepared};
use crate::store::lease;

const GHOST: &str = "/r/.ghost";

fn path(name: &str) -> PathBuf {
    Path::new(GHOST).join(name)
}

impl World {
    fn bytes(&self, name: &str) -> Vec<u8> {
        read_file(&*self.disk, &path(name), 1 << 20).unwrap()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        replace_file(&*self.disk, &path(name), bytes).unwrap();
    }

    fn mend_format(&self, dry_run: bool) -> Result<Option<MendedFormat>> {
        let disk: Arc<dyn Disk> = self.disk.clone();
        super::mend_format(&disk, Path::new(GHOST), &OpenOptions::default(), dry_run)
    }

    fn generation(&self) -> Option<Generation> {
        let uuid = self.repository().format.uuid;
        Generation::read(&*self.disk, Path::new(GHOST), &uuid).unwrap()
    }

    /// Publishes the next generation, as gc does.
    fn publish_generation(&self) {
        let (disk, ghost_dir) = (&*self.disk, Path::new(GHOST));
        let uuid = self.repository().format.uuid;
        require(disk, ghost_dir, GENERATIONS).unwrap();
        let mut next = self.generation().unwrap_or_default();
        next.number += 1;
        lease::prepare(disk, ghost_dir, next.number);
        Prepared::new(disk, ghost_dir, &uuid, &next)
            .unwrap()
            .publish(disk)
            .unwrap();
    }
}

#[test]
fn a_format_is_made_anew_as_it_was_whatever_happened_to_it() {
    let world = world();
    assert!(world.mend_format(false).unwrap().is_none(), "nothing is wrong");
    let good = world.bytes("format");
    let before = world.repository().format;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        world.put("format", &bytes);
        let mended = match world.mend_format(false) {
            Ok(mended) => mended.unwrap(),
            // A bit of an empty list's line may look like the beginning of a name.
            Err(error) => {
                assert!(
                    error.to_string().contains("which this version does not know"),
                    "{bit}: {error}"
                );
                continue;
            }
        };
        let kept = mended.kept.unwrap();
        assert_eq!(read_file(&*world.disk, &kept, 1 << 20).unwrap(), bytes);
        world.disk.remove(&kept).unwrap();
        // The time of a damaged line is that of the first record, unless the line still reads.
        let format = Format {
            created: before.created,
            ..world.repository().format
        };
        assert_eq!(format, before, "bit {bit}");
        world.put("format", &good);
    }
    for len in 0..good.len() {
        world.put("format", &good[..len]);
        let dry = world.mend_format(true).unwrap().unwrap();
        assert_eq!(world.bytes("format"), &good[..len], "a dry run");
        let mended = world.mend_format(false).unwrap().unwrap();
        assert_eq!((mended.format.uuid, mended.format.hash), (before.uuid, before.hash));
        assert_eq!(mended.format, dry.format);
    }
    assert!(world.check().is_clean());
}

#[test]
fn a_format_that_is_gone_is_found_by_what_is_left_and_init_leaves_it_alone() {
    let world = world();
    world.publish_generation();
    let before = world.repository().format;
    assert!(before.has(GENERATIONS) && !before.has(DELTA));
    world.disk.remove(&path("format")).unwrap();
    let shared: Arc<dyn Disk> = world.disk.clone();
    assert_eq!(remains(&*shared, Path::new("/r/a/b"), false), Some(GHOST.into()));
    assert_eq!(remains(&*shared, Path::new("/r"), true), Some(GHOST.into()));
    let refused = init(&shared, Path::new("/r"), &InitOptions::default()).unwrap_err();
    assert!(refused.is_damage(), "{refused}");
    // The log goes, too: data files tell the rest.
    let log = world.bytes("refs/log");
    for with_log in [true, false] {
        if !with_log {
            world.disk.remove(&path("format")).unwrap();
            world.disk.remove(&path("refs/log")).unwrap();
        }
        let mended = world.mend_format(false).unwrap().unwrap();
        assert!(mended.kept.is_none() && !mended.assumed.is_empty(), "{mended:?}");
        assert_eq!((mended.format.uuid, mended.format.hash), (before.uuid, before.hash));
        assert_eq!(mended.format.has(GENERATIONS), before.has(GENERATIONS));
    }
    world.put("refs/log", &log);
    assert!(world.check().is_clean());
    // Nothing at all.
    world.disk.remove(&path("format")).unwrap();
    for (file, _) in world.disk.files() {
        if file.starts_with(path("data")) || file.starts_with(path("refs")) {
            world.disk.remove(&file).unwrap();
        }
    }
    let refused = world.mend_format(false).unwrap_err();
    assert!(refused.to_string().contains("which repository"), "{refused}");
}

#[test]
fn a_later_versions_format_is_no_damage_and_names_that_nobody_knows_are_not_dropped() {
    let world = world();
    let mut later = world.repository().format;
    later.incompatible = vec!["sealed".into()];
    world.put("format", later.encode().as_bytes());
    assert!(world.mend_format(false).unwrap().is_none());
    let mut damaged = later.encode().into_bytes();
    let at = damaged.len() - 3;
    damaged[at] ^= 1;
    world.put("format", &damaged);
    let refused = world.mend_format(false).unwrap_err().to_string();
    assert!(
        refused.contains("\"sealed\"") && refused.contains("move the file away"),
        "{refused}"
    );
    assert_eq!(world.bytes(FILE), damaged);
}

#[test]
fn a_generation_that_is_damaged_or_gone_is_followed_by_one_that_nobody_has_seen() {
    let world = world();
    for _ in 0..2 {
        world.publish_generation();
    }
    let reads = world.reads();
    let good = world.bytes("generation");
    let before = world.generation().unwrap().number;
    assert!(before >= 2);
    // A process that is at work meanwhile.
    let old = world.repository();
    for damage in 0..3 {
        let number = world.generation().unwrap().number;
        match damage {
            0 => world.put("generation", &good[..good.len() / 2]),
            1 => {
                let mut bytes = world.bytes("generation");
                bytes[20] ^= 4;
                world.put("generation", &bytes);
            }
            _ => world.disk.remove(&path("generation")).unwrap(),
        }
        let open = world.repository();
        assert!(
            open.store.writer().is_err() && open.store.advance().is_err(),
            "nobody writes"
        );
        drop(open);
        assert!(old.store.advance().is_err());
        assert_eq!(world.reads(), reads, "but all can be read");
        assert!(!world.check().is_clean());
        let dry = world.repair(&NOTHING).generation.unwrap();
        assert!(world.repository().store.writer().is_err(), "a dry run");
        let report = world.repair(&MEND);
        let mended = report.generation.unwrap();
        assert_eq!(mended.number, dry.number);
        assert!(mended.number > number && report.marked.is_empty());
        assert_eq!(mended.kept.is_some(), damage < 2);
        assert_eq!(world.generation().unwrap().number, mended.number);
        assert!(world.check().is_clean(), "{:?}", world.check());
        assert!(world.repair(&MEND).is_sound, "again there is nothing to do");
    }
    // The process learns of it, and the next gc goes on from there.
    assert!(old.store.advance().unwrap() > before);
    drop(old);
    world.publish_generation();
    assert!(world.check().is_clean());
    assert_eq!(world.reads(), reads);
    assert!(lease::newest(&*world.disk, Path::new(GHOST)).unwrap() > before);
}

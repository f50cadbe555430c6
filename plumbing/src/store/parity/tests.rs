//! Random damage up to the bound is mended, and refused beyond it.

mod keeping;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::disk::memory::MemoryDisk;
use crate::progress::Progress;

const UUID: [u8; 16] = [7; 16];

fn noise(seed: u64, count: usize) -> Vec<u8> {
    (0..count as u64)
        .map(|i| ((i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 51) as u8)
        .collect()
}

struct World {
    disk: Arc<MemoryDisk>,
    bytes: Vec<u8>,
    layout: Layout,
}

const FILE: &str = "/g/data/x.gd";
const PARITY: &str = "/g/parity/data-x.gd.par";

impl World {
    fn new(count: usize, percent: u64) -> Self {
        Self::of(noise(count as u64, count), percent)
    }

    fn of(bytes: Vec<u8>, percent: u64) -> Self {
        let disk = Arc::new(MemoryDisk::default());
        for folder in ["/g", "/g/data", "/g/parity"] {
            disk.create_dir(Path::new(folder)).unwrap();
        }
        put(&disk, FILE, &bytes);
        let progress = Progress::default();
        let target = Path::new(PARITY);
        write(
            &*disk,
            (Path::new(FILE), bytes.len() as u64),
            target,
            UUID,
            percent,
            &progress,
        )
        .unwrap();
        let layout = read_head(&*disk, target).unwrap().layout;
        let encoded = layout.stripes * u64::from(layout.data) * u64::from(layout.shard_bytes);
        assert_eq!(progress.counters().bytes_done, encoded, "what is shown");
        Self { disk, bytes, layout }
    }

    fn heal(&self) -> Result<Examined> {
        heal(
            &*self.disk,
            Path::new(FILE),
            Path::new(PARITY),
            &mut |_, _| Ok(()),
            &Progress::default(),
        )
    }

    fn now(&self) -> Vec<u8> {
        let file = self.disk.open(Path::new(FILE), OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn flip(&self, path: &str, at: u64) {
        let file = self.disk.open(Path::new(path), OpenMode::Write).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
    }
}

fn put(disk: &MemoryDisk, path: &str, bytes: &[u8]) {
    let file = disk.open(Path::new(path), OpenMode::Create).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(bytes, 0).unwrap();
}

#[test]
fn heads_survive_damage_of_one_copy() {
    let world = World::new(3000, 5);
    let whole = read_head(&*world.disk, Path::new(PARITY)).unwrap();
    assert_eq!(Head::decode(Path::new(PARITY), &whole.encode()).unwrap(), whole);
    let length = world
        .disk
        .open(Path::new(PARITY), OpenMode::Read)
        .unwrap()
        .len()
        .unwrap();
    for at in 0..length {
        world.flip(PARITY, at);
        assert_eq!(read_head(&*world.disk, Path::new(PARITY)).unwrap(), whole, "byte {at}");
        world.flip(PARITY, at);
    }
}

#[test]
fn a_lost_stretch_is_spread_over_all_stripes() {
    // Some 2,000 shards in three stripes.
    let world = World::new(9_000_000, 5);
    assert_eq!(world.layout.stripes, 3);
    let bound = u64::from(world.layout.recovery) * world.layout.stripes;
    for start in [0, 777 * 4096, 9_000_000 / 4096 * 4096 - (bound - 1) * 4096] {
        let mut bytes = world.bytes.clone();
        let end = (start + bound * 4096).min(bytes.len() as u64);
        bytes[start as usize..end as usize].fill(0);
        put(&world.disk, FILE, &bytes);
        let examined = world.heal().unwrap();
        assert!(examined.hopeless.is_empty() && !examined.is_sound());
        assert_eq!(world.now(), world.bytes);
    }
    // One shard more is one too many for one stripe; the others are mended all the same.
    let mut bytes = world.bytes.clone();
    bytes[..(bound as usize + 1) * 4096].fill(0);
    put(&world.disk, FILE, &bytes);
    let examined = world.heal().unwrap();
    assert_eq!(examined.hopeless.len(), 1);
    let refusal = examined.refusal(Path::new(FILE)).unwrap().to_string();
    assert!(
        refusal.contains("than parity can mend") && refusal.contains(FILE),
        "{refusal}"
    );
}

#[test]
fn a_file_that_is_cut_or_gone_is_as_damaged_as_it_misses_shards() {
    let world = World::new(20_000, 10);
    put(
        &world.disk,
        FILE,
        &world.bytes[..20_000 - 64 * (world.layout.recovery as usize - 1)],
    );
    assert!(world.heal().unwrap().hopeless.is_empty());
    assert_eq!(world.now(), world.bytes);
    world.disk.remove(Path::new(FILE)).unwrap();
    assert_eq!(world.heal().unwrap().hopeless.len(), 1);
    // Bytes behind what is covered are nobody's business here.
    let mut longer = world.bytes.clone();
    longer.extend_from_slice(b"appended");
    longer[5] ^= 1;
    put(&world.disk, FILE, &longer);
    assert!(world.heal().unwrap().hopeless.is_empty());
    longer[5] ^= 1;
    assert_eq!(world.now(), longer);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_up_to_the_bound_is_mended_and_beyond_it_refused(
        count in prop::sample::select(vec![1_usize, 63, 64, 65, 500, 32_767, 32_768, 100_000, 300_001]),
        percent in prop::sample::select(vec![1_u64, 5, 30, 100]),
        seed: u64,
        // Damage per stripe, relative to what can be mended; how much of it hits the parity.
        over in -3_i64..3,
        of_parity in 0_u64..4,
    ) {
        let world = World::new(count, percent);
        let layout = world.layout;
        let shards = layout.shards();
        let wanted = u64::try_from(i64::from(layout.recovery) + over).unwrap_or(0).min(shards);
        let of_parity = of_parity.min(wanted).min(u64::from(layout.recovery));
        let pick = |n: u64| (seed ^ n).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20;
        let first = pick(1) % shards;
        let damaged = wanted - of_parity;
        for n in 0..damaged {
            let number = (first + n) % shards;
            let start = number * u64::from(layout.shard_bytes);
            let room = u64::from(layout.shard_bytes).min(layout.bytes - start);
            world.flip(FILE, start + pick(n + 2) % room);
        }
        for n in 0..of_parity {
            let at = layout.head_bytes() + n * u64::from(layout.shard_bytes) + pick(n) % u64::from(layout.shard_bytes);
            world.flip(PARITY, at);
        }
        prop_assert_eq!(layout.stripes, 1);
        let fits = damaged <= u64::from(layout.recovery) - of_parity;
        let before = world.now();
        let examined = world.heal().unwrap();
        prop_assert_eq!(examined.damaged.len() as u64, damaged);
        prop_assert_eq!(examined.hopeless.is_empty(), fits);
        prop_assert_eq!(world.now(), if fits { world.bytes.clone() } else { before });
    }
}

#[test]
fn the_worked_example_is_that_of_the_page() {
    let page = include_str!("../../../../object-format.md");
    let disk = World::new(3, 5).disk;
    put(&disk, FILE, b"abc");
    let (source, target) = (Path::new(FILE), Path::new(PARITY));
    write(&*disk, (source, 3), target, UUID, 5, &Progress::default()).unwrap();
    let bytes = crate::disk::read_file(&*disk, target, usize::MAX).unwrap();
    let line = |chunk: &[u8]| {
        chunk
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let hex: Vec<String> = bytes.chunks(16).map(line).collect();
    let hex = hex.join("\n");
    assert!(page.contains(&format!("```hex parity\n{hex}\n```")), "{hex}");
}

#[test]
fn what_is_mended_must_have_the_digest_of_its_parity() {
    let world = World::new(3000, 5);
    let mut head = read_head(&*world.disk, Path::new(PARITY)).unwrap();
    head.digest[0] ^= 1;
    let encoded = head.encode();
    let layout = world.layout;
    let end = layout.head_bytes() + layout.recovery_shards() * u64::from(layout.shard_bytes);
    let parity = world.disk.open(Path::new(PARITY), OpenMode::Write).unwrap();
    for at in [0, end] {
        parity.write_all_at(&encoded, at).unwrap();
    }
    // Every shard has its hash again, and all of them are not what was covered.
    world.flip(FILE, 100);
    let error = world.heal().unwrap_err().to_string();
    assert!(error.contains("the digest in its parity file"), "{error}");
    assert!(
        examine(&*world.disk, Path::new(FILE), Path::new(PARITY), &Progress::default())
            .unwrap()
            .is_sound()
    );
}

#[test]
fn what_grew_behind_the_covered_part_does_not_hinder_healing() {
    // More than is read at once, of which the second piece is covered in part.
    let world = World::new(READ_BYTES + 5000, 1);
    let mut longer = world.bytes.clone();
    longer.extend_from_slice(&noise(9, 5000));
    put(&world.disk, FILE, &longer);
    for at in [5, READ_BYTES as u64 + 70] {
        world.flip(FILE, at);
    }
    let examined = world.heal().unwrap();
    assert_eq!((examined.damaged.len(), examined.hopeless.len()), (2, 0));
    assert_eq!(world.now(), longer);
}

#[test]
fn stripes_that_are_not_gathered_together_are_mended_as_others_are() {
    // Five stripes, of which four fit into the memory that is used.
    let world = World::of(b"seventeen bytes. ".repeat(1_000_000), 1);
    let layout = world.layout;
    let stripe_bytes = u64::from(layout.data) * u64::from(layout.shard_bytes);
    assert_eq!((layout.stripes, MEMORY_BYTES / stripe_bytes), (5, 4));
    for shard in [0, 3, 4, 9, 4144, 4148, 4149, 4150] {
        world.flip(FILE, shard * 4096 + 50);
    }
    let examined = world.heal().unwrap();
    assert_eq!((examined.damaged.len(), examined.hopeless.len()), (8, 0));
    assert_eq!(world.now(), world.bytes);
}

#[test]
fn a_file_that_is_cut_while_it_is_mended_is_not_said_to_be_whole() {
    let world = World::new(3000, 5);
    world.flip(FILE, 100);
    let file = world.disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    let mut cut = |_: u64, _: &[u8]| {
        file.set_len(1000).unwrap();
        Ok(())
    };
    let (path, parity) = (Path::new(FILE), Path::new(PARITY));
    let error = heal(&*world.disk, path, parity, &mut cut, &Progress::default()).unwrap_err();
    assert!(error.to_string().contains("the digest in its parity file"), "{error}");
}

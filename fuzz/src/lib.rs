//! What is read from a disk or a peer, as fuzz targets (README.md).

use std::path::Path;

mod memory;
mod targets;

pub use memory::measured;
pub use targets::{TARGETS, seeds};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Writes the inputs that fuzzing begins with to the folder that `GHOST_FUZZ_SEEDS` names, by target. Called by one of the
/// targets, as a program without libFuzzer does not link with its flags.
pub fn write_seeds() {
    let Some(corpus) = std::env::var_os("GHOST_FUZZ_SEEDS") else {
        return;
    };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../t/golden");
    for (number, (target, bytes)) in seeds(&golden).into_iter().enumerate() {
        let folder = Path::new(&corpus).join(target);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("seed-{number:03}")), bytes).expect("a seed");
    }
}

/// One function a target: never a panic, never more memory than the target's limit.
macro_rules! targets {
    ($($name:ident),+) => {
        $(
            /// The target of this name, measured.
            pub fn $name(data: &[u8]) {
                let target = TARGETS.iter().find(|target| target.name == stringify!($name)).expect("a target");
                let (_, bytes) = measured(|| (target.run)(data));
                let limit = target.bytes_max + targets::BYTES_PER_BYTE * data.len();
                assert!(bytes <= limit, "{} bytes of memory, the limit is {limit}", bytes);
            }
        )+
    };
}

targets!(
    objects, frames, data_file, deltas, index, ref_log, stat_cache, config, ignore, ghostdesc, bundle
);

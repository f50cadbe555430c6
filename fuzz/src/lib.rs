//! What is read from a disk or a peer, as fuzz targets (README.md).

mod memory;
mod targets;

pub use memory::measured;
pub use targets::{TARGETS, seeds};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

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

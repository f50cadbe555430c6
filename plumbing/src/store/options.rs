//! How a store writes: what the settings say.

use crate::limits::DELTA_DEPTH_MAX;

/// How a store writes.
#[derive(Clone, Debug)]
pub struct Options {
    /// A data file of this many bytes gets no more frames.
    pub file_bytes_max: u64,
    /// Bytes of small files in one frame.
    pub frame_bytes: usize,
    /// Bytes of large files in one frame; of huge ones three quarters of it.
    pub large_frame_bytes: usize,
    /// Bytes of metadata in one frame.
    pub meta_frame_bytes: usize,
    /// The zstd level.
    pub zstd_level: i32,
    /// Percent of recovery data that is written for a data file that is full; 0 is none.
    pub parity_percent: u64,
    /// What is compressed against earlier objects.
    pub delta: DeltaOptions,
    /// The repository says that there is a file of its generation: where it is missing, that is damage.
    pub has_generations: bool,
}

/// How objects are compressed against earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaOptions {
    /// Whether they are.
    pub enabled: bool,
    /// Longest chain of objects that lean on each other, at most [`crate::limits::DELTA_DEPTH_MAX`].
    pub depth: u8,
    /// Most bytes of earlier objects that one is compared with.
    pub window_bytes: usize,
}

impl Default for DeltaOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            depth: DELTA_DEPTH_MAX,
            window_bytes: 1 << 20,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file_bytes_max: 1 << 30,
            frame_bytes: 6 << 20,
            large_frame_bytes: 16 << 20,
            meta_frame_bytes: 512 << 10,
            zstd_level: 3,
            parity_percent: 0,
            delta: DeltaOptions::default(),
            has_generations: false,
        }
    }
}

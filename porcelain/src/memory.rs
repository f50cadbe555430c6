//! What the allocator keeps of memory that was freed.
//!
//! glibc maps a long buffer on its own and unmaps it when it is freed. Each time it does so it raises the length from which
//! a buffer counts as long to that of the freed one, up to 32 MiB (`M_MMAP_THRESHOLD` in mallopt(3)). Buffers of frames and
//! parts of large files then lie in the heaps of the threads, and a small object behind one that is free keeps it from
//! going back to the system: an update of a large file with 87 MiB in use took 108 to 125 MiB, now 98 to 106, in about the
//! same time. So the length is set to a fixed one.

/// Buffers from so many bytes on are mapped on their own. Mapping shorter ones costs a few percent of a first snapshot.
#[cfg(target_env = "gnu")]
const LONG_BYTES: libc::c_int = 1 << 20;

/// Has long buffers given back when they are freed. To be called before the first of them is there; with another
/// allocator than glibc's it does nothing.
pub fn give_back_long_buffers() {
    // Where glibc refused, memory would merely be kept for longer.
    #[cfg(target_env = "gnu")]
    // SAFETY: the calls take two numbers and touch settings of the allocator alone, under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LONG_BYTES);
        // Setting one length stops glibc from adapting both; this one follows the other as it would have.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LONG_BYTES);
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    /// Bytes that are mapped on their own now.
    fn mapped() -> usize {
        // SAFETY: the call fills in what it returns.
        unsafe { libc::mallinfo2() }.hblkhd
    }

    #[test]
    fn a_long_buffer_is_mapped_again_after_one_was_freed() {
        // Just below what glibc would come to keep, and far above what other tests have mapped.
        const BYTES: usize = 31 << 20;
        give_back_long_buffers();
        for _ in 0..2 {
            let buffer = vec![1_u8; BYTES];
            assert!(mapped() >= BYTES, "{} bytes are mapped", mapped());
            drop(std::hint::black_box(buffer));
        }
    }
}

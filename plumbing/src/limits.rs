//! Every bound of the formats and of the program, with its unit and reason (object-format.md, "Limits").

/// Longest block in bytes that a store takes: what a decoder may be asked to hold at once.
pub const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Longest payload of one frame in bytes, before compression.
pub const FRAME_RAW_BYTES_MAX: usize = 32 << 20;
/// Longest payload of one frame in bytes, as stored (zstd may grow what does not compress).
pub const FRAME_STORED_BYTES_MAX: usize = FRAME_RAW_BYTES_MAX + (1 << 20);
/// Most objects in one frame: the slot of an index locator has 12 bits.
pub const FRAME_OBJECTS_MAX: usize = 4096;
/// Deepest chain of objects that are compressed against others: what one read may have to decompress in turn.
pub const DELTA_DEPTH_MAX: u8 = 8;
/// Most objects that are decompressed to get one: with several bases each, a chain of that depth would be a tree.
pub const DELTA_WEIGHT_MAX: u16 = 64;
/// Links that a reader follows at most. A base may have been stored twice at the same time, once with bases of its own.
pub const DELTA_LINKS_MAX: u8 = 2 * DELTA_DEPTH_MAX;
/// Objects that a reader decompresses at most to get one, for the same reason.
pub const DELTA_READS_MAX: u16 = 4 * DELTA_WEIGHT_MAX;
/// Most bases of one object.
pub const DELTA_BASES_MAX: usize = 8;
/// Longest prefix of one object in bytes, all bases together: any one block fits.
pub const DELTA_PREFIX_BYTES_MAX: usize = 16 << 20;
/// Most blocks of which it is remembered what they are like; ten bytes each, written anew by every snapshot.
pub const LIKENESS_ROWS_MAX: usize = 256 << 10;
/// Longest name of a directory entry in bytes (`NAME_MAX` is 255 on Linux; other systems allow more).
pub const NAME_BYTES_MAX: usize = 4096;
/// Longest target of a symbolic link in bytes.
pub const SYMLINK_BYTES_MAX: usize = 65_536;
/// Longest name of a user or group in bytes.
pub const OWNER_NAME_BYTES_MAX: usize = 1024;
/// Most extended attributes of one entry.
pub const XATTRS_MAX: usize = 4096;
/// Longest value of one extended attribute in bytes (Linux: 64 KiB).
pub const XATTR_VALUE_BYTES_MAX: usize = 1 << 20;
/// Longest tree node in bytes.
pub const TREE_NODE_BYTES_MAX: usize = 8 << 20;
/// Deepest nesting of inner tree nodes and of indirect blocks.
pub const NODE_DEPTH_MAX: u8 = 16;
/// Longest inline content in bytes.
pub const INLINE_BYTES_MAX: usize = 4096;
/// Most refs in one indirect block.
pub const INDIRECT_REFS_MAX: usize = 1024;
/// Deepest nesting of directories that a walk follows.
pub const DIRECTORY_DEPTH_MAX: usize = 65_536;
/// Longest encoded snapshot in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 8 << 20;
/// Most parents, tags, roots or rules of one snapshot.
pub const SNAPSHOT_LIST_MAX: usize = 65_536;
/// Longest message of a snapshot in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Most roots of one bundle: every append writes the list of them anew.
pub const BUNDLE_ROOTS_MAX: usize = 65_536;
/// Longest name of a ref in bytes.
pub const REF_NAME_BYTES_MAX: usize = 512;
/// Most refs changed by one record of the ref log.
pub const REF_CHANGES_MAX: usize = 65_536;
/// Most refs of one repository: all of them are held in memory while one is changed.
pub const REFS_MAX: usize = 1 << 20;
/// Longest checkpoint of the refs in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = REFS_MAX * 640;
/// Longest record of the ref log in bytes.
pub const REF_RECORD_BYTES_MAX: usize = 16 << 20;
/// Longest file of ignore patterns in bytes that is looked at.
pub const IGNORE_FILE_BYTES_MAX: usize = 4 << 20;
/// Longest configuration file in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Longest whole file content in bytes: offsets are signed 64-bit in every system call.
pub const CONTENT_BYTES_MAX: u64 = i64::MAX as u64;
/// Longest line of a descriptor file in bytes: a path of a megabyte whose every byte is escaped.
pub const GHOST_LINE_BYTES_MAX: usize = 8 << 20;
/// Most places of one ghost in a descriptor file: all of them are held in memory.
pub const GHOST_PLACES_MAX: usize = 1 << 20;

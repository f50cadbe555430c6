//! What a caller may ask for.

use bstr::BString;

use crate::walk::Owners;

/// When a file that is there is written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// When its content differs, which is found by reading it.
    Always,
    /// When its size differs, or its mtime and then its content.
    #[default]
    IfChanged,
    /// Never: what is there stays as it is, metadata too.
    Never,
}

/// Whether files of equal content share their blocks on disk. Files shorter than 128 KiB are always written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reflink {
    /// Share where the file system can; else copy within the kernel; else write.
    #[default]
    Auto,
    /// Share, or name the file as a problem.
    Always,
    /// Write each.
    Never,
}

/// What a reconstruction does and leaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only these paths and what is below them, relative to the top of the tree. All if empty.
    pub paths: Vec<BString>,
    /// Write nothing and count what would be done.
    pub test: bool,
    /// Remove what is in the target and not in the tree; never a `.ghost`.
    pub delete: bool,
    /// When a file that is there is written again.
    pub overwrite: Overwrite,
    /// Make holes of areas of zeros within blocks, too. Runs of zeros always become holes.
    pub sparse: bool,
    /// Whether equal contents share their blocks.
    pub reflink: Reflink,
    /// Restore owners by number, not by name.
    pub numeric_owner: bool,
    /// Names of the users and groups of this system; for owners by name.
    pub owners: Owners,
    /// Restore also what gives power: setuid and setgid bits of files, devices, `security.*` and `trusted.*`
    /// attributes.
    pub privileged: bool,
    /// Whether the process may change owners. Without it groups are tried and owners left.
    pub is_root: bool,
    /// Threads that write; at least one.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            test: false,
            delete: false,
            overwrite: Overwrite::default(),
            sparse: false,
            reflink: Reflink::default(),
            numeric_owner: false,
            owners: Owners::default(),
            privileged: false,
            is_root: false,
            threads: 2,
        }
    }
}

//! The tasks of a scan.

use std::ops::Range;
use std::sync::Arc;

use super::folder::{Folder, Window};
use crate::tasks::Stack;

/// Something to do.
pub(super) enum Task {
    /// Look at the directory where the scan begins.
    Begin(Arc<Folder>),
    /// Look at one file of a directory and at nothing else.
    File(Arc<Folder>, u32),
    /// Open and look at a directory: the name with this number in its parent.
    Enter(Arc<Folder>, u32),
    /// Read some files of a window.
    Read(Arc<Window>, Range<usize>),
}

/// All of them.
pub(super) type Queue = Stack<Task>;

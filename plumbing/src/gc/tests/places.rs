//! Where objects lie, and how what lies there is hurt.

use std::path::PathBuf;

use super::*;
use crate::disk::OpenMode;
use crate::store::data::read::Head;

/// A copy of an object.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// The id of the data file.
    pub(super) file: [u8; 16],
    pub(super) head: Head,
}

impl Place {
    /// Changes one byte of the data file; the second time it is as it was.
    pub(super) fn hurt(&self, disk: &Arc<dyn Disk>, at: u64) {
        let file = disk.open(&self.path, OpenMode::Write).unwrap();
        let mut byte = [0];
        assert_eq!(file.read_at(&mut byte, at).unwrap(), 1);
        file.write_all_at(&[byte[0] ^ 0x41], at).unwrap();
    }

    /// The same in the header of its frame: then nothing says that there is one.
    pub(super) fn hurt_head(&self, disk: &Arc<dyn Disk>) {
        self.hurt(disk, self.head.offset + 12);
    }
}

/// All copies of an object.
pub(super) fn places(disk: &Arc<dyn Disk>, id: &ObjectId) -> Vec<Place> {
    let mut found = Vec::new();
    for (file, committed) in open(disk).unwrap().store.data_files() {
        walk::frames(&file, committed, &mut |head| {
            if head.rows.iter().any(|row| row.id == *id) {
                let (path, file) = (file.path.clone(), file.header.file);
                found.push(Place { path, file, head });
            }
            Ok(())
        })
        .unwrap();
    }
    found
}

/// Makes the index speak of all that is stored: no data file is scanned from here on.
pub(super) fn cover(disk: &Arc<dyn Disk>) {
    let repository = open(disk).unwrap();
    repository.store.refresh().unwrap();
    // That a lease is held is what publishing asks for.
    repository.store.renew_lease().unwrap();
    repository.store.publish_segment().unwrap();
}

/// Makes a new ref of something that this process stored.
pub(super) fn point(repository: &Repository, name: &str, id: ObjectId) {
    let change = set(name, Expected::Absent, Some(id));
    repository.commit(&[change], &who(), "", Leans::Own).unwrap();
}

/// What a gc would do that looks for everything.
pub(super) fn dry(disk: &Arc<dyn Disk>, keep_log: KeepLog) -> Result<Report> {
    let options = Options {
        unused_max: Allowance::Share(0),
        repack_bytes_max: u64::MAX,
        keep_log,
        threads: 1,
        dry_run: true,
        is_over: &|| false,
    };
    run(&open(disk)?, &options, &Progress::default())
}

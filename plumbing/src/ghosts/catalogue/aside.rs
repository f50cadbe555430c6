//! Notes laid aside: what a long job learns of files, more than memory should hold, waits in temporary tables of one
//! connection until all is there, and then goes to the memos in order.
//!
//! Files are hashed by size, folder for folder they lie all over a tree. Were each heap of notes kept as it comes, every
//! folder would be written anew for every heap; so each is written once.
//!
//! 1. [`Catalogue::lay_aside`] adds notes to a table, a row each, as they come
//! 2. [`Catalogue::keep_aside`] lets SQLite sort them by folder and name, in files where they are many, and hands them to
//!    [`Catalogue::note`], some at a time
//!
//! Invariants: of two notes on one name the later is kept. What is laid aside goes with the connection: a job that is
//! killed loses what it learnt, which costs time only.

use rusqlite::{TransactionBehavior, params};

use super::Catalogue;
use super::memo::name_of;
use super::open::failed;
use crate::error::Result;

/// Bytes of notes that become memos in one transaction.
const KEPT_BYTES: usize = 4 << 20;

const CREATE: &str =
    "CREATE TEMP TABLE IF NOT EXISTS note (folder BLOB NOT NULL, file BLOB NOT NULL, packed BLOB NOT NULL)";
const SORT: &str = "CREATE TEMP TABLE sorted AS SELECT folder, packed FROM temp.note ORDER BY folder, file, rowid; DROP TABLE temp.note";

impl Catalogue {
    /// Lays notes aside: packed entries, each with the absolute path of its folder, in any order.
    pub fn lay_aside<'n>(&mut self, notes: impl IntoIterator<Item = (&'n [u8], &'n [u8])>) -> Result<()> {
        self.end_reads()?;
        let path = self.path.clone();
        let connection = &mut self.connection;
        let add = || {
            connection.execute_batch(CREATE)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let mut insert =
                transaction.prepare_cached("INSERT INTO temp.note (folder, file, packed) VALUES (?1, ?2, ?3)")?;
            for (folder, packed) in notes {
                insert.execute(params![folder, name_of(packed), packed])?;
            }
            drop(insert);
            transaction.commit()
        };
        add().map_err(failed("write", &path))
    }

    /// Keeps all that was laid aside for folders of a machine.
    pub fn keep_aside(&mut self, host: &str) -> Result<()> {
        self.connection.execute_batch(SORT).map_err(self.failed("write"))?;
        let mut last = 0;
        loop {
            let some = self.aside(&mut last)?;
            if some.is_empty() {
                break;
            }
            let sorted = some
                .iter()
                .map(|(folder, packed)| (folder.as_slice(), packed.as_slice()));
            self.note(host, by_folder(sorted))?;
        }
        self.connection
            .execute_batch("DROP TABLE temp.sorted")
            .map_err(self.failed("write"))
    }

    /// The next notes in order, with their folders; `last` is the row of the last one.
    fn aside(&self, last: &mut i64) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut read = || -> rusqlite::Result<_> {
            let sql = "SELECT rowid, folder, packed FROM temp.sorted WHERE rowid > ?1 ORDER BY rowid";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([*last])?;
            let (mut some, mut bytes) = (Vec::new(), 0);
            while bytes < KEPT_BYTES
                && let Some(row) = rows.next()?
            {
                *last = row.get(0)?;
                let (folder, packed): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
                bytes += folder.len() + packed.len();
                some.push((folder, packed));
            }
            Ok(some)
        };
        read().map_err(self.failed("read"))
    }
}

/// Notes with their folders, sorted by folder and name, as [`Catalogue::note`] takes them: of some on one name, the last.
pub fn by_folder<'n>(sorted: impl IntoIterator<Item = (&'n [u8], &'n [u8])>) -> Vec<(&'n [u8], Vec<&'n [u8]>)> {
    let mut folders: Vec<(&[u8], Vec<&[u8]>)> = Vec::new();
    for (folder, packed) in sorted {
        match folders.last_mut() {
            Some((known, files)) if *known == folder => {
                files.pop_if(|file| name_of(file) == name_of(packed));
                files.push(packed);
            }
            _ => folders.push((folder, vec![packed])),
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use crate::ghosts::catalogue::tests::{open, seen, time};
    use crate::ghosts::catalogue::{Facts, FileSeen, Memo};
    use crate::object::{HashAlgo, ObjectId};

    /// Files of three folders in any order, some of them noted twice, more than is kept at once.
    #[test]
    fn what_is_laid_aside_is_kept_in_order_and_the_latest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut catalogue = open(&folder.path().join("c.db"));
        let template = seen(folder.path(), "t", b"t");
        let noted = |number: u64, round: u64| {
            let id = ObjectId::hash(HashAlgo::Sha256, format!("{number} {round}").as_bytes());
            let name = format!("{:0>150}", number);
            let file = FileSeen {
                name: name.into(),
                facts: Facts::Full(id, None),
                ..template.clone()
            };
            let mut packed = Vec::new();
            Memo::of(&file, Some(time(10))).unwrap().encode(&mut packed);
            (format!("/{}", number % 3), packed)
        };
        let (files, step) = (50_000u64, 7919);
        for round in 0..3 {
            // Each round another third again.
            let numbers = (0..files).map(|at| at * step % files);
            let numbers = numbers.filter(|number| round == 0 || number % 5 == round);
            let notes: Vec<_> = numbers.map(|number| noted(number, round)).collect();
            let notes = notes
                .iter()
                .map(|(folder, packed)| (folder.as_bytes(), packed.as_slice()));
            catalogue.lay_aside(notes).unwrap();
        }
        catalogue.keep_aside("h").unwrap();
        for folder in 0..3u64 {
            let mut number = folder;
            let each = |memo: &Memo<'_>| {
                let round = if matches!(number % 5, 1 | 2) { number % 5 } else { 0 };
                let id = ObjectId::hash(HashAlgo::Sha256, format!("{number} {round}").as_bytes());
                assert_eq!(memo.fullhash, Some(id), "{number}");
                number += 3;
            };
            catalogue
                .recall("h", format!("/{folder}").as_bytes(), None, each)
                .unwrap();
            assert!(number >= files, "{number}");
        }
        catalogue.check().unwrap();
        let left: i64 = catalogue
            .connection
            .query_row("SELECT count(*) FROM temp.sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0);
    }
}

//! A folder and a catalogue of it, for tests of what looks at files.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::ghosts::Catalogue;
use crate::ghosts::scan::{Report, Request, Told, scan};
use crate::object::{HashAlgo, ObjectId};
use crate::progress::Progress;
use crate::time::Timestamp;
use crate::walk::{RuleOptions, Rules};

pub(in crate::ghosts) struct World {
    pub folder: tempfile::TempDir,
    pub catalogue: Catalogue,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("t")).unwrap();
        let path = folder.path().join("c.db");
        let catalogue = Catalogue::open(&path, Timestamp::default()).unwrap().catalogue;
        Self { folder, catalogue }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("t")
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A scan of all of it at a time at which every change is long ago.
    pub fn scan_request(&self, seconds: i64) -> Request {
        Request {
            roots: vec![self.root()],
            rules: Rules::new(RuleOptions::default()),
            trust_hash: false,
            keep_trust: None,
            host: "h".to_owned(),
            algo: HashAlgo::Sha256,
            threads: 3,
            now: Timestamp::new(seconds, 0),
            began: Timestamp::new(i64::from(u32::MAX), 0),
            coarse: Duration::from_secs(2),
        }
    }

    pub fn scan(&mut self, request: &Request) -> Report {
        self.scan_told(request).0
    }

    /// The same, with what is said of single files.
    pub fn scan_told(&mut self, request: &Request) -> (Report, Vec<Told>) {
        let mut told = Vec::new();
        let mut tell = |one| {
            told.push(one);
            Ok(())
        };
        let report = scan(&mut self.catalogue, request, &Progress::default(), &mut tell).unwrap();
        self.catalogue.check().unwrap();
        (report, told)
    }

    /// What a file is known to be.
    pub fn known(&self, name: &str) -> Option<ObjectId> {
        let path = self.root().join(name);
        let row = self.catalogue.at("h", path.as_os_str().as_bytes()).unwrap()?;
        Some(self.catalogue.content(row.content.unwrap()).unwrap().unwrap().fullhash)
    }
}

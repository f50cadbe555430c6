//! Changing refs: compare and swap, in one record, under a lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, LockKind, OpenMode, read_file, replace_file};
use crate::error::{Error, Result};
use crate::limits::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX, REF_CHANGES_MAX, REF_RECORD_BYTES_MAX, REFS_MAX};
use crate::object::ObjectId;
use crate::refs::format::{Change, Checkpoint, Record};
use crate::refs::read::State;
use crate::refs::{
    CHECKPOINT_EVERY_RECORDS, CHECKPOINT_PREFIX, Cached, Expected, RefChange, RefStore, Sequence, Tail,
    TransactionOptions, Who, check_ref_name, list_checkpoints, show,
};

/// An exclusive lock on the refs, given back when dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Arc<dyn DiskFile>,
}

impl Lock {
    pub(super) fn take(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = disk.open(path, OpenMode::Create).map_err(Error::io("open", path))?;
        file.lock(LockKind::Exclusive).map_err(Error::io("lock", path))?;
        Ok(Self { _file: file })
    }
}

impl RefStore {
    /// Makes all changes in one record, or none. Gives the number of the record; where nothing changes there is none
    /// and the number is that of the last one.
    ///
    /// Fails with [`Error::RefMoved`] where a ref is not at the expected value.
    pub fn transaction(&self, changes: &[RefChange], who: &Who, message: &str) -> Result<Sequence> {
        self.transaction_with(changes, who, message, &TransactionOptions::default())
    }

    /// As [`transaction`](Self::transaction), with options.
    pub fn transaction_with(
        &self,
        changes: &[RefChange],
        who: &Who,
        message: &str,
        options: &TransactionOptions<'_>,
    ) -> Result<Sequence> {
        self.check_request(changes, who, message)?;
        let mut cached = self.state.lock();
        self.check_writable(&cached)?;
        let _lock = Lock::take(&*self.disk, &self.place.lock)?;
        let state = self.refresh_locked(&mut cached)?;
        let effective = compare(&state.refs, changes)?;
        if effective.is_empty() {
            return Ok(Sequence(state.sequence));
        }
        check_folders(&state.refs, &effective)?;
        if let Some(guard) = options.before_append {
            guard()?;
        }
        let record = Record {
            sequence: state.sequence + 1,
            previous: state.check,
            time: who.time,
            author: who.author.clone(),
            host: who.host.clone(),
            message: message.to_owned(),
            generation: options.generation,
            push_id: options.push_id,
            changes: effective,
        };
        self.append(&mut cached, &record)?;
        Ok(Sequence(record.sequence))
    }

    fn check_request(&self, changes: &[RefChange], who: &Who, message: &str) -> Result<()> {
        if changes.len() > REF_CHANGES_MAX {
            let problem = format_args!("expected at most {REF_CHANGES_MAX} refs");
            return Err(Error::invalid("change of refs", changes.len(), problem));
        }
        for (what, text, max) in [
            ("author", who.author.as_str(), NAME_BYTES_MAX),
            ("host", &who.host, NAME_BYTES_MAX),
            ("message", message, MESSAGE_BYTES_MAX),
        ] {
            if text.len() > max {
                let problem = format_args!("expected at most {max} bytes, found {}", text.len());
                return Err(Error::invalid(what, text.chars().take(40).collect::<String>(), problem));
            }
        }
        let mut names: Vec<_> = changes.iter().map(|change| change.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid("change of refs", pair[0], "expected each ref once"));
        }
        names.into_iter().try_for_each(check_ref_name)
    }

    pub(super) fn check_writable(&self, cached: &Cached) -> Result<()> {
        if let Some(feature) = &self.read_only {
            return Err(Error::Unsupported {
                path: self.place.log.clone(),
                feature: feature.clone(),
            });
        }
        if cached.abandoned {
            let why = std::io::Error::other("an earlier sync failed; nothing more is written to this log by this run");
            return Err(Error::io("append to", &self.place.log)(why));
        }
        Ok(())
    }

    /// Reads the log while no other writer is there.
    pub(super) fn refresh_locked<'c>(&self, cached: &'c mut Cached) -> Result<&'c mut State> {
        let state = match self.try_refresh(cached.state.take()) {
            Ok(state) => state,
            Err(Error::Damaged { .. }) => State::load(&*self.disk, &self.place)?,
            Err(e) => return Err(e),
        };
        Ok(cached.state.insert(state))
    }

    /// Appends a record and makes it durable; the lock is held and the state is current.
    fn append(&self, cached: &mut Cached, record: &Record) -> Result<()> {
        let Some(state) = cached.state.as_mut() else {
            return Ok(());
        };
        let log = &self.place.log;
        let bytes = record.encode(&state.header)?;
        let file = self.disk.open(log, OpenMode::Write).map_err(Error::io("open", log))?;
        if let Some(tail) = state.tail.take() {
            self.cut(&*file, &tail)?;
        }
        if state.sequence == 0 {
            self.sync_names()?;
        }
        let end = state.end;
        let (mut at, mut appended) = (end, Vec::new());
        if state.sequence > 0 && cached.synced != end {
            // Another writer's sync of the last record may have failed: then the next one makes durable what is written now
            // and not that record, without which this one is not read.
            at = state.last;
            appended = read_range(&*file, log, at, end)?;
        }
        appended.extend_from_slice(&bytes);
        let written = file.write_all_at(&appended, at).map_err(Error::io("append to", log));
        let synced = written.and_then(|()| file.sync_data().map_err(Error::io("sync", log)));
        if let Err(e) = synced {
            // Pages of a failed sync count as clean: the next writer must write them again, so they are dropped here.
            // The error that led here is the one to tell.
            let _ = file.set_len(end);
            cached.abandoned = true;
            cached.state = None;
            return Err(e);
        }
        state
            .apply(record)
            .map_err(|(expected, found)| Error::damaged(log, end, expected, found))?;
        state.last = end;
        state.end = end + bytes.len() as u64;
        cached.synced = state.end;
        state.check.copy_from_slice(&bytes[bytes.len() - 32..]);
        if state.sequence >= state.checkpoint + CHECKPOINT_EVERY_RECORDS {
            // The record is durable and acknowledged whatever becomes of the checkpoint; the next writer tries again.
            let _ = self.write_checkpoint(state);
        }
        Ok(())
    }

    /// Makes the names of the log and of what else a repository begins with durable: who made it may have gone before that.
    fn sync_names(&self) -> Result<()> {
        let folder = &self.place.folder;
        for folder in [Some(folder.as_path()), folder.parent()].into_iter().flatten() {
            self.disk.sync_dir(folder).map_err(Error::io("sync", folder))?;
        }
        Ok(())
    }

    /// Cuts a torn tail. One that may be a damaged record, acknowledged once, is copied aside first.
    fn cut(&self, log: &dyn DiskFile, tail: &Tail) -> Result<()> {
        if tail.looks_complete {
            let whole = read_file(&*self.disk, &self.place.log, usize::MAX)?;
            let from = usize::try_from(tail.offset).unwrap_or(usize::MAX).min(whole.len());
            let aside = self.place.folder.join(format!("cut-{:020}", tail.offset));
            replace_file(&*self.disk, &aside, &whole[from..])?;
        }
        log.set_len(tail.offset)
            .map_err(Error::io("cut the torn tail of", &self.place.log))
    }

    fn write_checkpoint(&self, state: &mut State) -> Result<()> {
        let checkpoint = Checkpoint {
            uuid: state.header.uuid,
            salt: state.header.salt,
            sequence: state.sequence,
            offset: state.last,
            check: state.check,
            refs: state.refs.clone(),
        };
        let name = format!("{CHECKPOINT_PREFIX}{:020}", state.sequence);
        replace_file(&*self.disk, &self.place.folder.join(name), &checkpoint.encode())?;
        let before = std::mem::replace(&mut state.checkpoint, state.sequence);
        for (sequence, path) in list_checkpoints(&*self.disk, &self.place)? {
            if sequence != before && sequence != state.sequence {
                self.disk.remove(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// The bytes of the log from `from` to `to`.
fn read_range(file: &dyn DiskFile, log: &Path, from: u64, to: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; (to - from).min(REF_RECORD_BYTES_MAX as u64) as usize];
    let found = file.read_at(&mut bytes, from).map_err(Error::io("read", log))?;
    if from + found as u64 != to {
        return Err(Error::damaged(
            log,
            from,
            format_args!("a record up to offset {to}"),
            format_args!("{found} bytes"),
        ));
    }
    Ok(bytes)
}

/// Compares each ref with what is expected of it; gives the changes that change something, sorted.
pub(crate) fn compare(refs: &BTreeMap<String, ObjectId>, changes: &[RefChange]) -> Result<Vec<Change>> {
    let mut effective = Vec::new();
    for change in changes {
        let old = refs.get(&change.name).copied();
        let expected = match change.expected {
            Expected::Any => old,
            Expected::Absent => None,
            Expected::Is(id) => Some(id),
        };
        if old != expected {
            return Err(Error::RefMoved {
                name: change.name.clone(),
                expected: show(expected.as_ref()),
                found: show(old.as_ref()),
            });
        }
        if old != change.new {
            effective.push(Change {
                name: change.name.clone(),
                old,
                new: change.new,
            });
        }
    }
    effective.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(effective)
}

/// Refuses a ref that would be a folder of another, so that refs can be shown as files.
fn check_folders(refs: &BTreeMap<String, ObjectId>, changes: &[Change]) -> Result<()> {
    let value = |name: &str| match changes.binary_search_by(|change| change.name.as_str().cmp(name)) {
        Ok(at) => changes[at].new,
        Err(_) => refs.get(name).copied(),
    };
    let added = changes
        .iter()
        .filter(|change| change.new.is_some() && change.old.is_none());
    if refs.len() + added.clone().count() > REFS_MAX {
        return Err(Error::invalid(
            "change of refs",
            refs.len(),
            format_args!("expected at most {REFS_MAX} refs"),
        ));
    }
    for change in added {
        let name = change.name.as_str();
        let above = name
            .match_indices('/')
            .map(|(at, _)| &name[..at])
            .find(|above| value(above).is_some());
        let folder = format!("{name}/");
        let known = refs.range(folder.clone()..).map(|(name, _)| name);
        let new = changes.iter().map(|change| &change.name);
        let mut below = known
            .take_while(|n| n.starts_with(&folder))
            .chain(new.filter(|n| n.starts_with(&folder)));
        let other = above.or_else(|| below.find(|n| value(n).is_some()).map(String::as_str));
        if let Some(other) = other {
            let problem = format_args!("there is a ref {other}, and no ref can be a folder of another");
            return Err(Error::invalid("ref name", name, problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::HashAlgo;

    #[test]
    fn there_may_be_as_many_refs_as_the_limit_and_no_more() {
        let value = ObjectId::hash(HashAlgo::Sha256, b"value");
        let change = |name: String, old: Option<ObjectId>| {
            let new = Some(value);
            [Change { name, old, new }]
        };
        // The characters that take four bytes are just as many.
        let (first, second) = ('\u{10000}', '\u{10001}');
        let mut refs: BTreeMap<String, ObjectId> = (second..=char::MAX).map(|c| (c.into(), value)).collect();
        check_folders(&refs, &change(first.into(), None)).unwrap();
        refs.insert(first.into(), value);
        assert_eq!(refs.len(), REFS_MAX);
        let refused = check_folders(&refs, &change("another".into(), None));
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("expected at most 1048576 refs"), "{refused}");
        // One that is there already may still move.
        let other = ObjectId::hash(HashAlgo::Sha256, b"other");
        check_folders(&refs, &change(second.into(), Some(other))).unwrap();
    }
}

//! The search for the content of one file.
//!
//! 1. Candidates that were hashed before, to this content.
//! 2. Candidates of the same path, then of the same name. They are taken at once: that hashes them, too.
//! 3. Where the file was when the tree was taken, then other places where the content was seen.
//! 4. All other candidates of this size, hashed one after the other until one fits.
//! 5. Where files become links: files of the target, which only are copied, and then the store.
//! 6. Single blocks, of kin first, then of any file ([`assemble`](super::assemble)).
//!
//! The candidates of one size are locked meanwhile, so that none is hashed twice.

use std::path::{Path, PathBuf};

use bstr::BString;
use hashbrown::HashSet;

use super::assemble::{Kin, assemble};
use super::group::{Group, Number};
use super::index::Index;
use super::open::{Opened, hash_with, is_unchanged, open_absolute_any, read_exact_at};
use super::take::{Mode as TakeMode, Refused, Taker};
use super::{Elsewhere, How, Lost, Outcome, PassedOver, Why, not_located};
use crate::error::{Error, Result};
use crate::ghosts::fasthash::{self, FastHash, WHOLE_BYTES_MAX};
use crate::object::ObjectId;
use crate::reconstruct::Context;
use crate::reconstruct::made::Made;

/// Most files that are named as passed over for one content.
const PASSED_OVER_MAX: usize = 64;

/// The search for one file.
struct Search<'s, 'j> {
    context: &'j Context<'j>,
    elsewhere: &'s Elsewhere<'j>,
    index: &'s Index,
    taker: Taker<'s, 'j>,
    id: ObjectId,
    /// The sampled hash, where it is known and saves reading; asked for when it is first needed.
    fast: Option<Option<FastHash>>,
    bytes: u64,
    path: BString,
    passed_over: Vec<PassedOver>,
    /// Files of the target that have not been hashed, where links are made.
    later: Vec<Number>,
    buffer: Vec<u8>,
}

/// Finds the content of a file and makes it, or says that it was not located.
pub(super) fn settle<'j>(
    context: &'j Context<'j>,
    elsewhere: &Elsewhere<'j>,
    index: &Index,
    made: &Made<'j>,
    mut lost: Lost<'j>,
) {
    let mut passed_over = Vec::new();
    // What has no plain hash cannot be recognised elsewhere.
    if let Some(id) = lost.entry.fullhash() {
        let mut search = Search {
            context,
            elsewhere,
            index,
            taker: Taker::new(context, elsewhere, made, &lost),
            id,
            fast: None,
            bytes: lost.entry.size(),
            path: lost.dir.relative(&lost.entry.name),
            passed_over: Vec::new(),
            later: Vec::new(),
            buffer: Vec::new(),
        };
        match search.run() {
            Ok(Some((how, from))) => {
                let outcome = how.map_or(Outcome::There, |how| Outcome::Taken(how, &from));
                return elsewhere.tell(&lost.dir, &lost.entry, outcome, &search.passed_over);
            }
            Ok(None) if lost.error.is_some() => match search.assemble() {
                Ok(Some(from)) => {
                    let outcome = Outcome::Taken(How::Assembled, &from);
                    return elsewhere.tell(&lost.dir, &lost.entry, outcome, &search.passed_over);
                }
                Ok(None) => passed_over = search.passed_over,
                Err(error) => return context.report.problem(lost.dir.path_of(&lost.entry.name), error),
            },
            Ok(None) => passed_over = search.passed_over,
            Err(error) => return context.report.problem(lost.dir.path_of(&lost.entry.name), error),
        }
    }
    if lost.error.is_none() {
        match Taker::new(context, elsewhere, made, &lost).write_stored() {
            Ok(()) => return elsewhere.tell(&lost.dir, &lost.entry, Outcome::Store, &passed_over),
            Err(error) if error.is_damage() => lost.error = Some(error),
            Err(error) => return context.report.problem(lost.dir.path_of(&lost.entry.name), error),
        }
    }
    not_located(context, elsewhere, lost, &passed_over);
}

/// What was done, `None` if it was there already, and the path of the source.
type Found = Option<(Option<How>, PathBuf)>;

impl Search<'_, '_> {
    fn run(&mut self) -> Result<Found> {
        let mut group = self.index.group(self.bytes);
        self.later = group.take_postponed();
        let found = self.try_all(&mut group);
        group.postpone(std::mem::take(&mut self.later));
        found
    }

    fn try_all(&mut self, group: &mut Group<'_>) -> Result<Found> {
        if let Some(found) = self.known_candidates(group, false)? {
            return Ok(Some(found));
        }
        while let Some(number) = group.take_namesake(&self.path) {
            if self.is_for_later(number) {
                self.later.push(number);
            } else if !self.is_other(group, number)
                && let Some(found) = self.try_unknown(group, number)?
            {
                return Ok(Some(found));
            }
        }
        let known = self.elsewhere.sources.known;
        if let Some(found) = self.known_places(known.origins(&self.path))? {
            return Ok(Some(found));
        }
        if let Some(found) = self.known_places(known.places(&self.id, self.bytes))? {
            return Ok(Some(found));
        }
        while group.has_sampled()
            && let Some(number) = group.take_sampled(self.fast())
        {
            if let Some(found) = self.hash_unknown(group, number)? {
                return Ok(Some(found));
            }
        }
        while let Some(number) = group.take_any() {
            self.context.progress.check()?;
            if self.is_for_later(number) {
                self.later.push(number);
                continue;
            }
            if let Some(id) = self.recalled(number) {
                group.note(number, id);
                match id == self.id {
                    true => {
                        if let Some(found) = self.known_candidates(group, false)? {
                            return Ok(Some(found));
                        }
                    }
                    false => self.pass_over(self.index.path(number), Why::OtherContent),
                }
                continue;
            }
            if !self.is_other(group, number)
                && let Some(found) = self.hash_unknown(group, number)?
            {
                return Ok(Some(found));
            }
        }
        self.files_of_the_target(group)
    }

    /// Where links are made, these come after everything that can be linked to.
    fn files_of_the_target(&mut self, group: &mut Group<'_>) -> Result<Found> {
        let mut found = self.known_candidates(group, true)?;
        while found.is_none()
            && let Some(number) = self.later.pop()
        {
            found = self.try_unknown(group, number)?;
        }
        Ok(found)
    }

    /// Whether a candidate is one of those.
    fn is_for_later(&self, number: Number) -> bool {
        self.elsewhere.links_files() && self.index.is_in_target(number)
    }

    /// Takes one of those that were hashed to this content; those for later only if `late`.
    fn known_candidates(&mut self, group: &mut Group<'_>, late: bool) -> Result<Found> {
        let mut next = group.first_known(&self.id);
        while let Some(number) = next {
            next = group.known_after(&self.id, number);
            if self.is_for_later(number) && !late {
                continue;
            }
            let opened = self.index.open(number);
            let mode = self.mode(number);
            match self.take(&self.index.path(number), opened, mode)? {
                Ok(how) => return Ok(Some((how, self.index.path(number)))),
                Err(why) => {
                    if !matches!(why, Why::Itself | Why::OtherDevice | Why::Refused(..)) {
                        group.forget(number, &self.id, self.taker.hashed());
                    }
                    self.pass_over(self.index.path(number), why);
                }
            }
        }
        Ok(None)
    }

    /// Takes a candidate that probably is right, which hashes it.
    fn try_unknown(&mut self, group: &mut Group<'_>, number: Number) -> Result<Found> {
        let opened = self.index.open(number);
        let mode = self.mode(number);
        let taken = self.take(&self.index.path(number), opened, mode)?;
        if let Some(id) = self.taker.hashed() {
            group.note(number, id);
        }
        Ok(match taken {
            Ok(how) => Some((how, self.index.path(number))),
            Err(why) => {
                self.pass_over(self.index.path(number), why);
                None
            }
        })
    }

    /// Hashes a candidate, and takes it if it has the content.
    fn hash_unknown(&mut self, group: &mut Group<'_>, number: Number) -> Result<Found> {
        self.context.progress.check()?;
        match self.hash(number) {
            Ok(id) => {
                group.note(number, id);
                if id == self.id {
                    return self.known_candidates(group, false);
                }
            }
            Err(why) => self.pass_over(self.index.path(number), why),
        }
        Ok(None)
    }

    /// What a candidate is known to be without reading it. It is hashed if it is taken.
    fn recalled(&self, number: Number) -> Option<ObjectId> {
        let opened = self.index.open(number).ok()?;
        let known = self.elsewhere.sources.known;
        let id = known.recall(&self.index.path(number), &opened.stat)?;
        (id.algo() == self.id.algo()).then_some(id)
    }

    /// Puts the file together from blocks of the store and of other states of it.
    fn assemble(&mut self) -> Result<Option<PathBuf>> {
        let sources = self.elsewhere.sources;
        let mut kin = self.index.kin(&self.path);
        for path in sources.known.origins(&self.path) {
            if let Ok(opened) = open_absolute_any(&path) {
                kin.push(Kin { path, opened });
            }
        }
        let mut seen = HashSet::new();
        kin.retain(|kin| seen.insert((kin.opened.stat.dev, kin.opened.stat.ino)));
        let anywhere = || self.elsewhere.blocks(self.context);
        match assemble(&mut self.taker, self.context.store, &kin, sources.chunk, &anywhere) {
            Ok(found) => Ok(found),
            Err(Refused::Source(why)) => {
                kin.into_iter().for_each(|kin| self.pass_over(kin.path, why));
                Ok(None)
            }
            Err(Refused::Target(error)) => Err(error),
        }
    }

    fn fast(&mut self) -> Option<FastHash> {
        let known = self.elsewhere.sources.known;
        let ask = || {
            (self.bytes > WHOLE_BYTES_MAX)
                .then(|| known.fast_hash(&self.id))
                .flatten()
        };
        *self.fast.get_or_insert_with(ask)
    }

    /// Whether a few samples tell that a candidate has another content; they are noted.
    fn is_other(&mut self, group: &mut Group<'_>, number: Number) -> bool {
        let Some(fast) = self.fast() else { return false };
        let found = self.index.open(number).and_then(|opened| {
            fasthash::of_parts(self.bytes, |offset, buffer| read_exact_at(&opened.file, buffer, offset))
        });
        match found {
            Ok(found) if found == fast => false,
            Ok(found) => {
                group.note_sampled(number, found);
                self.pass_over(self.index.path(number), Why::OtherContent);
                true
            }
            Err(why) => {
                self.pass_over(self.index.path(number), why);
                true
            }
        }
    }

    /// Tries where the content was seen before.
    fn known_places(&mut self, places: Vec<PathBuf>) -> Result<Found> {
        for path in places {
            if self.passed_over.iter().any(|over| over.path == path) {
                continue;
            }
            self.context.progress.check()?;
            let opened = open_absolute(&path, self.bytes);
            match self.take(&path, opened, self.taker.mode())? {
                Ok(how) => return Ok(Some((how, path))),
                Err(why) => self.pass_over(path, why),
            }
        }
        Ok(None)
    }

    /// Files of the target are never linked to: the job may replace them.
    fn mode(&self, number: Number) -> TakeMode {
        match self.index.is_in_target(number) {
            true => TakeMode::Copy,
            false => self.taker.mode(),
        }
    }

    fn take(&mut self, path: &Path, opened: Result<Opened, Why>, mode: TakeMode) -> Result<Result<Option<How>, Why>> {
        let opened = match opened {
            Ok(opened) => opened,
            Err(why) => return Ok(Err(why)),
        };
        let mut note = |why| {
            self.passed_over.push(PassedOver {
                path: path.to_owned(),
                why,
            })
        };
        match self.taker.take(path, &opened, mode, &mut note) {
            Ok(how) => Ok(Ok(how)),
            Err(Refused::Source(why)) => Ok(Err(why)),
            Err(Refused::Target(error)) => Err(error),
        }
    }

    fn hash(&mut self, number: Number) -> Result<ObjectId, Why> {
        let opened = self.index.open(number)?;
        let id = hash_with(
            &opened.file,
            self.bytes,
            self.id.algo(),
            &mut self.buffer,
            &mut |_, _| Ok(()),
        )?;
        if is_unchanged(&opened) {
            Ok(id)
        } else {
            Err(Why::Changed)
        }
    }

    fn pass_over(&mut self, path: PathBuf, why: Why) {
        if self.passed_over.len() < PASSED_OVER_MAX {
            self.passed_over.push(PassedOver { path, why });
        }
    }
}

/// Opens a file by an absolute path on which no link is followed.
fn open_absolute(path: &Path, bytes: u64) -> Result<Opened, Why> {
    let opened = open_absolute_any(path)?;
    match opened.stat.size == bytes {
        true => Ok(opened),
        false => Err(Why::OtherSize(opened.stat.size)),
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Target(error)
    }
}

//! Revisions: the ways to name a snapshot, a tree or an entry (object-format.md, "Revisions").
//!
//! | text | meaning |
//! | --- | --- |
//! | `@` | the newest snapshot of the current line |
//! | `NAME` | a ref: `NAME` itself if it begins with `refs/`, else the first of `refs/snapshots/NAME`, `refs/tags/NAME`, `refs/NAME`, `refs/remotes/NAME` |
//! | `ID` | an id, tagged or not, or a beginning of seven digits or more that only one object has |
//! | `tree:ID`, `snapshot:ID`, content refs, URIs | text forms: see [`crate::object::text`] |
//! | `REF@{N}` | the value that the ref had N changes ago |
//! | `REF@{WHEN}` | the value that the ref had at an instant: see [`super::when`] |
//! | `REV~N`, `REV^N` | the N-th ancestor along first parents; the N-th parent; 1 if no number is given |
//! | `REV^{tree}` | its tree |
//! | `REV:PATH` | an entry below its tree; the tree itself where `PATH` is empty |
//!
//! Forgotten snapshots are passed over, as in listings: a name or an instant means the newest one that is left at or
//! behind its value, `~N` and `^N` count those that are left. An id, and `REF@{N}`, which is about the log, mean what
//! they say.
//!
//! A full id is never taken for a name; a name goes before a beginning of an id. A beginning that several objects have
//! is settled by the use (only snapshots have parents, only snapshots and trees have paths) or is an error that lists
//! them. What an id is says the store; where it is put to use the bytes must be what the use needs.

mod named;
mod parse;

use std::cell::OnceCell;
use std::ops::ControlFlow;

use bstr::{BStr, ByteSlice};

pub use self::named::Named;

use crate::error::{Error, Result};
use crate::object::text::{TextRef, Uri, UriTarget, quote_name};
use crate::object::tree::{Node, check_name, lookup};
use crate::object::{ContentRef, Entry, HashAlgo, IdPrefix, Indirect, ObjectId, ObjectKind, ObjectSource, Snapshot};
use crate::refs::revision::parse::{Suffix, number, split_path, split_suffixes};
use crate::refs::when::parse_when;
use crate::refs::{FORGOTTEN, Forgotten, HistoryEntry, candidates, line_ref, short_name};
use crate::time::Timestamp;

/// Candidates that an ambiguous id lists at most.
const CANDIDATES_MAX: usize = 64;

/// What revisions are looked up in.
pub trait RevisionSource {
    /// The value of a ref by its full name.
    fn ref_value(&self, name: &str) -> Result<Option<ObjectId>>;
    /// Shows what a ref went through, newest first, until `visit` breaks.
    fn walk_history(&self, name: &str, visit: &mut dyn FnMut(HistoryEntry) -> ControlFlow<()>) -> Result<()>;
    /// Ids that begin so: at most `limit`.
    fn find_prefix(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<ObjectId>>;
    /// What an object was stored as.
    fn kind_of(&self, id: &ObjectId) -> Result<Option<ObjectKind>>;
    /// The objects.
    fn objects(&self) -> &dyn ObjectSource;
    /// The snapshots that are forgotten.
    fn forgotten(&self) -> Result<Forgotten>;
}

/// What a revision depends on beside the repository.
#[derive(Clone, Debug)]
pub struct RevisionContext {
    /// The current line, as `core.line` gives it.
    pub line: String,
    /// The time now, in the zone that times are read in.
    pub now: jiff::Zoned,
    /// The hash that ids without a tag are of.
    pub algo: HashAlgo,
}

/// A resolved revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// What it names.
    pub named: Named,
    /// The ref that it began with, by its full name.
    pub ref_name: Option<String>,
}

/// Resolves a revision.
pub fn resolve(source: &dyn RevisionSource, context: &RevisionContext, text: &[u8]) -> Result<Revision> {
    let resolver = Resolver {
        source,
        context,
        text: text.as_bstr(),
        forgotten: OnceCell::new(),
    };
    if let Ok(whole) = std::str::from_utf8(text) {
        if Uri::has_scheme(whole) {
            return resolver.uri(&whole.parse()?);
        }
        match whole.parse::<TextRef>() {
            Ok(TextRef::Id(_)) | Err(_) => {}
            Ok(named) => return resolver.text_form(&named),
        }
    }
    resolver.revision()
}

/// Resolves a revision that must name a snapshot.
pub fn resolve_snapshot(
    source: &dyn RevisionSource,
    context: &RevisionContext,
    text: &[u8],
) -> Result<(ObjectId, Snapshot)> {
    match resolve(source, context, text)?.named {
        Named::Snapshot(id) => Ok((id, read_snapshot(source.objects(), &id)?)),
        _ => Err(Error::invalid("revision", text.as_bstr(), "expected a snapshot")),
    }
}

/// Reads a snapshot.
pub fn read_snapshot<S: ObjectSource + ?Sized>(objects: &S, id: &ObjectId) -> Result<Snapshot> {
    let bytes = objects.object(ObjectKind::Snapshot, id)?;
    Snapshot::decode(&bytes).map_err(|source| Error::BadObject {
        id: *id,
        source: Box::new(source),
    })
}

/// The entry at `path` below `tree`; none for the tree itself.
pub fn entry_at(objects: &dyn ObjectSource, tree: ObjectId, path: &[u8]) -> Result<Option<Entry>> {
    let trimmed = path.trim_end_with(|c| c == '/');
    if trimmed.is_empty() {
        return Ok(None);
    }
    let not_found = |what| Error::NotFound {
        what,
        name: quote_name(path).into_owned(),
    };
    let mut at = tree;
    let mut names = trimmed.split_str("/").peekable();
    while let Some(name) = names.next() {
        check_name(name, "path")?;
        let entry = lookup(objects, at, name)?.ok_or_else(|| not_found("path"))?;
        let last = names.peek().is_none();
        match &entry.node {
            Node::Directory { tree } if !last => at = *tree,
            Node::Directory { .. } => return Ok(Some(entry)),
            _ if last && trimmed.len() == path.len() => return Ok(Some(entry)),
            _ => return Err(not_found("directory on the path")),
        }
    }
    Ok(None)
}

struct Resolver<'a> {
    source: &'a dyn RevisionSource,
    context: &'a RevisionContext,
    text: &'a BStr,
    /// Read when it is first asked for.
    forgotten: OnceCell<Forgotten>,
}

impl<'a> Resolver<'a> {
    fn invalid(&self, problem: impl ToString) -> Error {
        Error::invalid("revision", self.text, problem)
    }

    fn revision(&self) -> Result<Revision> {
        let (rev, path) = split_path(self.text);
        let rev = std::str::from_utf8(rev).map_err(|_| self.invalid("expected UTF-8 in front of the path"))?;
        let (base, suffixes) = split_suffixes(rev).map_err(|problem| self.invalid(problem))?;
        let needs_snapshot = suffixes.iter().any(|suffix| !matches!(suffix, Suffix::At(_)));
        let typed = base
            .parse::<TextRef>()
            .ok()
            .filter(|text| !matches!(text, TextRef::Id(_)));
        let (mut id, ref_name) = match typed.as_ref().and_then(TextRef::id) {
            Some(id) => (id, None),
            None => self.base(base, &suffixes, needs_snapshot, path.is_some())?,
        };
        let mut peeled = match typed {
            Some(TextRef::Tree(id)) => Some(Named::Tree(id)),
            _ => None,
        };
        for suffix in suffixes {
            if peeled.is_some() {
                return Err(self.invalid("expected nothing behind ^{…}"));
            }
            match suffix {
                Suffix::At(_) => {}
                Suffix::Ancestor(count) => {
                    for done in 0..count {
                        id = self.parent(&id, 1, done + 1)?;
                    }
                }
                Suffix::Parent(0) => drop(read_snapshot(self.source.objects(), &id)?),
                Suffix::Parent(number) => id = self.parent(&id, number, number)?,
                Suffix::Peel("tree") => peeled = Some(Named::Tree(self.tree_of(&self.kind(id)?)?)),
                Suffix::Peel("snapshot") => {
                    read_snapshot(self.source.objects(), &id)?;
                    peeled = Some(Named::Snapshot(id));
                }
                Suffix::Peel(_) => return Err(self.invalid("expected ^{tree} or ^{snapshot}")),
            }
        }
        let named = match peeled {
            Some(named) => named,
            None if ref_name.is_some() || needs_snapshot => self.kind_by_use(id)?,
            None => self.kind(id)?,
        };
        let named = match path {
            None => named,
            Some(path) => self.below(&named, path)?,
        };
        Ok(Revision { named, ref_name })
    }

    fn below(&self, named: &Named, path: &[u8]) -> Result<Named> {
        let tree = self.tree_of(named)?;
        Ok(match entry_at(self.source.objects(), tree, path)? {
            None => Named::Tree(tree),
            Some(entry) => Named::Entry {
                entry: Box::new(entry),
                path: path.trim_end_with(|c| c == '/').into(),
            },
        })
    }

    /// The id that a name or an id stands for, with `@{…}` applied.
    fn base(
        &self,
        base: &str,
        suffixes: &[Suffix<'_>],
        needs_snapshot: bool,
        needs_tree: bool,
    ) -> Result<(ObjectId, Option<String>)> {
        let at = suffixes.iter().find_map(|suffix| match suffix {
            Suffix::At(when) => Some(*when),
            _ => None,
        });
        let names = match base {
            "@" | "" => vec![line_ref(&self.context.line)?],
            _ if self.full_id(base).is_some() => Vec::new(),
            _ => candidates(base),
        };
        for name in &names {
            if let Some(when) = at {
                if let Some(id) = self.value_at(name, when)? {
                    return Ok((id, Some(name.clone())));
                }
            } else if let Some(id) = self.source.ref_value(name)? {
                return Ok((self.left_of(name, id)?, Some(name.clone())));
            }
        }
        if matches!(base, "@" | "") {
            return Err(Error::NotFound {
                what: "snapshot yet on line",
                name: self.context.line.clone(),
            });
        }
        if at.is_some() {
            return Err(match self.full_id(base) {
                Some(_) => self.invalid("expected a ref in front of @{…}"),
                None => self.not_found(base),
            });
        }
        Ok((self.by_prefix(base, needs_snapshot, needs_tree)?, None))
    }

    fn forgotten(&self) -> Result<&Forgotten> {
        if let Some(forgotten) = self.forgotten.get() {
            return Ok(forgotten);
        }
        let forgotten = self.source.forgotten()?;
        Ok(self.forgotten.get_or_init(|| forgotten))
    }

    /// The newest snapshot at or behind the value of a ref that is not forgotten.
    fn left_of(&self, name: &str, id: ObjectId) -> Result<ObjectId> {
        if name.starts_with(FORGOTTEN) {
            return Ok(id);
        }
        let left = self.forgotten()?.live(self.source.objects(), id)?;
        left.ok_or_else(|| Error::NotFound {
            what: "snapshot left on line",
            name: short_name(name).to_owned(),
        })
    }

    fn not_found(&self, base: &str) -> Error {
        Error::NotFound {
            what: "revision",
            name: base.to_owned(),
        }
    }

    fn full_id(&self, base: &str) -> Option<ObjectId> {
        base.parse::<IdPrefix>().ok()?.full_or(self.context.algo)
    }

    fn by_prefix(&self, base: &str, needs_snapshot: bool, needs_tree: bool) -> Result<ObjectId> {
        if let Some(id) = self.full_id(base) {
            return Ok(id);
        }
        let prefix: IdPrefix = base.parse().map_err(|_| self.not_found(base))?;
        let mut found = self.source.find_prefix(&prefix, CANDIDATES_MAX)?;
        if found.len() > 1 && (needs_snapshot || needs_tree) {
            let mut fitting = Vec::new();
            for id in &found {
                match self.source.kind_of(id)? {
                    Some(ObjectKind::Snapshot) => fitting.push(*id),
                    Some(ObjectKind::Tree) if !needs_snapshot => fitting.push(*id),
                    _ => {}
                }
            }
            if !fitting.is_empty() {
                found = fitting;
            }
        }
        match found.as_slice() {
            [] => Err(self.not_found(base)),
            [id] => Ok(*id),
            _ => Err(Error::Ambiguous {
                prefix: base.to_owned(),
                candidates: found,
            }),
        }
    }

    /// The value that a ref had; none if there is no such ref and never was.
    fn value_at(&self, name: &str, when: &str) -> Result<Option<ObjectId>> {
        let (mut seen, mut oldest) = (0u64, None);
        let mut found = None;
        let is_number = !when.is_empty() && when.bytes().all(|b| b.is_ascii_digit());
        if is_number {
            let count = number(when).ok_or_else(|| self.invalid("expected a smaller number in @{…}"))?;
            self.source.walk_history(name, &mut |entry| {
                let hit = seen == count;
                seen += 1;
                found = if hit { Some(entry.new) } else { None };
                oldest = Some(entry);
                if hit {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            // What was there before the first change that is known.
            if found.is_none() && seen == count {
                found = oldest.as_ref().map(|entry| entry.old);
            }
        } else {
            let time: Timestamp = parse_when(when, &self.context.now)?;
            self.source.walk_history(name, &mut |entry| {
                seen += 1;
                if entry.time <= time {
                    found = Some(entry.new);
                    return ControlFlow::Break(());
                }
                oldest = Some(entry);
                ControlFlow::Continue(())
            })?;
        }
        match found.flatten() {
            Some(id) if is_number => Ok(Some(id)),
            Some(id) => self.left_of(name, id).map(Some),
            None if seen == 0 => Ok(None),
            None => Err(self.no_value(name, when, oldest.as_ref())),
        }
    }

    fn no_value(&self, name: &str, when: &str, oldest: Option<&HistoryEntry>) -> Error {
        let since = oldest.and_then(|entry| jiff::Timestamp::new(entry.time.seconds, 0).ok());
        let since = since.map_or_else(String::new, |time| {
            let local = time.to_zoned(self.context.now.time_zone().clone());
            format!(" (its log goes back to {})", local.strftime("%Y-%m-%d %H:%M:%S"))
        });
        Error::NotFound {
            what: "value",
            name: format!("{name}@{{{when}}}{since}"),
        }
    }

    /// The N-th parent; `step` is how far the revision had come, for the message.
    fn parent(&self, id: &ObjectId, number: u64, step: u64) -> Result<ObjectId> {
        let snapshot = read_snapshot(self.source.objects(), id)?;
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let not_found = |why| Error::NotFound {
            what: "parent",
            name: format!("{} (number {step}: {why})", self.text),
        };
        match snapshot.parents.get(at) {
            None => Err(not_found(format!("{id} has {}", snapshot.parents.len()))),
            Some(parent) => {
                let left = self.forgotten()?.live(self.source.objects(), *parent)?;
                left.ok_or_else(|| not_found(format!("all before {id} are forgotten")))
            }
        }
    }

    /// What an id is, as the store has it.
    fn kind(&self, id: ObjectId) -> Result<Named> {
        match self.source.kind_of(&id)? {
            Some(ObjectKind::Snapshot) => Ok(Named::Snapshot(id)),
            Some(ObjectKind::Tree) => Ok(Named::Tree(id)),
            Some(ObjectKind::Block) => self.content(id, false).map(Named::Content),
            Some(ObjectKind::Indirect) => self.content(id, true).map(Named::Content),
            None => Err(Error::NotFound {
                what: "object",
                name: id.to_string(),
            }),
        }
    }

    /// As [`kind`](Self::kind), for what a ref names: a snapshot or a tree, even if the same bytes were stored first as
    /// the content of a file.
    fn kind_by_use(&self, id: ObjectId) -> Result<Named> {
        let named = self.kind(id)?;
        let objects = self.source.objects();
        Ok(match named {
            Named::Content(_) if read_snapshot(objects, &id).is_ok() => Named::Snapshot(id),
            Named::Content(_) if objects.tree_node(&id).is_ok() => Named::Tree(id),
            named => named,
        })
    }

    /// The tree of what must have one.
    fn tree_of(&self, named: &Named) -> Result<ObjectId> {
        match named {
            Named::Content(ContentRef::Block { id, .. }) => self.kind_by_use(*id)?.tree(self.source.objects()),
            named => named.tree(self.source.objects()),
        }
    }

    /// A whole content ref for the id of its top block.
    fn content(&self, id: ObjectId, indirect: bool) -> Result<ContentRef> {
        if !indirect {
            let bytes = self.source.objects().object(ObjectKind::Block, &id)?.len() as u64;
            return Ok(ContentRef::Block { id, bytes });
        }
        let bytes = self.source.objects().object(ObjectKind::Indirect, &id)?;
        let list = Indirect::decode_any(&bytes).map_err(|source| Error::BadObject {
            id,
            source: Box::new(source),
        })?;
        Ok(ContentRef::Indirect {
            id,
            depth: list.depth,
            bytes: list.len(),
        })
    }

    fn text_form(&self, text: &TextRef) -> Result<Revision> {
        let named = match text {
            TextRef::Id(id) => self.kind(*id)?,
            TextRef::Tree(id) => Named::Tree(*id),
            TextRef::Snapshot(id) => Named::Snapshot(*id),
            TextRef::Content(content) => Named::Content(content.clone()),
        };
        Ok(Revision { named, ref_name: None })
    }

    fn uri(&self, uri: &Uri) -> Result<Revision> {
        if let Some(host) = &uri.host {
            return Err(self.invalid(format_args!(
                "expected a URI of this repository, found one of host {host}"
            )));
        }
        let named = match &uri.target {
            UriTarget::Path { root, path } if path.is_empty() => return self.text_form(root),
            UriTarget::Path { root, path } => self.below(&self.text_form(root)?.named, path)?,
            UriTarget::Short {
                directory: true, id, ..
            } => Named::Tree(*id),
            UriTarget::Short { indirect, id, .. } => Named::Content(self.content(*id, *indirect)?),
        };
        Ok(Revision { named, ref_name: None })
    }
}

#[cfg(test)]
mod tests;

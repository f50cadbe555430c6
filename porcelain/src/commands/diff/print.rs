//! Changes as lines, counts, patches and records.

use bstr::{BStr, ByteSlice as _};
use ghost_plumbing::compare::{Change, ChangeKind, Item};
use ghost_plumbing::repository::Repository;
use serde::Serialize;

use super::patch::{self, Contents};
use super::sides::Pair;
use crate::app::App;
use crate::error::Outcome;
use crate::records::PathField;
use crate::ui::Style;
use crate::ui::show;
use crate::ui::size::{Size, counted};

/// Signs of the longest bar of `--stat`.
const BAR_SIGNS_MAX: u64 = 40;

/// How changes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A letter and a path.
    Names,
    /// Counts of lines and bytes.
    Stat,
    /// Changed lines.
    Patch {
        /// Lines around changed ones.
        context: usize,
    },
}

/// Counts by letter.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// Letter A.
    pub added: u64,
    /// Letter D.
    pub deleted: u64,
    /// Letter M.
    pub modified: u64,
    /// Letter T.
    pub type_changed: u64,
    /// Letter R.
    pub moved: u64,
    /// Letter C.
    pub copied: u64,
    /// Letter m.
    pub metadata: u64,
}

impl Totals {
    /// All changes.
    pub fn all(&self) -> u64 {
        self.added + self.deleted + self.modified + self.type_changed + self.moved + self.copied + self.metadata
    }

    /// `2 added, 1 modified`.
    pub fn words(&self) -> String {
        let parts = [
            (self.added, "added"),
            (self.deleted, "deleted"),
            (self.modified, "modified"),
            (self.type_changed, "of another kind"),
            (self.moved, "moved"),
            (self.copied, "copied"),
            (self.metadata, "with other metadata"),
        ];
        let told = parts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
        if words.is_empty() {
            return "nothing changed".to_owned();
        }
        words.join(", ")
    }
}

/// Prints changes and counts them.
pub struct Printer<'a> {
    repository: &'a Repository,
    format: Format,
    /// What was printed.
    pub totals: Totals,
    inserted: u64,
    removed: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "change")]
struct Record {
    #[serde(flatten)]
    path: PathField,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<ItemRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<ItemRecord>,
    fields: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines_inserted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines_deleted: Option<u64>,
}

#[derive(Serialize)]
struct ItemRecord {
    kind: &'static str,
    mode: String,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fullhash: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    changes: u64,
    #[serde(flatten)]
    totals: Totals,
}

impl<'a> Printer<'a> {
    /// Whether the bytes of what changed are read.
    pub fn reads_contents(&self) -> bool {
        self.format != Format::Names
    }

    /// Nothing printed yet.
    pub fn new(repository: &'a Repository, format: Format) -> Self {
        Self {
            repository,
            format,
            totals: Totals::default(),
            inserted: 0,
            removed: 0,
        }
    }

    /// Prints one change of a pair.
    pub fn change(&mut self, app: &mut App, pair: &Pair, change: &Change) -> Outcome {
        *self.counter(change) += 1;
        if app.output.json() {
            return self.record(app, pair, change);
        }
        match self.format {
            Format::Names => name_line(app, change),
            Format::Stat => self.stat_line(app, pair, change),
            Format::Patch { context } => self.patch(app, pair, change, context),
        }
    }

    fn counter(&mut self, change: &Change) -> &mut u64 {
        let totals = &mut self.totals;
        match change.kind {
            ChangeKind::Added => &mut totals.added,
            ChangeKind::Removed => &mut totals.deleted,
            ChangeKind::Modified => &mut totals.modified,
            ChangeKind::TypeChanged => &mut totals.type_changed,
            ChangeKind::Metadata => &mut totals.metadata,
            ChangeKind::Moved { .. } => &mut totals.moved,
            ChangeKind::Copied { .. } => &mut totals.copied,
        }
    }

    fn record(&mut self, app: &mut App, pair: &Pair, change: &Change) -> Outcome {
        let lines = match self.format {
            Format::Names => None,
            _ => match self.contents(pair, change)? {
                Contents::Text(old, new) => Some(patch::counts(&old, &new)),
                _ => None,
            },
        };
        Ok(app.output.record(&Record {
            path: PathField::new(&change.path),
            status: status(change),
            from: origin(change).map(|from| from.to_str_lossy().into_owned()),
            old: change.old.as_ref().map(item_record),
            new: change.new.as_ref().map(item_record),
            fields: change.fields.names().collect(),
            lines_inserted: lines.map(|(inserted, _)| inserted),
            lines_deleted: lines.map(|(_, deleted)| deleted),
        })?)
    }

    /// The contents of a change; none where they are the same.
    fn contents(&self, pair: &Pair, change: &Change) -> ghost_plumbing::Result<Contents> {
        match change.kind {
            ChangeKind::Metadata | ChangeKind::Moved { .. } | ChangeKind::Copied { .. } => Ok(Contents::None),
            _ => patch::contents(self.repository, pair, change),
        }
    }

    fn stat_line(&mut self, app: &mut App, pair: &Pair, change: &Change) -> Outcome {
        let path = shown_path(change);
        let what = match self.contents(pair, change)? {
            Contents::Text(old, new) => {
                let (inserted, deleted) = patch::counts(&old, &new);
                self.inserted += inserted;
                self.removed += deleted;
                let (plus, minus) = bar(inserted, deleted);
                let plus = app.output.paint(Style::Added, plus).to_string();
                let minus = app.output.paint(Style::Deleted, minus).to_string();
                format!("{:>5} {plus}{minus}", inserted + deleted)
            }
            Contents::Binary => {
                let size = |item: &Option<Item>| Size(item.as_ref().map_or(0, Item::size)).to_string();
                format!("  Bin {} -> {}", size(&change.old), size(&change.new))
            }
            Contents::None => format!("    0 {}", status(change)),
        };
        Ok(app.output.line(format_args!(" {path:<50} |{what}"))?)
    }

    fn patch(&mut self, app: &mut App, pair: &Pair, change: &Change, context: usize) -> Outcome {
        let path = show::bytes(&change.path);
        let from = origin(change).map_or_else(|| path.clone(), |from| show::bytes(from));
        let heading = format!("diff {} {}", letter(change).0, shown_path(change));
        let heading = app.output.paint(Style::Bold, heading).to_string();
        app.output.line(heading)?;
        for note in mode_notes(change) {
            app.output.line(note)?;
        }
        match self.contents(pair, change)? {
            Contents::None => {}
            Contents::Binary => app
                .output
                .line(format_args!("Binary files a/{from} and b/{path} differ"))?,
            Contents::Text(old, new) => {
                let hunks = patch::hunks(&old, &new, context);
                if !hunks.is_empty() {
                    let side = |there: bool, name: String| if there { name } else { "/dev/null".to_owned() };
                    let (old, new) = (change.old.is_some(), change.new.is_some());
                    app.output
                        .line(format_args!("--- {}", side(old, format!("a/{from}"))))?;
                    app.output
                        .line(format_args!("+++ {}", side(new, format!("b/{path}"))))?;
                    colored(app, &hunks)?;
                }
            }
        }
        Ok(())
    }

    /// Prints what stands at the end.
    pub fn finish(&self, app: &mut App, command: &'static str) -> Outcome {
        if app.output.json() {
            return Ok(app.output.record(&Summary {
                command,
                changes: self.totals.all(),
                totals: self.totals,
            })?);
        }
        if self.format == Format::Stat && self.totals.all() > 0 {
            let changes = counted(self.totals.all(), "entry changed", "entries changed");
            let inserted = counted(self.inserted, "insertion", "insertions");
            let deleted = counted(self.removed, "deletion", "deletions");
            app.output
                .line(format_args!(" {changes}, {inserted}(+), {deleted}(-)"))?;
        }
        Ok(())
    }
}

fn item_record(item: &Item) -> ItemRecord {
    ItemRecord {
        kind: item.kind().name(),
        mode: format!("{:06o}", item.st_mode()),
        size_bytes: item.size(),
        fullhash: item.fullhash().map(|id| id.to_string()),
    }
}

/// Letter and colour.
fn letter(change: &Change) -> (char, Style) {
    match change.kind {
        ChangeKind::Added => ('A', Style::Added),
        ChangeKind::Removed => ('D', Style::Deleted),
        ChangeKind::Modified => ('M', Style::Changed),
        ChangeKind::TypeChanged => ('T', Style::Changed),
        ChangeKind::Metadata => ('m', Style::Dim),
        ChangeKind::Moved { .. } => ('R', Style::Hint),
        ChangeKind::Copied { .. } => ('C', Style::Hint),
    }
}

fn status(change: &Change) -> &'static str {
    match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "deleted",
        ChangeKind::Modified => "modified",
        ChangeKind::TypeChanged => "type_changed",
        ChangeKind::Metadata => "metadata",
        ChangeKind::Moved { .. } => "moved",
        ChangeKind::Copied { .. } => "copied",
    }
}

fn origin(change: &Change) -> Option<&BStr> {
    match &change.kind {
        ChangeKind::Moved { from } | ChangeKind::Copied { from } => Some(from.as_bstr()),
        _ => None,
    }
}

fn shown_path(change: &Change) -> String {
    let path = show::bytes(&change.path);
    match origin(change) {
        Some(from) => format!("{} => {path}", show::bytes(from)),
        None => path,
    }
}

fn name_line(app: &mut App, change: &Change) -> Outcome {
    let (letter, style) = letter(change);
    let letter = app.output.paint(style, letter).to_string();
    let fields: Vec<&str> = change.fields.names().collect();
    let note = match change.kind {
        ChangeKind::Metadata => format!("  ({})", fields.join(", ")),
        _ => String::new(),
    };
    Ok(app.output.line(format_args!("{letter} {}{note}", shown_path(change)))?)
}

/// What of a change no line of text shows.
fn mode_notes(change: &Change) -> Vec<String> {
    let mode = |item: &Item| format!("{:06o}", item.st_mode());
    match (&change.old, &change.new) {
        (None, Some(new)) => vec![format!("new mode {}", mode(new))],
        (Some(old), None) => vec![format!("deleted mode {}", mode(old))],
        (Some(old), Some(new)) if old.st_mode() != new.st_mode() => {
            vec![format!("old mode {}", mode(old)), format!("new mode {}", mode(new))]
        }
        (Some(_), Some(_)) if change.kind == ChangeKind::Metadata => {
            let fields: Vec<&str> = change.fields.names().collect();
            vec![format!("other {}", fields.join(", "))]
        }
        _ => Vec::new(),
    }
}

/// Signs for `--stat`, as many as lines where they fit.
fn bar(inserted: u64, deleted: u64) -> (String, String) {
    let all = inserted + deleted;
    let scaled = |count: u64| match all > BAR_SIGNS_MAX {
        true if count > 0 => (count * BAR_SIGNS_MAX / all).max(1),
        _ => count,
    };
    let signs = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or_default());
    (signs("+", scaled(inserted)), signs("-", scaled(deleted)))
}

/// Hunks with colours by line.
fn colored(app: &mut App, hunks: &[u8]) -> Outcome {
    if !app.output.manner().color {
        return Ok(app.output.bytes(hunks)?);
    }
    for line in hunks.lines() {
        let style = match line.first() {
            Some(b'+') => Style::Added,
            Some(b'-') => Style::Deleted,
            Some(b'@') => Style::Changed,
            _ => Style::Plain,
        };
        // Colours are for terminals, and there lines of files must not steer.
        let painted = app.output.paint(style, show::line(line)).to_string();
        app.output.line(painted)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fit() {
        assert_eq!(bar(2, 1), ("++".to_owned(), "-".to_owned()));
        let (plus, minus) = bar(10_000, 1);
        assert_eq!((plus.len(), minus.len()), (39, 1));
    }

    #[test]
    fn totals_in_words() {
        let totals = Totals {
            added: 2,
            metadata: 1,
            ..Totals::default()
        };
        assert_eq!(totals.words(), "2 added, 1 with other metadata");
        assert_eq!(totals.all(), 3);
    }
}

//! `ghost diff-tree`.

use std::ffi::OsString;

use bstr::{BString, ByteSlice};
use clap::Args;
use ghost_plumbing::compare::{Change, ChangeKind, Fields, Item, Options, Side, compare, find_moves};
use ghost_plumbing::object::Node;
use serde::Serialize;

use crate::context::{CommandResult, Context, Outcome};
use crate::entry_json::JsonEntry;
use crate::entry_line::EntryLine;
use crate::output::{JsonPath, Termination, inexact_hex, json_line, put};

/// Compare two trees
///
/// Each difference is one line: `:OLDMODE NEWMODE OLDREF NEWREF STATUS TAB PATH`, with zeros and `-` for a side that is
/// not there. STATUS is A added, D deleted, M other content, T other kind, P other metadata alone; with --find-moves
/// also R moved and C copied, with the old path and a tab in front of the new one. Where metadata differs, the word
/// fields=NAME,... follows STATUS. With -z a NUL stands for each tab.
#[derive(Args, Clone, Debug)]
pub struct DiffTree {
    /// Go into folders
    #[arg(short)]
    recurse: bool,
    /// Going into folders, list also those that differ only in what is in them
    #[arg(short = 't')]
    trees: bool,
    /// Show paths only
    #[arg(long, conflicts_with = "name_status")]
    name_only: bool,
    /// Show STATUS and paths only
    #[arg(long)]
    name_status: bool,
    /// Find files that were moved or copied
    #[arg(long, short = 'M')]
    find_moves: bool,
    /// Compare contents only
    #[arg(long)]
    no_metadata: bool,
    /// End each path with NUL, and do not quote it
    #[arg(short = 'z')]
    nul: bool,
    /// The old tree: an id, a revision, or REV:PATH
    #[arg(value_name = "OLD")]
    old: OsString,
    /// The new tree
    #[arg(value_name = "NEW")]
    new: OsString,
}

#[derive(Serialize)]
struct JsonChange {
    #[serde(flatten)]
    path: JsonPath,
    status: char,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_hex: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<JsonEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<JsonEntry>,
}

impl DiffTree {
    /// Prints the differences in path order.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let repository = ctx.repository()?;
        let (old, new) = (ctx.tree(&self.old)?, ctx.tree(&self.new)?);
        let source = &repository.store;
        let options = Options {
            recurse: self.recurse,
            expand: true,
            parents: self.trees,
            fields: if self.no_metadata { Fields::NONE } else { Fields::ALL },
        };
        let changes = compare(
            Side::Stored { source, tree: old },
            Side::Stored { source, tree: new },
            options,
        )?;
        if self.find_moves {
            let changes = changes.collect::<ghost_plumbing::Result<Vec<_>>>()?;
            for change in find_moves(changes, &mut |_| Ok(None))? {
                self.print(ctx, change)?;
            }
        } else {
            for change in changes {
                self.print(ctx, change?)?;
            }
        }
        Ok(Outcome::Done)
    }

    fn print(&self, ctx: &mut Context<'_>, change: Change) -> CommandResult<()> {
        if ctx.json {
            return Ok(json_line(ctx.out, "change", &json(change))?);
        }
        let mut line = Vec::new();
        self.write(&mut line, &change);
        Ok(ctx.out.write_all(&line)?)
    }

    /// Appends one line, with its end.
    fn write(&self, line: &mut Vec<u8>, change: &Change) {
        let end = Termination::from_flag(self.nul);
        let tab = if self.nul { 0 } else { b'\t' };
        let (status, from) = status(&change.kind);
        if !self.name_only {
            if !self.name_status {
                let mode = |item: &Option<Item>| item.as_ref().map_or(0, Item::st_mode);
                put(
                    line,
                    format_args!(":{:06o} {:06o} ", mode(&change.old), mode(&change.new)),
                );
                put(
                    line,
                    format_args!("{} {} ", reference(&change.old), reference(&change.new)),
                );
            }
            line.push(status);
            if !self.name_status && !change.fields.is_empty() {
                put(line, format_args!(" fields={}", change.fields));
            }
            line.push(tab);
            if let Some(from) = from {
                line.extend_from_slice(&end.name(from));
                line.push(tab);
            }
        }
        line.extend_from_slice(&end.name(&change.path));
        line.push(end.byte());
    }
}

fn status(kind: &ChangeKind) -> (u8, Option<&BString>) {
    match kind {
        ChangeKind::Added => (b'A', None),
        ChangeKind::Removed => (b'D', None),
        ChangeKind::Modified => (b'M', None),
        ChangeKind::TypeChanged => (b'T', None),
        ChangeKind::Metadata => (b'P', None),
        ChangeKind::Moved { from } => (b'R', Some(from)),
        ChangeKind::Copied { from } => (b'C', Some(from)),
    }
}

fn reference(item: &Option<Item>) -> String {
    match item.as_ref().and_then(Item::node) {
        Some(Node::File { content, .. }) => content.to_string(),
        Some(Node::Directory { tree }) => format!("tree:{tree}"),
        _ => "-".to_owned(),
    }
}

fn json(change: Change) -> JsonChange {
    let (status, from) = status(&change.kind);
    let from_hex = from.and_then(|from| inexact_hex(from));
    let from = from.map(|from| from.to_str_lossy().into_owned());
    let entry = |path: &[u8], item: Option<Item>| {
        let item = item?;
        let line = EntryLine {
            path: path.into(),
            kind: item.kind(),
            node: item.node().cloned(),
            meta: item.meta,
            inode: None,
        };
        Some(JsonEntry::from(&line))
    };
    let old_path = match &change.kind {
        ChangeKind::Moved { from } | ChangeKind::Copied { from } => from.clone(),
        _ => change.path.clone(),
    };
    JsonChange {
        path: JsonPath::new(&change.path),
        status: char::from(status),
        from,
        from_hex,
        fields: change.fields.names().collect(),
        old: entry(&old_path, change.old),
        new: entry(&change.path, change.new),
    }
}

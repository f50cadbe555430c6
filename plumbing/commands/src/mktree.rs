//! `ghost mktree`.
//!
//! 1. All lines are read and sorted by path, so that a folder stands before what is in it.
//! 2. Lines of one inode become a hard-link group if there are two or more of them.
//! 3. One pass builds the trees: a stack has the open folders, each with a builder. A folder is closed, and becomes an
//!    entry of the one above, when a path comes that is not in it.

use std::collections::HashMap;
use std::io::BufRead;

use bstr::{BString, ByteSlice};
use clap::Args;
use ghost_plumbing::object::codec::Reader;
use ghost_plumbing::object::tree::{check_name, compare_paths, link_group};
use ghost_plumbing::object::{Entry, Metadata, Node, ObjectId, TreeBuilder};
use ghost_plumbing::store::{Packer, Store};
use ghost_plumbing::{Error, Result};

use crate::context::{CommandError, CommandResult, Context, Outcome};
use crate::entry_line::{EntryLine, Inode};
use crate::output::{Termination, read_record};

/// Permissions of a folder that no line describes.
const IMPLIED_MODE: u32 = 0o755;

/// Make a tree of the lines that ls-tree prints, and print its id
///
/// Lines come in any order. Paths with slashes make nested trees; a folder that no line describes gets mode 755 and no
/// other metadata. A folder with lines below it is made of these, whatever its REF says. Lines with inode= become a
/// hard-link group where two or more have the same.
#[derive(Args, Clone, Debug)]
pub struct Mktree {
    /// Records end with NUL, and paths are not quoted
    #[arg(short = 'z')]
    nul: bool,
    /// Do not ask that what the lines refer to is in the repository
    #[arg(long)]
    missing: bool,
}

impl Mktree {
    /// Reads standard input and prints one id.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let lines = read_lines(ctx.input, Termination::from_flag(self.nul))?;
        let repository = ctx.writable()?;
        let store = &repository.store;
        // Whoever printed the lines may have stored what they name while they were read.
        store.refresh()?;
        if !self.missing {
            lines.iter().try_for_each(|line| check_present(store, line))?;
        }
        let writer = store.writer()?;
        let mut packer = writer.packer();
        let tree = build(lines, &mut packer)?;
        packer.flush()?;
        drop(packer);
        writer.commit()?;
        ctx.print_id("tree", &tree)?;
        Ok(Outcome::Done)
    }
}

fn read_lines(input: &mut dyn BufRead, end: Termination) -> CommandResult<Vec<EntryLine>> {
    let mut lines = Vec::new();
    let mut record = Vec::new();
    let mut number = 0;
    while read_record(input, end, &mut record).map_err(Error::io("read", "standard input"))? {
        number += 1;
        let bad = |problem| CommandError::Input {
            input: "entry",
            number,
            problem,
        };
        let line = EntryLine::parse(&record, end).map_err(bad)?;
        lines.push(line);
    }
    Ok(lines)
}

fn check_present(store: &Store, line: &EntryLine) -> Result<()> {
    let (id, needed_as) = match &line.node {
        Some(Node::File { content, .. }) => match content.object() {
            Some((kind, id)) => (id, kind.name()),
            None => return Ok(()),
        },
        Some(Node::Directory { tree }) => (*tree, "tree"),
        _ => return Ok(()),
    };
    if store.contains(&id)? {
        Ok(())
    } else {
        Err(Error::Missing { id, needed_as })
    }
}

/// Stores the trees that the lines describe.
pub fn build(mut lines: Vec<EntryLine>, packer: &mut Packer<'_>) -> Result<ObjectId> {
    lines.sort_by(|a, b| compare_paths(&a.path, &b.path));
    group_links(&mut lines);
    let mut stack = Stack::new(packer);
    for line in lines {
        stack.add(line)?;
    }
    stack.finish()
}

/// Replaces inodes by hard-link groups. The lines are in path order.
fn group_links(lines: &mut [EntryLine]) {
    let mut names: HashMap<Inode, (BString, u64)> = HashMap::new();
    for line in lines.iter() {
        if let Some(inode) = line.inode {
            names.entry(inode).or_insert_with(|| (line.path.clone(), 0)).1 += 1;
        }
    }
    for line in lines.iter_mut() {
        let group = line.inode.take().and_then(|inode| names.get(&inode));
        if let Some((first, 2..)) = group {
            line.meta.links = Some(link_group(first));
        }
    }
}

/// A folder that is being built.
struct Open {
    /// Its path with a slash behind, and nothing for the top.
    path: BString,
    builder: TreeBuilder,
    /// What it is in the folder above; its tree is not yet known.
    name: BString,
    meta: Metadata,
    /// The tree its line gave, which stands if no line is below it.
    given: Option<ObjectId>,
    is_empty: bool,
}

impl Open {
    fn new(path: BString, name: &[u8], meta: Metadata, given: Option<ObjectId>) -> Self {
        Self {
            path,
            builder: TreeBuilder::new(),
            name: name.into(),
            meta,
            given,
            is_empty: true,
        }
    }
}

/// The folders from the top to the one that the last line is in.
struct Stack<'p, 'w> {
    top: Open,
    below: Vec<Open>,
    packer: &'p mut Packer<'w>,
}

impl<'p, 'w> Stack<'p, 'w> {
    fn new(packer: &'p mut Packer<'w>) -> Self {
        Self {
            top: Open::new(BString::default(), b"", Metadata::default(), None),
            below: Vec::new(),
            packer,
        }
    }

    fn last(&mut self) -> &mut Open {
        self.below.last_mut().unwrap_or(&mut self.top)
    }

    fn add(&mut self, line: EntryLine) -> Result<()> {
        while !line.path.starts_with(&self.last().path) {
            self.close()?;
        }
        let open = self.last().path.len();
        let mut rest = &line.path[open..];
        // Folders on the way that no line describes.
        while let Some((name, more)) = rest.split_once_str(b"/") {
            let meta = Metadata {
                mode: IMPLIED_MODE,
                ..Metadata::default()
            };
            self.open(name, meta, None)?;
            rest = more;
        }
        match line.node {
            None => self.open(rest, line.meta, None),
            Some(Node::Directory { tree }) => self.open(rest, line.meta, Some(tree)),
            Some(node) => {
                let name = rest.into();
                self.push(Entry {
                    name,
                    meta: line.meta,
                    node,
                })
            }
        }
    }

    fn open(&mut self, name: &[u8], meta: Metadata, given: Option<ObjectId>) -> Result<()> {
        check_name(name, "the input")?;
        let above = self.last();
        above.is_empty = false;
        let mut path = above.path.clone();
        path.extend_from_slice(name);
        path.push(b'/');
        self.below.push(Open::new(path, name, meta, given));
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(open) = self.below.pop() else {
            return Ok(());
        };
        let tree = match open.given {
            Some(tree) if open.is_empty => tree,
            _ => open
                .builder
                .finish(&mut |kind, bytes| Ok(self.packer.put(kind, &bytes)?.0))?,
        };
        self.push(Entry {
            name: open.name,
            meta: open.meta,
            node: Node::Directory { tree },
        })
    }

    fn push(&mut self, entry: Entry) -> Result<()> {
        // A line can say what no entry may be: the decoder knows all rules.
        let mut encoded = Vec::new();
        entry.encode(&mut encoded);
        Entry::decode(&mut Reader::new("entry", &encoded))?;
        let packer = &mut *self.packer;
        let open = self.below.last_mut().unwrap_or(&mut self.top);
        open.is_empty = false;
        open.builder
            .push(&entry, &mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))
    }

    fn finish(mut self) -> Result<ObjectId> {
        while !self.below.is_empty() {
            self.close()?;
        }
        let packer = self.packer;
        self.top
            .builder
            .finish(&mut |kind, bytes| Ok(packer.put(kind, &bytes)?.0))
    }
}

//! `ghost mksnapshot`.

use std::ffi::OsString;

use clap::Args;
use ghost_plumbing::object::tree::Entries;
use ghost_plumbing::object::{Node, ObjectId, ObjectKind, ObjectSource, Snapshot, Totals};

use crate::context::{CommandResult, Context, Outcome};

/// Make a snapshot of a tree and print its id
///
/// No ref names it yet: see `ghost update-ref`.
#[derive(Args, Clone, Debug)]
pub struct Mksnapshot {
    /// The tree: an id, a revision, or REV:PATH
    tree: OsString,
    /// A snapshot that the new one follows; the main one first
    #[arg(short, value_name = "REV")]
    parent: Vec<String>,
    /// Why it is made
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// A label; may be given again
    #[arg(long)]
    tag: Vec<String>,
    /// When it was taken: a time such as 2026-11-01T12:00, or @SECONDS since 1970 [default: now]
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
}

impl Mksnapshot {
    /// Stores the snapshot and prints its id.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let repository = ctx.writable()?;
        let store = &repository.store;
        let tree = ctx.tree(&self.tree)?;
        let parents = self.parent.iter().map(|rev| ctx.snapshot(rev));
        let parents = parents.collect::<CommandResult<Vec<_>>>()?;
        let time = self.time.as_deref().map_or(Ok(ctx.now), |text| ctx.parse_time(text))?;
        let mut tags = self.tag;
        tags.sort();
        tags.dedup();
        let snapshot = Snapshot {
            tree,
            parents,
            time,
            offset_minutes: ctx.offset_minutes(time),
            host: ctx.host.clone(),
            author: ctx.author.clone(),
            message: self.message,
            tags,
            roots: Vec::new(),
            rules: Vec::new(),
            totals: count(store, tree)?,
            extra: Vec::new(),
        };
        let encoded = snapshot.encode();
        // What is over a limit is refused here, before it is stored.
        Snapshot::decode(&encoded)?;
        let writer = store.writer()?;
        let mut packer = writer.packer();
        let (id, _) = packer.put(ObjectKind::Snapshot, &encoded)?;
        packer.flush()?;
        drop(packer);
        writer.commit()?;
        ctx.print_id("snapshot_id", &id)?;
        Ok(Outcome::Done)
    }
}

/// Counts what is in a tree.
fn count(source: &dyn ObjectSource, tree: ObjectId) -> CommandResult<Totals> {
    let mut totals = Totals::default();
    let mut levels = vec![Entries::new(source, tree)];
    while let Some(entries) = levels.last_mut() {
        let Some(entry) = entries.next().transpose()? else {
            levels.pop();
            continue;
        };
        match &entry.node {
            Node::File { content, .. } => {
                totals.files += 1;
                totals.bytes = totals.bytes.saturating_add(content.len());
            }
            Node::Directory { tree } => {
                totals.directories += 1;
                levels.push(Entries::new(source, *tree));
            }
            _ => totals.others += 1,
        }
    }
    Ok(totals)
}

//! The side that answers.
//!
//! One [`serve`] is one client. Each request runs in a thread of its own on its channel; what it fails with is sent
//! there, and the connection goes on. A server never starts anything: it opens no channel, follows no name in what it
//! receives and runs no program; hooks are the caller's.

mod fetch;
mod push;
pub mod tunnel;

use std::sync::Arc;

use super::message::{self, Have, Listing, REPOSITORY, decode_ids};
use super::pack::read::PackLimits;
use super::policy::Policy;
use super::wire::failure::json;
use super::wire::{Connection, Request};
use crate::error::Result;
use crate::object::ObjectId;
use crate::progress::Progress;
use crate::refs::{RefChange, line_ref};
use crate::remote::check::Reachable;
use crate::repository::{Repository, uuid_text};

/// A repository that is served, and how.
#[derive(Debug)]
pub struct Export {
    /// Its name, for people.
    pub name: String,
    /// The repository.
    pub repository: Repository,
    /// The rules.
    pub policy: Policy,
    /// What one push may bring.
    pub limits: PackLimits,
}

/// Finds repositories by the names that clients give.
pub trait Exports: Sync {
    /// Opens the repository of this name, which is not trusted; the empty name is the default one.
    fn open(&self, name: &[u8]) -> Result<Arc<Export>>;

    /// Called before refs are changed, when everything is there and checked. An error stops the push.
    fn pre_receive(&self, _export: &Export, _changes: &[RefChange]) -> Result<()> {
        Ok(())
    }

    /// Called for each ref behind that. An error stops the push.
    fn update(&self, _export: &Export, _change: &RefChange) -> Result<()> {
        Ok(())
    }

    /// Called when it is done.
    fn post_receive(&self, _export: &Export, _changes: &[RefChange]) {}
}

/// What the requests of one client share.
struct Session<'s> {
    exports: &'s dyn Exports,
    export: Arc<Export>,
    /// The repository of the client.
    key: Option<[u8; 16]>,
    progress: &'s Progress,
    /// Connections that this one is within.
    depth: usize,
}

/// Answers one client until it ends the connection. `progress` counts what goes through and may be told to stop.
pub fn serve(connection: &Connection, exports: &dyn Exports, progress: &Progress) -> Result<()> {
    let greeting = connection.peer()?;
    let opened = exports.open(greeting.capability(REPOSITORY).unwrap_or_default());
    let export = opened.inspect_err(|error| {
        connection.refuse(error);
        connection.flush();
    })?;
    let key = greeting.capability(message::KEY).and_then(|key| key.try_into().ok());
    let session = Session {
        exports,
        export,
        key,
        progress,
        depth: 0,
    };
    session.answer_all(connection)
}

/// Where a lazy repository has its blocks from, for those who make a lazy clone of it: `NAME URL`, a line each. Of a command
/// only that it is one: its words may be a secret.
fn blocks_from(repository: &Repository) -> String {
    const COMMAND: &str = "ext::";
    let is_told = repository.is_lazy();
    let remotes = repository.config.remotes().iter().filter(|_| is_told);
    let lines = remotes.map(|(name, url)| match url.starts_with(COMMAND) {
        true => format!("{name} {COMMAND}"),
        false => format!("{name} {url}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Session<'_> {
    /// Answers each request in a thread of its own, until the client ends the connection.
    fn answer_all(&self, connection: &Connection) -> Result<()> {
        std::thread::scope(|threads| {
            while let Some(request) = connection.accept()? {
                threads.spawn(move || self.answer(request));
            }
            Ok(())
        })
    }

    fn answer(&self, request: Request) {
        let Request {
            method,
            arguments,
            channel,
        } = request;
        let answer = match method {
            message::LIST => self.list(&channel),
            message::HAVE => self.have(&channel),
            message::FETCH => self.fetch(&channel),
            message::GET => self.get(&channel),
            message::PUSH => self.push(&channel),
            message::STATUS => {
                // Where nobody listens there is nobody to tell.
                let _ = self.status().and_then(|json| channel.reply_json(json));
                return;
            }
            message::TUNNEL => self.tunnel(&channel, &arguments),
            method => Err(message::unknown_method(method)),
        };
        match answer {
            Ok(payload) => drop(channel.reply(payload)),
            Err(error) => channel.fail(&error),
        }
    }

    fn repository(&self) -> &Repository {
        &self.export.repository
    }

    fn list(&self, channel: &super::wire::Channel) -> Result<Vec<u8>> {
        let repository = self.repository();
        let policy = self.export.policy;
        let held = match self.key {
            Some(key) if !policy.read_only => push::held(repository, &key)?,
            _ => Vec::new(),
        };
        let listing = Listing {
            uuid: repository.format.uuid,
            hash: repository.format.hash,
            is_append_only: policy.append_only,
            is_read_only: policy.read_only,
            // Where blocks are elsewhere, so may be what others are made from.
            knows_deltas: repository.store.allows_deltas() && !repository.is_lazy(),
            sequence: repository.refs.sequence()?.map_or(0, |sequence| sequence.0),
            line: line_ref(&repository.settings().core_line)?,
            refs: repository.refs.list("refs/")?,
            held,
        };
        message::send(channel, &listing.encode())?;
        Ok(Vec::new())
    }

    fn have(&self, channel: &super::wire::Channel) -> Result<Vec<u8>> {
        let ids = decode_ids(&channel.receive_all(message::MESSAGE_MAX)?)?;
        let repository = self.repository();
        let mut reachable = Reachable::of_refs(&repository.refs)?;
        let mut have = |id: &ObjectId| -> Result<Have> {
            if !repository.store.contains(id)? {
                return Ok(Have::Nothing);
            }
            let is_whole = !reachable.is_forgotten(id) && reachable.contains(&repository.store, id)?;
            Ok(if is_whole { Have::Whole } else { Have::Object })
        };
        let answers: Result<Vec<u8>> = ids.iter().map(|id| Ok(have(id)? as u8)).collect();
        message::send(channel, &answers?)?;
        Ok(Vec::new())
    }

    fn status(&self) -> Result<String> {
        let repository = self.repository();
        let refs = repository.refs.list("refs/")?.len();
        let mode = match self.export.policy {
            Policy { read_only: true, .. } => "read-only",
            Policy { append_only: true, .. } => "append-only",
            _ => "read-write",
        };
        Ok(json(&[
            ("name", &self.export.name),
            ("version", env!("CARGO_PKG_VERSION")),
            ("uuid", &uuid_text(&repository.format.uuid)),
            ("hash", repository.format.hash.name()),
            ("mode", mode),
            ("lazy", if repository.is_lazy() { "yes" } else { "no" }),
            ("blocks", &blocks_from(repository)),
            ("refs", &refs.to_string()),
        ]))
    }
}

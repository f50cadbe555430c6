//! What a server lets a client do to its refs.
//!
//! - A ref moves only from the value that the client named: every change compares and swaps.
//! - Without `force`, a line moves only forward: the old snapshot stays behind the new one.
//! - An append-only server lets nobody delete a ref, move one back or aside, or give a name that would be taken for
//!   another: so whatever it has acknowledged is found afterwards by the same name or behind it. What hides snapshots
//!   (`refs/forgotten/`) may come with snapshots that are new themselves, and with no other.
//! - Nobody writes what is this repository's own: the lines of its remotes, and what `repair` noted.

use super::check::follows;
use super::message::PushChange;
use super::wire::Code;
use crate::error::{Error, Result};
use crate::object::{ObjectId, ObjectSource};
use crate::refs::{FORGOTTEN, RefStore, SHORT_NAME_PREFIXES, short_name};

/// The rules of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Nothing is changed.
    pub read_only: bool,
    /// Things are only added.
    pub append_only: bool,
}

impl Policy {
    /// Refuses any push.
    pub fn check_writable(self) -> Result<()> {
        match self.read_only {
            true => Err(forbidden("this server only lets read")),
            false => Ok(()),
        }
    }

    /// Refuses a change by its name and form, before anything is received.
    pub fn check_name(self, refs: &RefStore, change: &PushChange) -> Result<()> {
        let name = change.name.as_str();
        for own in ["refs/remotes/", "refs/damaged/"] {
            if name.starts_with(own) {
                return Err(forbidden(&format!("{name} is not for others to change")));
            }
        }
        if !self.append_only {
            return Ok(());
        }
        if change.new.is_none() {
            return Err(forbidden(&format!(
                "this server only lets add: {name} cannot be deleted"
            )));
        }
        if name.starts_with(FORGOTTEN) {
            return match change.expected {
                None => Ok(()),
                Some(_) => Err(forbidden(&format!("this server only lets add: {name} stays"))),
            };
        }
        let short = short_name(name);
        if refs.get(name)?.is_none() {
            if short.len() >= 7 && short.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(forbidden(&format!(
                    "this server only lets add: \"{short}\" could be taken for an id"
                )));
            }
            for prefix in SHORT_NAME_PREFIXES {
                let other = format!("{prefix}{short}");
                if other != name && refs.get(&other)?.is_some() {
                    return Err(forbidden(&format!(
                        "this server only lets add: {name} would hide {other}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses a change by what its new value is. `is_new` says whether a snapshot came with this push.
    pub fn check_value(
        self,
        objects: &dyn ObjectSource,
        change: &PushChange,
        old: Option<ObjectId>,
        is_new: &dyn Fn(&ObjectId) -> bool,
    ) -> Result<()> {
        let name = change.name.as_str();
        if name.starts_with(FORGOTTEN) {
            return match change.new {
                Some(id) if name.strip_prefix(FORGOTTEN) != Some(id.hex().as_str()) => {
                    Err(forbidden(&format!("{name} must name the snapshot {}", id.hex())))
                }
                Some(id) if self.append_only && !is_new(&id) => Err(forbidden(&format!(
                    "this server only lets add: {id} is not to be forgotten"
                ))),
                _ => Ok(()),
            };
        }
        let (Some(old), Some(new)) = (old, change.new) else {
            return Ok(());
        };
        if old == new || (change.force && !self.append_only) {
            return Ok(());
        }
        // A tag stays what it is.
        let is_tag = name.starts_with("refs/tags/");
        if !is_tag && follows(objects, new, old)? {
            return Ok(());
        }
        let how = match self.append_only {
            true => "this server only lets add",
            false => "fetch and look at it first, or push it by force",
        };
        let problem = if is_tag {
            "is a tag that exists"
        } else {
            "would lose what it has: the lines have parted"
        };
        Err(forbidden(&format!("{name} {problem}; {how}")))
    }
}

/// A refusal by a rule.
pub fn forbidden(text: &str) -> Error {
    Error::Refused {
        code: Code::Forbidden as u16,
        text: text.to_owned(),
        detail: String::new(),
    }
}

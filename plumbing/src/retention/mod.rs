//! What is kept, and what may go.
//!
//! - [`policy`]: the rules that somebody gave
//! - [`mod@decide`]: a list of snapshots and a policy -> what becomes of each, and why; pure
//! - [`plan`]: the snapshots of a repository, with the lines that they are on and what protects them; the changes of refs
//!   that carry decisions out
//! - [`roots`]: what a collection must leave
//!
//! Forgetting marks ([`crate::refs::Forgotten`]); nothing here frees a byte.

pub mod decide;
pub mod plan;
pub mod policy;
pub mod roots;

pub use self::decide::{Candidate, Decision, Fate, Group, GroupKey, Loss, Reason, decide};
pub use self::plan::{Filter, Named, Plan, Scene, Values};
pub use self::policy::{GroupBy, Period, Policy};
pub use self::roots::{Ancestry, KeepLog, LiveSnapshot, Logged, Roots, live_roots};

#[cfg(test)]
mod tests;

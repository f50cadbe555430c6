//! Talking to other repositories: where they are, how they are reached, what they are called here.
//!
//! - [`url`]: what people write
//! - [`names`]: remotes of the configuration
//! - [`named`]: `URL[:REV[:PATH]]` as a text; [`source`]: reading what it names
//! - [`session`]: a connection to one, from ssh's start to its end
//! - [`lazy`]: who gives lazy repositories their blocks
//! - [`local`]: repositories of this machine as a server has them
//! - [`tell`]: what became of refs, for people and scripts

pub mod lazy;
pub mod local;
pub mod named;
pub mod names;
pub mod session;
pub mod source;
pub mod tell;
pub mod url;

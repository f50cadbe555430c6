//! Talking to other repositories: where they are, how they are reached, what they are called here.
//!
//! - [`url`]: what people write
//! - [`names`]: remotes of the configuration
//! - [`session`]: a connection to one, from ssh's start to its end
//! - [`local`]: repositories of this machine as a server has them
//! - [`tell`]: what became of refs, for people and scripts

pub mod local;
pub mod names;
pub mod session;
pub mod tell;
pub mod url;

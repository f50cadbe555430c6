//! Settings that several commands need, in the types of the library.

use ghost_plumbing::repository::config::{Settings, parse_bytes};

use crate::context::{CommandResult, Context};

/// The settings of the repository; the defaults outside of one.
pub fn settings(ctx: &Context<'_>) -> CommandResult<Settings> {
    let repository = ctx.repository_if_any()?;
    Ok(repository.map_or_else(Settings::default, |repository| repository.settings().clone()))
}

/// An argument such as `64KiB`.
pub fn bytes_argument(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("expected a number of bytes such as 65536 or 64KiB, found {text:?}"))
}

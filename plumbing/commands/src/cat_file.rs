//! `ghost cat-file`.

use std::ffi::OsString;
use std::str::FromStr;

use clap::Args;
use ghost_plumbing::content::copy_range;

use crate::context::{CommandError, CommandResult, Context, Outcome};
use crate::output::Unwrapped;

/// Print a whole content, or a range of it
#[derive(Args, Clone, Debug)]
pub struct CatFile {
    /// REV:PATH, the id of a block or indirect block, or a content ref as ls-tree prints it
    content: OsString,
    /// Print LEN bytes from OFF only, fewer where the content ends before; without LEN, all from OFF
    #[arg(long, value_name = "OFF+LEN")]
    range: Option<ByteRange>,
}

/// `OFF+LEN` or `OFF`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ByteRange {
    offset: u64,
    bytes: u64,
}

impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (offset, bytes) = text
            .split_once('+')
            .map_or((text, None), |(offset, bytes)| (offset, Some(bytes)));
        let number = |digits: &str| {
            let problem = |_| format!("expected OFF+LEN or OFF in bytes, found {digits:?}");
            digits.parse::<u64>().map_err(problem)
        };
        Ok(Self {
            offset: number(offset)?,
            bytes: bytes.map_or(Ok(u64::MAX), number)?,
        })
    }
}

impl CatFile {
    /// Streams the bytes; memory is one block.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let repository = ctx.repository()?;
        let content = ctx.content(&self.content)?;
        let range = self.range.unwrap_or(ByteRange {
            offset: 0,
            bytes: u64::MAX,
        });
        if range.offset > content.len() {
            let problem = format!(
                "the range begins at {}, the content has {} bytes",
                range.offset,
                content.len()
            );
            return Err(CommandError::Usage(problem));
        }
        let mut out = Unwrapped::new(ctx.out);
        let result = copy_range(&repository.store, &content, range.offset, range.bytes, &mut out);
        out.end(result)?;
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = |offset, bytes| Ok(ByteRange { offset, bytes });
        assert_eq!("5+7".parse(), range(5, 7));
        assert_eq!("5".parse(), range(5, u64::MAX));
        for bad in ["", "+", "5+", "-1+2", "5+7+9", "a"] {
            assert!(bad.parse::<ByteRange>().is_err(), "{bad}");
        }
    }
}

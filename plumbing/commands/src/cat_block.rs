//! `ghost cat-block`.

use clap::Args;
use ghost_plumbing::Error;

use crate::context::{CommandResult, Context, Outcome};

/// Print the bytes of one stored object, whatever its kind
#[derive(Args, Clone, Debug)]
pub struct CatBlock {
    /// Its id, or a beginning of it of seven digits or more
    id: String,
    /// Print the kind that it was stored as, in place of its bytes
    #[arg(long, short = 't')]
    kind: bool,
}

impl CatBlock {
    /// Prints the bytes as they are, their hash checked.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let repository = ctx.repository()?;
        let id = ctx.object_id(&self.id)?;
        let store = &repository.store;
        let missing = || Error::Missing { id, needed_as: "block" };
        if self.kind {
            let kind = store.kind_of(&id)?.ok_or_else(missing)?;
            writeln!(ctx.out, "{}", kind.name())?;
        } else {
            let bytes = store.get(&id)?.ok_or_else(missing)?;
            ctx.out.write_all(&bytes)?;
        }
        Ok(Outcome::Done)
    }
}

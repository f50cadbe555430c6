//! `ghost index-data`.

use std::collections::BTreeMap;

use clap::Args;

use crate::context::{CommandResult, Context, Outcome};
use crate::output::json_line;

/// Rebuild the index from the data files, and print how many objects it has
///
/// The index only says where objects lie: nothing is lost by throwing it away.
#[derive(Args, Clone, Debug)]
pub struct IndexData {
    /// Change nothing; check the index, and print what is wrong with it
    #[arg(long)]
    check: bool,
}

impl IndexData {
    /// Rebuilds or checks.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        if !self.check {
            let objects = ctx.writable()?.store.rebuild_index()?;
            if ctx.json {
                json_line(ctx.out, "index", &BTreeMap::from([("objects", objects)]))?;
            } else {
                writeln!(ctx.out, "{objects}")?;
            }
            return Ok(Outcome::Done);
        }
        let problems = ctx.repository()?.store.verify_index()?;
        for problem in &problems {
            if ctx.json {
                json_line(ctx.out, "damage", &BTreeMap::from([("problem", problem.to_string())]))?;
            } else {
                writeln!(ctx.out, "damage {problem}")?;
            }
        }
        Ok(if problems.is_empty() {
            Outcome::Done
        } else {
            Outcome::Damage
        })
    }
}

//! `ghost cat`.

use std::ffi::OsString;
use std::io;

use ghost_plumbing::{Error, content};

use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::ui::show;

/// Write the contents of files in snapshots to standard output
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The files, one behind the other
    #[arg(value_name = "REV:PATH", required = true)]
    pub revisions: Vec<OsString>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let repository = app.repository()?;
    for text in &arguments.revisions {
        let named = app.resolve(&repository, text)?.named;
        let Some(content) = named.content() else {
            let shown = show::bytes(text.as_encoded_bytes());
            let message = format!("{shown} is no file: there are no bytes to write");
            return Err(Failure::other(
                message,
                format!("`ghost ls -l {shown}` shows what it is"),
            ));
        };
        let written = content::copy_to(&repository.store, content, app.output.writer());
        match written {
            // Whoever read standard output has seen enough.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
                return Err(Failure::Output(source));
            }
            written => written?,
        }
        app.check_interrupt()?;
    }
    Ok(())
}

//! `ghost help`.

use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::topics::TOPICS;

/// Show the help of a command or one of the pages exit-codes, revisions, json, status-line, environment
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A command or a page; all commands if there is none
    #[arg(value_name = "COMMAND|TOPIC")]
    pub about: Option<String>,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    let mut command = crate::cli::command();
    let Some(about) = &arguments.about else {
        let text = command.render_long_help();
        return show(app, &text);
    };
    if let Some(topic) = TOPICS.iter().find(|topic| topic.name == about) {
        return Ok(app.output.bytes(topic.text.as_bytes())?);
    }
    command.build();
    let Some(sub) = command.find_subcommand_mut(about) else {
        let topics: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
        let hint = format!("`ghost help` lists the commands; the pages are {}", topics.join(", "));
        return Err(Failure::usage(format!("no command or page \"{about}\""), hint));
    };
    let text = sub.render_long_help();
    show(app, &text)
}

fn show(app: &mut App, text: &clap::builder::StyledStr) -> Outcome {
    if app.output.manner().color {
        Ok(app.output.line(text.ansi())?)
    } else {
        Ok(app.output.line(text)?)
    }
}

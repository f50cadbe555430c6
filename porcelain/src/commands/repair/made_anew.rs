//! What is said of the small files that say what a repository is, where they were made anew.

use std::path::Path;

use ghost_plumbing::Error;
use ghost_plumbing::repair::{MendedFormat, MendedGeneration};
use ghost_plumbing::repository::uuid_text;
use serde::Serialize;

use crate::app::App;
use crate::error::Outcome;
use crate::records::PathField;
use crate::ui::Style;

#[derive(Serialize)]
#[serde(tag = "type", rename = "made_anew")]
struct Record<'a> {
    #[serde(flatten)]
    path: PathField,
    problem: String,
    kept: Option<String>,
    assumed: &'a [String],
}

/// Tells of the file `format`.
pub fn format(app: &mut App, mended: &MendedFormat, dry_run: bool) -> Outcome {
    let known = format!("uuid {}, hash {}", uuid_text(&mended.format.uuid), mended.format.hash);
    let kept = mended.kept.as_deref();
    tell(
        app,
        (&mended.path, kept),
        &mended.problem,
        &mended.assumed,
        &known,
        dry_run,
    )
}

/// Tells of the file `generation`.
pub fn generation(app: &mut App, mended: &MendedGeneration, dry_run: bool) -> Outcome {
    let known = format!("number {}", mended.number);
    let assumed = ["no data file is condemned: the next gc decides again".to_owned()];
    let kept = mended.kept.as_deref();
    tell(app, (&mended.path, kept), &mended.problem, &assumed, &known, dry_run)
}

fn tell(
    app: &mut App,
    (path, kept): (&Path, Option<&Path>),
    problem: &Error,
    assumed: &[String],
    known: &str,
    dry_run: bool,
) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&Record {
            path: PathField::new(path.as_os_str().as_encoded_bytes()),
            problem: problem.to_string(),
            kept: kept.map(|path| path.display().to_string()),
            assumed,
        })?);
    }
    let word = match dry_run {
        true => "can be made anew:",
        false => "made anew:",
    };
    let word = app.output.paint(Style::Added, word).to_string();
    let shown = app.shown(path);
    app.output.line(format_args!("{word} {shown}: {known}"))?;
    app.output.say(format_args!("  {problem}"))?;
    for assumed in assumed {
        app.output.say(format_args!("  assumed: {assumed}"))?;
    }
    if let Some(kept) = kept {
        let kept = app.shown(kept);
        app.output.say(format_args!("  the damaged one is {kept}"))?;
    }
    Ok(())
}

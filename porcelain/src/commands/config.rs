//! `ghost config`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use ghost_plumbing::Error;
use ghost_plumbing::disk::{LockKind, OpenMode, replace_file};
use ghost_plumbing::repository::config::{self, Config, KEYS, Key, Settings};
use serde::Serialize;

use crate::app::App;
use crate::error::{FAILED, Failure, Outcome};
use crate::ui::Style;

/// Show and change settings
///
/// `ghost config` prints every effective value and where it came from; `ghost config KEY` one value, `ghost config
/// TABLE` one table; `ghost config KEY VALUE` sets a value in the repository. See ghost-config(5) for all keys.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub action: Option<Action>,
    /// A key such as chunk.avg, or a table such as chunk
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// The value to set
    #[arg(value_name = "VALUE", requires = "key")]
    pub value: Option<String>,
}

/// What `ghost config` can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Print the effective value of a key
    Get {
        /// The key
        key: String,
    },
    /// Set a value in the repository's file
    Set {
        /// Set it in the user's file instead
        #[arg(long)]
        user: bool,
        /// The key
        key: String,
        /// The value; a list is one item, or a TOML array
        value: String,
    },
    /// Take a value out of the repository's file
    Unset {
        /// Take it out of the user's file instead
        #[arg(long)]
        user: bool,
        /// The key
        key: String,
    },
    /// List every key with its value and what it means
    List,
    /// Print every effective value and where it came from
    Dump,
}

/// A setting, for `--json`.
#[derive(Serialize)]
#[serde(tag = "type", rename = "setting")]
struct Record<'a> {
    key: &'a str,
    value: &'a str,
    origin: String,
    default: String,
    help: &'a str,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    match (&arguments.action, &arguments.key, &arguments.value) {
        (Some(Action::Get { key }), ..) => get(app, key),
        (Some(Action::Set { user, key, value }), ..) => set(app, *user, key, value),
        (None, Some(key), Some(value)) => set(app, false, key, value),
        (Some(Action::Unset { user, key }), ..) => unset(app, *user, key),
        (Some(Action::List), ..) => list(app),
        (Some(Action::Dump), ..) | (None, None, _) => dump(app, ""),
        (None, Some(table), None) if is_table(table) => dump(app, table),
        (None, Some(key), None) => get(app, key),
    }
}

fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| in_table(key, name))
}

fn in_table(key: &Key, table: &str) -> bool {
    table.is_empty() || key.name.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

fn get(app: &mut App, key: &str) -> Outcome {
    let config = app.config()?;
    let value = config.text(key)?;
    if app.output.json() {
        return show_record(app, &config, key);
    }
    Ok(app.output.line(value)?)
}

fn show_record(app: &mut App, config: &Config, key: &str) -> Outcome {
    let value = config.text(key)?;
    Ok(app.output.record(&Record {
        key,
        value: &value,
        origin: config.origin(key).to_string(),
        default: Settings::default().text(key).unwrap_or_default(),
        help: config::keys::find(key).map_or("", |key| key.help),
    })?)
}

fn list(app: &mut App) -> Outcome {
    let config = app.config()?;
    for key in KEYS {
        if app.output.json() {
            show_record(app, &config, key.name)?;
            continue;
        }
        let name = app.output.paint(Style::Bold, key.name).to_string();
        let value = shown_value(config.text(key.name)?);
        app.output.line(format_args!("{name} = {value}"))?;
        app.output
            .line(format_args!("    {} Takes {}.", key.help, key.kind.expected()))?;
    }
    Ok(())
}

fn dump(app: &mut App, table: &str) -> Outcome {
    let config = app.config()?;
    for key in KEYS.iter().filter(|key| in_table(key, table)) {
        if app.output.json() {
            show_record(app, &config, key.name)?;
            continue;
        }
        let assignment = format!("{} = {}", key.name, shown_value(config.text(key.name)?));
        let origin = config.origin(key.name);
        let origin = app.output.paint(Style::Dim, format_args!("# {origin}")).to_string();
        app.output.line(format_args!("{assignment:<40} {origin}"))?;
    }
    Ok(())
}

/// An empty text would look like a mistake.
fn shown_value(value: String) -> String {
    if value.is_empty() { "\"\"".to_owned() } else { value }
}

fn set(app: &mut App, user: bool, key: &str, value: &str) -> Outcome {
    edit(app, user, |text| config::set(text, key, value).map(Some))
}

fn unset(app: &mut App, user: bool, key: &str) -> Outcome {
    let mut found = false;
    edit(app, user, |text| {
        let (text, was_set) = config::unset(text, key)?;
        found = was_set;
        Ok(was_set.then_some(text))
    })?;
    if found {
        return Ok(());
    }
    app.output.note(0, format_args!("{key} is not set there"));
    Err(Failure::Code(FAILED))
}

/// Replaces a file by what `change` makes of its text, unless that leads to settings that do not fit each other.
pub fn edit(app: &App, user: bool, change: impl FnOnce(&str) -> ghost_plumbing::Result<Option<String>>) -> Outcome {
    let path = if user {
        user_file(app)?
    } else {
        app.repository()?.config_path()
    };
    let lock_path = match user {
        true => path.with_extension("lock"),
        false => app.ghost_dir()?.join("locks").join("config"),
    };
    let lock = app
        .disk
        .open(&lock_path, OpenMode::Create)
        .map_err(Error::io("open", &lock_path))?;
    lock.lock(LockKind::Exclusive).map_err(Error::io("lock", &lock_path))?;
    let text = app.config_text(&path)?.unwrap_or_default();
    let Some(changed) = change(&text)? else { return Ok(()) };
    check(user, &path, &changed)?;
    Ok(replace_file(&*app.disk, &path, changed.as_bytes())?)
}

fn check(user: bool, path: &Path, text: &str) -> Outcome {
    let layer = match user {
        true => config::Layer::user(path, text),
        false => config::Layer::repository(path, text),
    };
    Config::load(&[layer])?;
    Ok(())
}

fn user_file(app: &App) -> Outcome<PathBuf> {
    let Some(path) = app.environment.user_config.clone() else {
        let hint = "set HOME, or GHOST_CONFIG to the file";
        return Err(Failure::other(
            "there is no home directory for the user's configuration",
            hint,
        ));
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder).map_err(|source| Error::Io {
        op: "make folder",
        path: folder.to_owned(),
        source,
    })?;
    Ok(path)
}

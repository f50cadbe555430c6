//! Reading one source of settings, and editing a file so that its comments and its order stay.

use std::fmt;
use std::path::{Path, PathBuf};

use toml_edit::{Document, DocumentMut, Item, Table, TableLike};

use crate::error::{Error, Result};
use crate::repository::config::keys::{self, Key};
use crate::repository::config::value::{Scope, Value};

/// One source of settings.
#[derive(Clone, Debug)]
pub struct Layer {
    source: Source,
    text: String,
}

#[derive(Clone, Debug)]
enum Source {
    User(PathBuf),
    Repository(PathBuf),
    CommandLine,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is built in.
    Default,
    /// It stands in a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// It was given with `-c`.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

impl Layer {
    /// The user's file.
    pub fn user(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            source: Source::User(path.into()),
            text: text.into(),
        }
    }

    /// The repository's file.
    pub fn repository(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            source: Source::Repository(path.into()),
            text: text.into(),
        }
    }

    /// One `KEY=VALUE` from the command line.
    pub fn command_line(text: impl Into<String>) -> Self {
        Self {
            source: Source::CommandLine,
            text: text.into(),
        }
    }

    /// The settings of this layer in order.
    pub(super) fn values(&self) -> Result<Vec<(&'static Key, Value, Origin)>> {
        let (path, in_repository) = match &self.source {
            Source::CommandLine => return Ok(vec![self.override_value()?]),
            Source::User(path) => (path, false),
            Source::Repository(path) => (path, true),
        };
        let document = parse(path, &self.text)?;
        let mut found = Vec::new();
        for leaf in leaves(document.as_table()) {
            if leaf.name.starts_with("remote.") {
                continue;
            }
            let origin = Origin::File {
                path: path.clone(),
                line: line_of(&self.text, leaf.at),
            };
            let key = keys::find(&leaf.name).ok_or_else(|| unknown(&leaf.name, Some(&origin)))?;
            if in_repository && key.scope == Scope::User {
                let problem = format_args!("at {origin}: expected in the user's own file only");
                return Err(Error::invalid("setting", &leaf.name, problem));
            }
            let value = match leaf.item {
                Item::Value(value) => key.kind.parse_toml(value),
                _ => Err(format!("expected {}", key.kind.expected())),
            };
            let value = value.map_err(|problem| {
                let text = format!("{} = {}", leaf.name, leaf.item.to_string().trim());
                Error::invalid("setting", text, format_args!("at {origin}: {problem}"))
            })?;
            found.push((key, value, origin));
        }
        Ok(found)
    }

    fn override_value(&self) -> Result<(&'static Key, Value, Origin)> {
        let Some((name, text)) = self.text.split_once('=') else {
            return Err(Error::invalid("setting", &self.text, "expected KEY=VALUE"));
        };
        let (key, value) = parse_setting(name, text)?;
        Ok((key, value, Origin::CommandLine))
    }
}

fn parse_setting(name: &str, text: &str) -> Result<(&'static Key, Value)> {
    let key = keys::find(name).ok_or_else(|| unknown(name, None))?;
    let value = key.kind.parse_text(text);
    let value = value.map_err(|problem| Error::invalid("setting", format_args!("{name} = {text}"), problem))?;
    Ok((key, value))
}

/// The table of remotes: its keys are not fixed.
const REMOTES: &str = "remote";
const URL: &str = "url";

impl Layer {
    /// The remotes of this layer: name and URL.
    pub(super) fn remotes(&self) -> Result<Vec<(String, String)>> {
        let (path, document) = match &self.source {
            Source::CommandLine => return Ok(Vec::new()),
            Source::User(path) | Source::Repository(path) => (path, parse(path, &self.text)?),
        };
        let mut found = Vec::new();
        for leaf in leaves(document.as_table()) {
            let Some(rest) = leaf.name.strip_prefix("remote.") else {
                continue;
            };
            let at = format!("at {}:{}", path.display(), line_of(&self.text, leaf.at));
            let name = rest.strip_suffix(".url").filter(|name| check_remote(name).is_ok());
            match (name, leaf.item.as_str()) {
                (Some(name), Some(url)) => found.push((name.to_owned(), url.to_owned())),
                _ => {
                    let problem = format!("{at}: expected remote.NAME.url and a text");
                    return Err(Error::invalid("setting", &leaf.name, problem));
                }
            }
        }
        Ok(found)
    }
}

/// Refuses what cannot be the name of a remote: it stands in names of refs and of settings.
pub fn check_remote(name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 64 || name.starts_with('-') || !name.bytes().all(fits) {
        let problem = "expected at most 64 letters, digits, dashes and underscores, no dash in front";
        return Err(Error::invalid("name of a remote", name, problem));
    }
    Ok(())
}

/// The text of a configuration file in which the remote `name` has this URL, or is not.
pub fn set_remote(text: &str, name: &str, url: Option<&str>) -> Result<String> {
    check_remote(name)?;
    let mut document = parse(Path::new("config"), text)?.into_mut();
    let no_table = || Error::invalid("configuration", REMOTES, "expected a table");
    if !document.contains_key(REMOTES) {
        let mut above = Table::new();
        above.set_implicit(true);
        document.insert(REMOTES, Item::Table(above));
    }
    let remotes = document
        .get_mut(REMOTES)
        .and_then(Item::as_table_like_mut)
        .ok_or_else(no_table)?;
    match url {
        None => drop(remotes.remove(name)),
        Some(url) => {
            let remote = remotes.entry(name).or_insert_with(|| Item::Table(Table::new()));
            let remote = remote.as_table_like_mut().ok_or_else(no_table)?;
            remote.insert(URL, Item::Value(url.into()));
        }
    }
    Ok(document.to_string())
}

/// The error of a key that is not known.
pub(super) fn unknown(name: &str, origin: Option<&Origin>) -> Error {
    let place = origin.map_or_else(String::new, |origin| format!("at {origin}: "));
    let problem = match keys::nearest(name) {
        Some(near) => format!("{place}there is no such key; the nearest is {near}"),
        None => format!("{place}there is no such key"),
    };
    Error::invalid("config key", name, problem)
}

fn parse<'t>(path: &Path, text: &'t str) -> Result<Document<&'t str>> {
    Document::parse(text).map_err(|error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        let problem = format_args!("line {line}: {}", error.message().trim());
        Error::invalid("configuration", path.display(), problem)
    })
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count()
}

/// A value with its full name and the offset of its key.
struct Leaf<'d> {
    name: String,
    item: &'d Item,
    at: usize,
}

/// All values below a table; nested tables give names with dots.
fn leaves(table: &Table) -> Vec<Leaf<'_>> {
    let mut found = Vec::new();
    collect(table, "", &mut found);
    found
}

fn collect<'d>(table: &'d dyn TableLike, prefix: &str, found: &mut Vec<Leaf<'d>>) {
    for (name, item) in table.iter() {
        let name_at = table
            .key(name)
            .and_then(toml_edit::Key::span)
            .map_or(0, |span| span.start);
        let name = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        };
        match item.as_table_like() {
            // The parser bounds how deep tables nest.
            Some(below) => collect(below, &name, found),
            None => found.push(Leaf {
                name,
                item,
                at: name_at,
            }),
        }
    }
}

/// The text of a configuration file in which `name` has this value. Comments and order stay.
pub fn set(text: &str, name: &str, value: &str) -> Result<String> {
    let (key, value) = parse_setting(name, value)?;
    let mut document = parse(Path::new("config"), text)?.into_mut();
    let (section, key_name) = split(name)?;
    let mut new = key.kind.to_toml(&value);
    let table = document
        .entry(section)
        .or_insert_with(|| Item::Table(Table::new()))
        .as_table_like_mut()
        .ok_or_else(|| Error::invalid("configuration", section, "expected a table"))?;
    match table.get_mut(key_name) {
        Some(Item::Value(old)) => {
            // What stands behind a value, such as a comment, belongs to its line.
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        _ => drop(table.insert(key_name, Item::Value(new))),
    }
    Ok(document.to_string())
}

/// The text of a configuration file without `name`, and whether it was there.
pub fn unset(text: &str, name: &str) -> Result<(String, bool)> {
    keys::find(name).ok_or_else(|| unknown(name, None))?;
    let mut document: DocumentMut = parse(Path::new("config"), text)?.into_mut();
    let (section, key_name) = split(name)?;
    let table = document.get_mut(section).and_then(Item::as_table_like_mut);
    let found = table.is_some_and(|table| table.remove(key_name).is_some());
    Ok((document.to_string(), found))
}

/// The value that `name` has in one file, as text.
pub fn get(layer: &Layer, name: &str) -> Result<Option<String>> {
    keys::find(name).ok_or_else(|| unknown(name, None))?;
    let mut values = layer.values()?.into_iter();
    Ok(values
        .find(|(key, ..)| key.name == name)
        .map(|(key, value, _)| key.kind.to_text(&value)))
}

fn split(name: &str) -> Result<(&str, &str)> {
    name.split_once('.').ok_or_else(|| unknown(name, None))
}

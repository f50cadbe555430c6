//! Remotes by name: the configuration says where they are, `refs/remotes/NAME/` what was last seen there.

use std::ffi::OsStr;

use ghost_plumbing::Result;
use ghost_plumbing::object::HashAlgo;
use ghost_plumbing::repository::Config;

use super::url::Url;
use crate::error::{Failure, Outcome};

/// The remote that is meant where none is named.
pub const DEFAULT: &str = "origin";
/// Where the lines of remotes are.
pub const TRACKING: &str = "refs/remotes/";

/// A remote: one of the configuration, or one that was given by its URL.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Where it is, as it was written.
    pub text: String,
    /// Where it is.
    pub url: Url,
}

impl Remote {
    /// What to call it.
    pub fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.text)
    }

    /// The ref here that follows a line there; none for remotes without a name.
    pub fn tracking(&self, line: &str) -> Option<String> {
        let name = self.name.as_ref()?;
        Some(format!("{TRACKING}{name}/{line}"))
    }
}

/// Reads `REV:LINE`: the revision, and the line behind its last colon, if there is one. That of `sha256:ID` is none.
pub fn split_target(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((revision, line)) if revision.parse::<HashAlgo>().is_err() => (revision, Some(line)),
        _ => (text, None),
    }
}

/// The remote of this name, or at this URL; where nothing is named, the default one.
pub fn find(config: &Config, named: Option<&OsStr>) -> Outcome<Remote> {
    let text = named.unwrap_or(OsStr::new(DEFAULT));
    let known = text.to_str().and_then(|name| Some((name, config.remotes().get(name)?)));
    if let Some((name, url)) = known {
        return Ok(Remote {
            name: Some(name.to_owned()),
            text: url.clone(),
            url: Url::parse(OsStr::new(url))?,
        });
    }
    let bytes = text.as_encoded_bytes();
    let is_place = bytes.contains(&b'/') || bytes.contains(&b':') || bytes == b".";
    if !is_place {
        return Err(Failure::other(
            format!("there is no remote \"{}\"", text.to_string_lossy()),
            "`ghost remote add NAME URL` makes one; a folder is given with a slash: ./DIR",
        ));
    }
    Ok(of_url(text)?)
}

/// A remote without a name.
pub fn of_url(text: &OsStr) -> Result<Remote> {
    Ok(Remote {
        name: None,
        text: text.to_string_lossy().into_owned(),
        url: Url::parse(text)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_behind_the_last_colon() {
        for (text, revision, line) in [
            ("main", "main", None),
            ("main~1:old", "main~1", Some("old")),
            (":old", "", Some("old")),
            ("sha256:0123456", "sha256:0123456", None),
            ("blake3:0123456:old", "blake3:0123456", Some("old")),
        ] {
            assert_eq!(split_target(text), (revision, line), "{text}");
        }
    }
}

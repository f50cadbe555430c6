//! Configuration: defaults, then the user's file, then the repository's, then the command line; later ones win.
//!
//! Files are TOML: a table and a key make a name such as `chunk.avg`. A key that is not known, a value that does not
//! have the type of its key, or a key that may not stand in this file is an error that names file and line. Each
//! effective value knows where it came from.

pub mod keys;
mod layers;
pub mod value;

use std::collections::BTreeMap;

pub use keys::{ChunkMethod, KEYS, Key, LogLevel, Settings, Trust, When};
pub use layers::{Layer, Origin, check_remote, get, set, set_remote, unset};
pub use value::{Kind, Scope, Value, bytes_text, parse_bytes};

use crate::error::{Error, Result};

/// All settings, and where each came from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    settings: Settings,
    origins: BTreeMap<&'static str, Origin>,
    remotes: BTreeMap<String, String>,
}

impl Config {
    /// Reads layers; later ones win.
    pub fn load(layers: &[Layer]) -> Result<Self> {
        let mut config = Self::default();
        for layer in layers {
            config.remotes.extend(layer.remotes()?);
            for (key, value, origin) in layer.values()? {
                if !config.settings.assign(key.name, &value) {
                    return Err(Error::invalid(
                        "setting",
                        key.name,
                        format_args!("expected {}", key.kind.expected()),
                    ));
                }
                config.origins.insert(key.name, origin);
            }
        }
        config.check_chunks()?;
        Ok(config)
    }

    /// The settings.
    pub fn typed(&self) -> &Settings {
        &self.settings
    }

    /// Other repositories: their names and URLs.
    pub fn remotes(&self) -> &BTreeMap<String, String> {
        &self.remotes
    }

    /// Where the value of a key came from.
    pub fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }

    /// Every key with its effective value as text and where that came from.
    pub fn dump(&self) -> Vec<(&'static str, String, Origin)> {
        let text = |key: &Key| self.settings.text(key.name).unwrap_or_default();
        KEYS.iter()
            .map(|key| (key.name, text(key), self.origin(key.name)))
            .collect()
    }

    /// The effective value of a key as text; an unknown key is an error.
    pub fn text(&self, name: &str) -> Result<String> {
        self.settings.text(name).ok_or_else(|| layers::unknown(name, None))
    }

    fn check_chunks(&self) -> Result<()> {
        let settings = &self.settings;
        let sizes = [
            ("chunk.min", settings.chunk_min_bytes),
            ("chunk.avg", settings.chunk_avg_bytes),
            ("chunk.max", settings.chunk_max_bytes),
        ];
        match sizes.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            None => Ok(()),
            Some(pair) => {
                let [(low, low_bytes), (high, high_bytes)] = [pair[0], pair[1]];
                let problem = format!(
                    "expected at most {high}, which is {} ({}); found at {}",
                    bytes_text(high_bytes),
                    self.origin(high),
                    self.origin(low)
                );
                Err(Error::invalid(
                    "setting",
                    format_args!("{low} = {}", bytes_text(low_bytes)),
                    problem,
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Questions to the history: what became of a path ([`path_change`]), and in which snapshots something was ([`find()`]).

mod find;
mod path;

pub use find::{Found, find};
pub use path::{PathChange, path_change};

#[cfg(test)]
mod tests;

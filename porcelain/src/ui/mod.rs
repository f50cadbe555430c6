//! What a person sees: lines on standard output, notes and progress on standard error, sizes and times in words; and
//! the log of a repository.

pub mod color;
pub mod journal;
pub mod output;
pub mod progress;
pub mod show;
pub mod size;
pub mod time;

pub use color::{ColorChoice, Style};
pub use output::Output;

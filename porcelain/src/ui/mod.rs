//! What a person sees: lines on standard output, notes and progress on standard error, sizes and times in words.

pub mod color;
pub mod output;
pub mod progress;
pub mod show;
pub mod size;
pub mod time;

pub use color::{ColorChoice, Style};
pub use output::Output;

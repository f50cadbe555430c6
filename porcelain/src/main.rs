//! The `ghost` command.
fn main() {}

//! Chores of the ghost repository.
fn main() {}

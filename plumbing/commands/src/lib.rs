//! Low-level commands.

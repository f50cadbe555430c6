#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "tests: a failed unwrap is a failed test"
)]
//! Scenarios: what people do with `ghost`, from the outside, compared with tools that nobody here wrote.
//!
//! One binary, one module a family (t/README.md): `t0` basics, `t1` objects, `t2` store, `t3` walk, `t4` snapshot and
//! reconstruct, `t5` remotes, `t7` porcelain, `t8` damage, `t9` formats.

#[macro_use]
mod harness;

mod t0_basics;
mod t1_objects;
mod t2_gc;
mod t2_store;
mod t3_walk;
mod t4_answers;
mod t4_bundles;
mod t4_deltas;
mod t4_duplicates;
mod t4_sources;
mod t4_trees;
mod t5_copy;
mod t5_far;
mod t5_folders;
mod t5_remotes;
mod t5_ssh;
mod t7_completions;
mod t7_ghosts;
mod t7_hooks;
mod t7_log;
mod t7_porcelain;
mod t7_readme;
mod t7_retention;
mod t7_rewrite;
mod t7_roots;
mod t7_signals;
mod t8_damage;
mod t8_flips;
mod t8_hostile;
mod t8_meddling;
mod t8_places;
mod t8_repair;
mod t9_formats;

//! Scenario tests of ghost live in `tests/`; see `t/README.md`.

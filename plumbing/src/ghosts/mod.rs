//! Ghosts: what was seen, where, and when; and questions over trees, wherever they are.
//!
//! [`forest`] is the one algebra: a live directory ([`live`]), a stored tree ([`stored`]) and a bundle answer the same
//! three questions. What compares, copies or acts is written once, over it.

pub mod forest;
pub mod live;
pub mod stored;

#[cfg(test)]
mod tests;

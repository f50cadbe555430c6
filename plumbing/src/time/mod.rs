//! Instants as the formats keep them: seconds and nanoseconds since 1970, UTC; and lengths of time by the calendar.

mod span;

pub use self::span::CalendarSpan;

/// An instant, before or after 1970, with nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// An instant from its parts; nanoseconds of a second or more are cut off at the last of the second.
    pub fn new(seconds: i64, nanos: u32) -> Self {
        Self {
            seconds,
            nanos: nanos.min(999_999_999),
        }
    }
}

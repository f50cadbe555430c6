//! Instants in the local time zone and lengths of time in words.

use std::fmt;
use std::time::Duration;

use ghost_plumbing::time::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// An instant in the local time zone, if jiff's calendar reaches it.
pub fn zoned(time: Timestamp) -> Option<jiff::Zoned> {
    let nanos = i32::try_from(time.nanos).ok()?;
    Some(
        jiff::Timestamp::new(time.seconds, nanos)
            .ok()?
            .to_zoned(TimeZone::system()),
    )
}

/// An instant for people: `2026-11-21 09:06:52 +01:00`, in the local zone.
pub fn local(time: Timestamp) -> String {
    match zoned(time) {
        Some(zoned) => zoned.strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        None => beyond(time),
    }
}

/// An instant for `log`: with the day of the week, in the local zone.
pub fn local_long(time: Timestamp) -> String {
    match zoned(time) {
        Some(zoned) => zoned.strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string(),
        None => beyond(time),
    }
}

/// An instant for programs: RFC 3339 with nanoseconds, at `offset_minutes` east of UTC.
pub fn rfc3339(time: Timestamp, offset_minutes: i64) -> String {
    let offset = i32::try_from(offset_minutes.saturating_mul(60))
        .ok()
        .and_then(|seconds| Offset::from_seconds(seconds).ok())
        .unwrap_or(Offset::UTC);
    let instant = i32::try_from(time.nanos)
        .ok()
        .and_then(|nanos| jiff::Timestamp::new(time.seconds, nanos).ok());
    match instant {
        Some(instant) => instant.display_with_offset(offset).to_string(),
        None => beyond(time),
    }
}

/// Years that no calendar here reaches, as seconds since 1970.
fn beyond(time: Timestamp) -> String {
    format!("@{}.{:09}", time.seconds, time.nanos)
}

/// A length of time: `0.21 s`, `42 s`, `3 min 05 s`, `2 h 07 min`.
#[derive(Clone, Copy, Debug)]
pub struct Length(pub Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = match seconds {
            0..=9 => format!("{:.2} s", self.0.as_secs_f64()),
            10..=59 => format!("{seconds} s"),
            60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
            _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_for_programs() {
        // `date -u -d @1000000000 +%FT%TZ`
        let time = Timestamp::new(1_000_000_000, 5);
        assert_eq!(rfc3339(time, 0), "2001-09-09T01:46:40.000000005+00:00");
        assert_eq!(rfc3339(time, 90), "2001-09-09T03:16:40.000000005+01:30");
        assert_eq!(
            rfc3339(Timestamp::new(-1, 500_000_000), 0),
            "1969-12-31T23:59:59.5+00:00"
        );
        assert_eq!(
            rfc3339(Timestamp::new(i64::MAX, 1), 0),
            "@9223372036854775807.000000001"
        );
    }

    #[test]
    fn lengths_of_time() {
        for (millis, text) in [
            (0, "0.00 s"),
            (215, "0.21 s"),
            (42_000, "42 s"),
            (185_000, "3 min 05 s"),
            (7_620_000, "2 h 07 min"),
        ] {
            assert_eq!(Length(Duration::from_millis(millis)).to_string(), text);
        }
    }
}

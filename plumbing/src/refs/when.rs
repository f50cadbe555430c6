//! Instants as people write them: `2026-11-01`, `2026-11-01 12:30`, `2 days ago`, `yesterday`.
//!
//! A day without a time is its beginning; a time without a zone is in the zone of `now`. Spans go by the calendar:
//! `1 month ago` on the 15th is the 15th, and `1 day ago` across a change of the clocks is the same time of day.

use jiff::civil::{Date, DateTime};
use jiff::{Span, Zoned};

use crate::error::{Error, Result};
use crate::time::Timestamp;

const TEXT_BYTES_MAX: usize = 100;

/// Reads an instant.
pub fn parse_when(text: &str, now: &Zoned) -> Result<Timestamp> {
    let found = (text.len() <= TEXT_BYTES_MAX)
        .then(|| parse(text.trim(), now))
        .flatten();
    let found = found.ok_or_else(|| {
        let problem = "expected one such as 2026-11-01, 2026-11-01T12:30, 2 days ago or yesterday";
        Error::invalid("time", text, problem)
    })?;
    let time = found.timestamp();
    // Seconds are rounded down, so that what is left is not negative.
    let nanos = time.as_nanosecond().rem_euclid(1_000_000_000);
    Ok(Timestamp::new(
        time.as_nanosecond().div_euclid(1_000_000_000) as i64,
        nanos as u32,
    ))
}

fn parse(text: &str, now: &Zoned) -> Option<Zoned> {
    let midnight = || now.start_of_day().ok();
    match text {
        "now" => return Some(now.clone()),
        "yesterday" => return now.yesterday().ok(),
        "today" | "midnight" => return midnight(),
        _ => {}
    }
    // git writes 2.days.ago so that a shell needs no quotes.
    let words = if text.ends_with("ago") {
        text.replace(['.', '_'], " ")
    } else {
        text.to_owned()
    };
    let span = match words.split_once(' ') {
        Some(("last", unit)) => Some(format!("1 {unit} ago")),
        Some(("a" | "an" | "one", rest)) if rest.ends_with(" ago") => Some(format!("1 {rest}")),
        _ => words.ends_with("ago").then_some(words),
    };
    if let Some(span) = span {
        return now.checked_add(span.parse::<Span>().ok()?).ok();
    }
    let zone = now.time_zone();
    if let Ok(exact) = text.parse::<Zoned>() {
        return Some(exact);
    }
    if let Ok(exact) = text.parse::<jiff::Timestamp>() {
        return Some(exact.to_zoned(zone.clone()));
    }
    if let Ok(date) = text.parse::<Date>()
        && !text.contains(':')
    {
        return zone
            .to_ambiguous_zoned(date.to_datetime(jiff::civil::Time::midnight()))
            .compatible()
            .ok();
    }
    let time = text.parse::<DateTime>().ok()?;
    zone.to_ambiguous_zoned(time).compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-11-21T10:00:00.5+01:00[Europe/Berlin]".parse().unwrap()
    }

    #[test]
    fn instants_are_those_of_gnu_date() {
        // `TZ=Europe/Berlin date -d TEXT +%s`, spans from that moment.
        for (text, seconds) in [
            ("2026-11-01", 1_793_487_600),
            ("2026-11-01T12:30", 1_793_532_600),
            ("2026-11-01 12:30:15", 1_793_532_615),
            ("2026-11-01T12:30Z", 1_793_536_200),
            ("2026-11-01T12:30:00-05:00", 1_793_554_200),
            ("1969-12-31T23:00:00Z", -3600),
            ("now", 1_795_251_600),
            ("today", 1_795_215_600),
            ("yesterday", 1_795_165_200),
            ("2 days ago", 1_795_078_800),
            ("2.days.ago", 1_795_078_800),
            ("3 hours ago", 1_795_240_800),
            ("1 week 2 days ago", 1_794_474_000),
            ("a month ago", 1_792_569_600), // the clocks went back between
            ("last year", 1_763_715_600),
            ("90 seconds ago", 1_795_251_510),
        ] {
            assert_eq!(parse_when(text, &now()).unwrap().seconds, seconds, "{text}");
        }
        assert_eq!(parse_when("now", &now()).unwrap().nanos, 500_000_000);
    }

    #[test]
    fn other_words_are_refused() {
        for text in [
            "",
            "tomorrow week",
            "2026-13-01",
            "ago",
            "days ago",
            "2 moons ago",
            "a month",
            "an hour",
            "one week",
            "99999999999 years ago",
            "12",
        ] {
            assert!(parse_when(text, &now()).is_err(), "{text}");
        }
        assert!(parse_when(&"1".repeat(200), &now()).is_err());
    }
}

//! Lengths of time by the calendar: `1y6m`, `30d`, `36h`.
//!
//! Years and months have the lengths that the calendar gives them at the instant that they are counted from; a day that
//! does not exist (31 February) is the last of its month.

use std::fmt;
use std::str::FromStr;

use jiff::{Span, Zoned};

use crate::error::{Error, Result};

/// Most of each unit: longer than the calendar of the library reaches would be an error when it is used.
const UNIT_MAX: i64 = 9999;

/// A length of time, never negative and never nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarSpan {
    years: i64,
    months: i64,
    weeks: i64,
    days: i64,
    hours: i64,
}

impl CalendarSpan {
    /// The instant so long before another one; the first that the calendar has, where that lies before it.
    pub fn before(&self, instant: &Zoned) -> Zoned {
        let span = Span::new()
            .years(self.years)
            .months(self.months)
            .weeks(self.weeks)
            .days(self.days)
            .hours(self.hours);
        let first = || jiff::Timestamp::MIN.to_zoned(instant.time_zone().clone());
        instant.checked_sub(span).unwrap_or_else(|_| first())
    }

    fn units(&self) -> [(i64, char); 5] {
        [
            (self.years, 'y'),
            (self.months, 'm'),
            (self.weeks, 'w'),
            (self.days, 'd'),
            (self.hours, 'h'),
        ]
    }
}

impl FromStr for CalendarSpan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let problem = "expected years, months, weeks, days, hours in this order, such as 1y6m, 30d or 2w12h";
            Error::invalid("length of time", text, problem)
        };
        let mut counts = [0; 5];
        let mut rest = text;
        let mut next_unit = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let count: i64 = rest[..digits].parse().map_err(|_| wrong())?;
            let letter = rest[digits..].chars().next().ok_or_else(wrong)?;
            let unit = "ymwdh".find(letter).filter(|unit| *unit >= next_unit);
            let unit = unit.filter(|_| count <= UNIT_MAX).ok_or_else(wrong)?;
            counts[unit] = count;
            next_unit = unit + 1;
            rest = &rest[digits + letter.len_utf8()..];
        }
        if counts == [0; 5] {
            return Err(wrong());
        }
        let [years, months, weeks, days, hours] = counts;
        Ok(Self {
            years,
            months,
            weeks,
            days,
            hours,
        })
    }
}

impl fmt::Display for CalendarSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, unit) in self.units().into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{count}{unit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for text in ["1y", "6m", "2w", "30d", "36h", "1y5m7d2h", "1y2m3w4d5h"] {
            assert_eq!(text.parse::<CalendarSpan>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "0d",
            "d",
            "30",
            "-1d",
            "1d1d",
            "7d1y",
            "1h ",
            "1s",
            "10000y",
            "99999999999999999999d",
            "1ä",
        ] {
            assert!(text.parse::<CalendarSpan>().is_err(), "{text}");
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        // `date -d '2026-03-15 12:00 UTC -1 month'`; the end of February is ours.
        let from = |text: &str| text.parse::<Zoned>().unwrap();
        for (instant, span, expected) in [
            ("2026-03-15T12:00:00+00:00[UTC]", "1m", "2026-02-15T12:00:00+00:00[UTC]"),
            ("2026-03-31T12:00:00+00:00[UTC]", "1m", "2026-02-28T12:00:00+00:00[UTC]"),
            ("2028-02-29T00:00:00+00:00[UTC]", "1y", "2027-02-28T00:00:00+00:00[UTC]"),
            (
                "2026-03-15T12:00:00+00:00[UTC]",
                "1w2d25h",
                "2026-03-05T11:00:00+00:00[UTC]",
            ),
        ] {
            let span: CalendarSpan = span.parse().unwrap();
            assert_eq!(span.before(&from(instant)), from(expected), "{span}");
        }
        let ages: CalendarSpan = "9999y9999m9999d9999h".parse().unwrap();
        assert_eq!(ages.before(&from("2026-03-15T12:00:00+00:00[UTC]")).year(), -8835);
        assert_eq!(ages.before(&from("-008000-03-15T12:00:00+00:00[UTC]")).year(), -9999);
    }
}

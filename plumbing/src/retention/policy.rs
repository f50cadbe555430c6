//! The rules that somebody gave.

use std::fmt;
use std::str::FromStr;

use jiff::Zoned;

use crate::error::{Error, Result};
use crate::time::CalendarSpan;

/// As many as there are.
pub const UNLIMITED: u64 = u64::MAX;

/// A stretch of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// From a full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday, as ISO 8601 counts.
    Week,
    /// From the first of a month to its end.
    Month,
    /// From January to December.
    Year,
}

impl Period {
    /// All, the shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The noun.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The adjective, as options have it.
    pub fn adjective(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// The stretch that an instant lies in, as a number that no other stretch of this kind has.
    pub fn number(self, instant: &Zoned) -> i64 {
        let (year, month, day) = (i64::from(instant.year()), i64::from(instant.month()), instant.day());
        match self {
            Self::Year => year,
            Self::Month => year * 12 + month,
            Self::Week => {
                let week = instant.date().iso_week_date();
                i64::from(week.year()) * 54 + i64::from(week.week())
            }
            Self::Day => (year * 12 + month) * 31 + i64::from(day),
            Self::Hour => Self::Day.number(instant) * 24 + i64::from(instant.hour()),
        }
    }
}

/// What is kept of a group of snapshots. Each rule says what it keeps; what none keeps is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// So many of the newest.
    pub last: u64,
    /// For each period, the newest of so many that have snapshots, the newest periods first.
    pub counts: [u64; 5],
    /// All that are at most so much older than the newest.
    pub within: Option<CalendarSpan>,
    /// For each period, the newest of those that are at most so much older than the newest of all.
    pub within_each: [Option<CalendarSpan>; 5],
    /// Those with all labels of one of these lists. The empty list means those without labels.
    pub tags: Vec<Vec<String>>,
}

impl Policy {
    /// Whether no rule keeps anything.
    pub fn is_empty(&self) -> bool {
        self.last == 0
            && self.counts == [0; 5]
            && self.within.is_none()
            && self.within_each == [None; 5]
            && self.tags.is_empty()
    }
}

impl fmt::Display for Policy {
    /// As options that mean the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u64| match count {
            UNLIMITED => "unlimited".to_owned(),
            count => count.to_string(),
        };
        let mut words = Vec::new();
        if self.last > 0 {
            words.push(format!("--keep-last {}", count(self.last)));
        }
        for (period, number) in Period::ALL
            .into_iter()
            .zip(self.counts)
            .filter(|(_, number)| *number > 0)
        {
            words.push(format!("--keep-{} {}", period.adjective(), count(number)));
        }
        words.extend(self.within.map(|span| format!("--keep-within {span}")));
        for (period, span) in Period::ALL.into_iter().zip(self.within_each) {
            words.extend(span.map(|span| format!("--keep-within-{} {span}", period.adjective())));
        }
        words.extend(self.tags.iter().map(|tags| format!("--keep-tag {:?}", tags.join(","))));
        f.write_str(&words.join(" "))
    }
}

/// What snapshots of one group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupBy {
    /// The line that they are on.
    pub line: bool,
    /// The machine.
    pub host: bool,
    /// What they were taken of.
    pub root: bool,
}

impl Default for GroupBy {
    fn default() -> Self {
        Self {
            line: true,
            host: true,
            root: true,
        }
    }
}

impl FromStr for GroupBy {
    type Err = Error;

    /// Reads `line,host,root` or less; nothing makes one group of all.
    fn from_str(text: &str) -> Result<Self> {
        let mut by = Self {
            line: false,
            host: false,
            root: false,
        };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "line" | "lines" | "ref" => by.line = true,
                "host" | "hosts" => by.host = true,
                "root" | "roots" | "path" | "paths" => by.root = true,
                _ => {
                    return Err(Error::invalid(
                        "grouping",
                        text,
                        "expected some of line, host, root with commas",
                    ));
                }
            }
        }
        Ok(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_those_of_the_calendar() {
        // `date -u -d … +'%G-%V %m'`: 2027-01-03 is a Sunday of week 53 of 2026.
        let zoned = |text: &str| format!("{text}+00:00[UTC]").parse::<Zoned>().unwrap();
        let same = |period: Period, a: &str, b: &str| period.number(&zoned(a)) == period.number(&zoned(b));
        assert!(same(Period::Week, "2026-12-28T00:00", "2027-01-03T23:59"));
        assert!(!same(Period::Week, "2027-01-03T23:59", "2027-01-04T00:00"));
        assert!(!same(Period::Year, "2026-12-31T23:59", "2027-01-01T00:00"));
        assert!(!same(Period::Month, "2026-01-31T00:00", "2026-02-01T00:00"));
        assert!(!same(Period::Day, "2026-01-31T12:00", "2026-02-01T12:00"));
        assert!(same(Period::Hour, "2026-01-31T12:00", "2026-01-31T12:59"));
        assert!(!same(Period::Hour, "2026-01-31T12:59", "2026-01-31T13:00"));
        assert!(!same(Period::Hour, "2026-01-30T12:00", "2026-01-31T12:00"));
    }

    #[test]
    fn a_policy_reads_as_its_options() {
        let policy = Policy {
            last: 3,
            counts: [0, 7, 0, UNLIMITED, 0],
            within: Some("1y6m".parse().unwrap()),
            tags: vec![vec!["a".into(), "b".into()]],
            ..Policy::default()
        };
        let words = "--keep-last 3 --keep-daily 7 --keep-monthly unlimited --keep-within 1y6m --keep-tag \"a,b\"";
        assert_eq!(policy.to_string(), words);
        assert!(!policy.is_empty() && Policy::default().is_empty());
    }

    #[test]
    fn groupings_are_read() {
        assert_eq!("line,host,root".parse::<GroupBy>().unwrap(), GroupBy::default());
        let none = "".parse::<GroupBy>().unwrap();
        assert!(!none.line && !none.host && !none.root);
        assert!("tree".parse::<GroupBy>().is_err());
    }
}

//! The policy: from options, or from the configuration.

use ghost_plumbing::repository::Repository;
use ghost_plumbing::retention::policy::UNLIMITED;
use ghost_plumbing::retention::{GroupBy, Policy};
use ghost_plumbing::time::CalendarSpan;

use crate::error::{Failure, Outcome};

/// What is kept.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "What is kept")]
pub struct PolicyArguments {
    /// Keep the last N ("unlimited" is all)
    #[arg(short = 'l', long, value_name = "N", value_parser = count)]
    pub keep_last: Option<u64>,
    /// Keep the newest of each of the last N hours that have snapshots
    #[arg(short = 'H', long, value_name = "N", value_parser = count)]
    pub keep_hourly: Option<u64>,
    /// Keep the newest of each of the last N days that have snapshots
    #[arg(short = 'd', long, value_name = "N", value_parser = count)]
    pub keep_daily: Option<u64>,
    /// Keep the newest of each of the last N weeks (from Monday) that have snapshots
    #[arg(short = 'w', long, value_name = "N", value_parser = count)]
    pub keep_weekly: Option<u64>,
    /// Keep the newest of each of the last N months that have snapshots
    #[arg(short = 'm', long, value_name = "N", value_parser = count)]
    pub keep_monthly: Option<u64>,
    /// Keep the newest of each of the last N years that have snapshots
    #[arg(short = 'y', long, value_name = "N", value_parser = count)]
    pub keep_yearly: Option<u64>,
    /// Keep what is at most DURATION older than the newest: years, months, weeks, days, hours, such as 1y6m or 30d
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within: Option<CalendarSpan>,
    /// Of each hour within DURATION of the newest, keep the newest
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_hourly: Option<CalendarSpan>,
    /// Of each day within DURATION of the newest, keep the newest
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_daily: Option<CalendarSpan>,
    /// Of each week within DURATION of the newest, keep the newest
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_weekly: Option<CalendarSpan>,
    /// Of each month within DURATION of the newest, keep the newest
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_monthly: Option<CalendarSpan>,
    /// Of each year within DURATION of the newest, keep the newest
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub keep_within_yearly: Option<CalendarSpan>,
    /// Keep what has this label; one,two is both; given again, either; '' what has no label
    #[arg(long = "keep-tag", value_name = "LABELS")]
    pub keep_tags: Vec<String>,
    /// What snapshots have in common that are looked at together: some of line,host,root, or '' [default: retention.group-by]
    #[arg(short = 'g', long, value_name = "WORDS", help_heading = "Which are looked at")]
    pub group_by: Option<String>,
}

impl PolicyArguments {
    /// The policy of the options; where none is given, that of the configuration.
    pub fn policy(&self, repository: &Repository) -> Outcome<Policy> {
        if self.is_given() {
            return Ok(self.of_options());
        }
        let policy = from_settings(repository)?;
        if policy.is_empty() {
            let hint = "say what is kept, such as `ghost forget --keep-daily 7 --keep-monthly 12`, or set retention.keep-daily \
                        and others; --dry-run shows what would be done";
            return Err(Failure::usage(
                "there is no policy, and without any all would be forgotten",
                hint,
            ));
        }
        Ok(policy)
    }

    /// What the snapshots of a group have in common.
    pub fn group_by(&self, repository: &Repository) -> Outcome<GroupBy> {
        let text = self
            .group_by
            .as_ref()
            .unwrap_or(&repository.settings().retention_group_by);
        Ok(text.parse()?)
    }

    fn counts(&self) -> [Option<u64>; 5] {
        [
            self.keep_hourly,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
        ]
    }

    fn within_each(&self) -> [Option<CalendarSpan>; 5] {
        [
            self.keep_within_hourly,
            self.keep_within_daily,
            self.keep_within_weekly,
            self.keep_within_monthly,
            self.keep_within_yearly,
        ]
    }

    /// Whether any rule is given.
    pub fn is_given(&self) -> bool {
        self.keep_last.is_some()
            || self.counts() != [None; 5]
            || self.keep_within.is_some()
            || self.within_each() != [None; 5]
            || !self.keep_tags.is_empty()
    }

    fn of_options(&self) -> Policy {
        Policy {
            last: self.keep_last.unwrap_or_default(),
            counts: self.counts().map(Option::unwrap_or_default),
            within: self.keep_within,
            within_each: self.within_each(),
            tags: self.keep_tags.iter().map(|text| labels(text)).collect(),
        }
    }
}

fn from_settings(repository: &Repository) -> Outcome<Policy> {
    let settings = repository.settings();
    let span = |text: &String| match text.is_empty() {
        true => Ok(None),
        false => text.parse().map(Some),
    };
    Ok(Policy {
        last: settings.retention_keep_last,
        counts: [
            settings.retention_keep_hourly,
            settings.retention_keep_daily,
            settings.retention_keep_weekly,
            settings.retention_keep_monthly,
            settings.retention_keep_yearly,
        ],
        within: span(&settings.retention_keep_within)?,
        within_each: [
            span(&settings.retention_keep_within_hourly)?,
            span(&settings.retention_keep_within_daily)?,
            span(&settings.retention_keep_within_weekly)?,
            span(&settings.retention_keep_within_monthly)?,
            span(&settings.retention_keep_within_yearly)?,
        ],
        tags: settings.retention_keep_tags.iter().map(|text| labels(text)).collect(),
    })
}

/// The labels of a list with commas; none where the text is empty.
pub fn labels(text: &str) -> Vec<String> {
    let labels = text.split(',').map(str::trim).filter(|label| !label.is_empty());
    labels.map(str::to_owned).collect()
}

fn count(text: &str) -> Result<u64, String> {
    match text {
        "unlimited" | "all" => Ok(UNLIMITED),
        text => text.parse().map_err(|_| "expected a number, or unlimited".to_owned()),
    }
}

fn span(text: &str) -> Result<CalendarSpan, String> {
    text.parse::<CalendarSpan>().map_err(|error| match error {
        ghost_plumbing::Error::Invalid { problem, .. } => problem,
        error => error.to_string(),
    })
}

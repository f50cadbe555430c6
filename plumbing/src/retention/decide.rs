//! Which snapshots a policy keeps, and why. Pure: values in, values out.
//!
//! 1. Snapshots are put into groups. One that is on two lines is in the groups of both.
//! 2. In each group, in the order of history, newest first, each rule says what it keeps:
//!    - *last N*: the first N
//!    - *hourly, daily, … N*: of each hour, day, … that has snapshots the first one, for the first N of them. Where there
//!      are fewer than N, the oldest snapshot is kept too, so that a rule which is not filled yet reaches back as far as
//!      it can
//!    - *within SPAN*: those at most so much older than the newest time in the group; *within SPAN, daily*: of these the
//!      first one of each day
//!    - *tag*: those with the labels
//! 3. What something protects is kept whatever the rules say: the newest of a line, what another ref names.
//! 4. If all of a group would go, its newest stays.
//! 5. A snapshot goes only if it goes in all of its groups.
//!
//! Times:
//!
//! - Order is that of history: a snapshot comes before its parents, whatever the clocks said. So a clock that was set
//!   back does not make the newest snapshots the oldest.
//! - Hours, days and so on are those of the place where a snapshot was taken, by the offset from UTC that it carries. So
//!   the same snapshots are chosen on every machine.
//! - A snapshot whose time is after now is kept and counts for no rule: the clock was wrong then, or is now. Beside that,
//!   no rule looks at the time now.

use bstr::BString;
use hashbrown::{HashMap, HashSet};
use jiff::Zoned;
use jiff::tz::{Offset, TimeZone};

use super::policy::{GroupBy, Period, Policy, UNLIMITED};
use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::time::{CalendarSpan, Timestamp};

/// What a policy looks at of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: ObjectId,
    /// When it was taken.
    pub time: Timestamp,
    /// Minutes east of UTC where it was taken.
    pub offset_minutes: i64,
    /// The machine.
    pub host: String,
    /// What it was taken of: absolute paths.
    pub roots: Vec<BString>,
    /// Its labels, sorted.
    pub tags: Vec<String>,
    /// The lines that it is on, by their full names, sorted.
    pub lines: Vec<String>,
    /// Why it stays whatever the rules say.
    pub protected: Vec<Reason>,
}

/// Why a snapshot is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is one of the last.
    Last,
    /// It is the newest of its hour, day, …
    Newest(Period),
    /// It is the oldest, where a rule has fewer hours, days, … than it wants.
    Oldest(Period),
    /// It is at most so much older than the newest.
    Within(CalendarSpan),
    /// It is that, and the newest of its hour, day, …
    NewestWithin(Period, CalendarSpan),
    /// It has these labels; none: it has no label.
    Tags(Vec<String>),
    /// Its time is after now.
    Future,
    /// Everything else of its group goes.
    LastOfGroup,
    /// It is the newest of this line.
    Tip(String),
    /// This ref names it.
    Named(String),
    /// It is kept on this line too.
    KeptOn(String),
    /// It is on this line too, which was not asked about.
    OnLine(String),
}

/// Why a snapshot is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// This newer one of the same hour, day, … is kept.
    Newer(Period, ObjectId),
    /// No rule reaches it.
    Unreached,
}

/// What becomes of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for at least one reason.
    Keep(Vec<Reason>),
    /// It goes.
    Forget(Loss),
}

/// What the snapshots of a group have in common; none where they were not put together by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// The line by its full name.
    pub line: Option<String>,
    /// The machine.
    pub host: Option<String>,
    /// What they were taken of.
    pub roots: Option<Vec<BString>>,
}

/// What becomes of one snapshot of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its number among the candidates.
    pub at: usize,
    /// What becomes of it.
    pub fate: Fate,
}

/// The snapshots that a policy looks at together, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common.
    pub key: GroupKey,
    /// What becomes of each.
    pub decisions: Vec<Decision>,
}

/// Decides about `candidates`, which come newest first in the order of history. `selected` says which lines are asked
/// about; `now` is the time by the clock.
///
/// An empty policy is refused: it would forget all.
pub fn decide(
    candidates: &[Candidate],
    policy: &Policy,
    by: GroupBy,
    selected: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Vec<Group>> {
    if policy.is_empty() {
        let problem = "expected at least one rule, such as --keep-daily 7; without any, all would be forgotten";
        return Err(Error::invalid("policy", policy, problem));
    }
    let mut groups = group(candidates, by, selected);
    for group in &mut groups {
        Rules::new(candidates, group, policy, now).apply(group);
    }
    spare_those_kept_elsewhere(candidates, &mut groups, selected);
    Ok(groups)
}

/// Puts candidates into groups, sorted by their keys.
fn group(candidates: &[Candidate], by: GroupBy, selected: &dyn Fn(&str) -> bool) -> Vec<Group> {
    let mut found: HashMap<GroupKey, Vec<Decision>> = HashMap::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let mut lines: Vec<_> = candidate.lines.iter().filter(|line| selected(line)).map(Some).collect();
        if !by.line {
            lines.truncate(1);
        }
        for line in lines {
            let key = GroupKey {
                line: line.filter(|_| by.line).cloned(),
                host: by.host.then(|| candidate.host.clone()),
                roots: by.root.then(|| candidate.roots.clone()),
            };
            let fate = Fate::Forget(Loss::Unreached);
            found.entry(key).or_default().push(Decision { at, fate });
        }
    }
    let mut groups: Vec<_> = found
        .into_iter()
        .map(|(key, decisions)| Group { key, decisions })
        .collect();
    groups.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    groups
}

/// The rules at work on one group.
struct Rules<'a> {
    candidates: &'a [Candidate],
    policy: &'a Policy,
    now: Timestamp,
    /// How many more each rule keeps.
    last: u64,
    counts: [u64; 5],
    /// What each rule has kept one of already.
    had: [HashSet<i64>; 5],
    had_within: [HashSet<i64>; 5],
    /// Where each rule about a span begins.
    within: Option<(CalendarSpan, Zoned)>,
    within_each: [Option<(CalendarSpan, Zoned)>; 5],
}

impl<'a> Rules<'a> {
    fn new(candidates: &'a [Candidate], group: &Group, policy: &'a Policy, now: Timestamp) -> Self {
        let past = group.decisions.iter().map(|decision| &candidates[decision.at]);
        let newest = past
            .filter(|candidate| candidate.time <= now)
            .max_by_key(|candidate| candidate.time);
        let since = |span: Option<CalendarSpan>| Some((span?, span?.before(&instant(newest?))));
        Self {
            candidates,
            policy,
            now,
            last: policy.last,
            counts: policy.counts,
            had: Default::default(),
            had_within: Default::default(),
            within: since(policy.within),
            within_each: policy.within_each.map(since),
        }
    }

    /// Decides about the group.
    fn apply(mut self, group: &mut Group) {
        let is_past = |at: usize| self.candidates[at].time <= self.now;
        let oldest = group
            .decisions
            .iter()
            .rev()
            .map(|decision| decision.at)
            .find(|at| is_past(*at));
        for decision in &mut group.decisions {
            let reasons = self.reasons(decision.at, oldest == Some(decision.at));
            if !reasons.is_empty() {
                decision.fate = Fate::Keep(reasons);
            }
        }
        let keeps_any = group
            .decisions
            .iter()
            .any(|decision| matches!(decision.fate, Fate::Keep(_)));
        if !keeps_any && let Some(newest) = group.decisions.first_mut() {
            newest.fate = Fate::Keep(vec![Reason::LastOfGroup]);
        }
        self.explain(group);
    }

    /// Why a snapshot is kept; nothing if it is not.
    fn reasons(&mut self, at: usize, is_oldest: bool) -> Vec<Reason> {
        let candidate = &self.candidates[at];
        let mut reasons = candidate.protected.clone();
        if candidate.time > self.now {
            reasons.push(Reason::Future);
            return reasons;
        }
        if take(&mut self.last) {
            reasons.push(Reason::Last);
        }
        let instant = instant(candidate);
        for (rule, period) in Period::ALL.into_iter().enumerate() {
            let number = period.number(&instant);
            if self.counts[rule] == 0 {
                continue;
            }
            if self.had[rule].insert(number) {
                take(&mut self.counts[rule]);
                reasons.push(Reason::Newest(period));
            } else if is_oldest {
                reasons.push(Reason::Oldest(period));
            }
        }
        if let Some((span, since)) = &self.within
            && instant > *since
        {
            reasons.push(Reason::Within(*span));
        }
        for (rule, period) in Period::ALL.into_iter().enumerate() {
            if let Some((span, since)) = &self.within_each[rule]
                && instant > *since
                && (self.had_within[rule].insert(period.number(&instant)) || is_oldest)
            {
                reasons.push(Reason::NewestWithin(period, *span));
            }
        }
        let fits = |tags: &&Vec<String>| match tags.is_empty() {
            true => candidate.tags.is_empty(),
            false => tags.iter().all(|tag| candidate.tags.contains(tag)),
        };
        reasons.extend(self.policy.tags.iter().filter(fits).cloned().map(Reason::Tags));
        reasons
    }

    /// Says of each snapshot that goes which newer one stands for it.
    fn explain(&self, group: &mut Group) {
        let policy = self.policy;
        for (rule, period) in Period::ALL.into_iter().enumerate().rev() {
            if policy.counts[rule] == 0 && policy.within_each[rule].is_none() {
                continue;
            }
            let mut kept: HashMap<i64, ObjectId> = HashMap::new();
            for decision in &mut group.decisions {
                let candidate = &self.candidates[decision.at];
                let number = period.number(&instant(candidate));
                match &mut decision.fate {
                    Fate::Keep(reasons) if !reasons.contains(&Reason::Future) => {
                        kept.entry(number).or_insert(candidate.id);
                    }
                    Fate::Keep(_) => {}
                    Fate::Forget(loss) => {
                        if let Some(newer) = kept.get(&number) {
                            *loss = Loss::Newer(period, *newer);
                        }
                    }
                }
            }
        }
    }
}

/// Takes one of what a rule keeps, if it keeps more.
fn take(left: &mut u64) -> bool {
    let any = *left > 0;
    if any && *left != UNLIMITED {
        *left -= 1;
    }
    any
}

/// A snapshot goes only if it goes in all of its groups, and is on no line that was not asked about.
fn spare_those_kept_elsewhere(candidates: &[Candidate], groups: &mut [Group], selected: &dyn Fn(&str) -> bool) {
    let mut kept_on: HashMap<usize, String> = HashMap::new();
    for group in groups.iter() {
        let line = group.key.line.clone().unwrap_or_default();
        for decision in group
            .decisions
            .iter()
            .filter(|decision| matches!(decision.fate, Fate::Keep(_)))
        {
            kept_on.entry(decision.at).or_insert_with(|| line.clone());
        }
    }
    let gone = |decision: &&mut Decision| matches!(decision.fate, Fate::Forget(_));
    for decision in groups.iter_mut().flat_map(|group| &mut group.decisions).filter(gone) {
        let other = candidates[decision.at].lines.iter().find(|line| !selected(line));
        if let Some(line) = other {
            decision.fate = Fate::Keep(vec![Reason::OnLine(line.clone())]);
        } else if let Some(line) = kept_on.get(&decision.at) {
            decision.fate = Fate::Keep(vec![Reason::KeptOn(line.clone())]);
        }
    }
}

/// When a snapshot was taken, by the clock of the place; the first or last instant that there is, where it lies beyond
/// the calendar.
pub fn instant(candidate: &Candidate) -> Zoned {
    let seconds = candidate.offset_minutes.saturating_mul(60);
    let offset = i32::try_from(seconds)
        .ok()
        .and_then(|seconds| Offset::from_seconds(seconds).ok());
    let zone = TimeZone::fixed(offset.unwrap_or(Offset::UTC));
    let nanos = i32::try_from(candidate.time.nanos).unwrap_or_default();
    let time = jiff::Timestamp::new(candidate.time.seconds, nanos);
    let time = time.unwrap_or(match candidate.time.seconds {
        ..0 => jiff::Timestamp::MIN,
        _ => jiff::Timestamp::MAX,
    });
    time.to_zoned(zone)
}

use hashbrown::HashSet;
use proptest::prelude::*;

use super::policy::UNLIMITED;
use super::*;
use crate::error::Error;
use crate::object::{HashAlgo, ObjectId};
use crate::time::Timestamp;

const MAIN: &str = "refs/snapshots/main";
const DAY: i64 = 86_400;
/// 2026-11-21T10:00:00Z.
const NOW: i64 = 1_795_255_200;

fn id(number: usize) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, &number.to_le_bytes())
}

fn candidate(number: usize, seconds: i64) -> Candidate {
    Candidate {
        id: id(number),
        time: Timestamp::new(seconds, 0),
        offset_minutes: 0,
        host: "host".to_owned(),
        roots: vec!["/home".into()],
        tags: Vec::new(),
        lines: vec![MAIN.to_owned()],
        protected: Vec::new(),
    }
}

/// Candidates at these times, the first one the newest.
fn at(times: &[i64]) -> Vec<Candidate> {
    (0..)
        .zip(times)
        .map(|(number, time)| candidate(number, *time))
        .collect()
}

fn every(_: &str) -> bool {
    true
}

fn run(candidates: &[Candidate], policy: &Policy) -> Vec<Group> {
    decide(candidates, policy, GroupBy::default(), &every, Timestamp::new(NOW, 0)).unwrap()
}

/// The numbers of what is kept.
fn kept(groups: &[Group]) -> Vec<usize> {
    let decisions = groups.iter().flat_map(|group| &group.decisions);
    let mut kept: Vec<usize> = decisions
        .filter(|decision| matches!(decision.fate, Fate::Keep(_)))
        .map(|decision| decision.at)
        .collect();
    kept.sort_unstable();
    kept.dedup();
    kept
}

fn fate(groups: &[Group], at: usize) -> &Fate {
    let mut decisions = groups.iter().flat_map(|group| &group.decisions);
    &decisions.find(|decision| decision.at == at).unwrap().fate
}

fn rule(period: Period, count: u64) -> Policy {
    let mut policy = Policy::default();
    policy.counts[Period::ALL.iter().position(|known| *known == period).unwrap()] = count;
    policy
}

#[test]
fn each_rule_says_what_it_keeps() {
    // Two a day, at 09:00 and 21:00, over ten days; the newest first.
    let times: Vec<i64> = (0..20).map(|half| NOW - 3600 - half * DAY / 2).collect();
    let candidates = at(&times);
    let last = Policy {
        last: 3,
        ..Policy::default()
    };
    assert_eq!(kept(&run(&candidates, &last)), [0, 1, 2]);
    assert_eq!(kept(&run(&candidates, &rule(Period::Day, 3))), [0, 1, 3]);
    // 2026-11-21 is a Saturday: the weeks end on the 15th.
    assert_eq!(kept(&run(&candidates, &rule(Period::Week, 2))), [0, 11]);
    // One month is not enough for two: the oldest stays.
    let groups = run(&candidates, &rule(Period::Month, 2));
    assert_eq!(kept(&groups), [0, 19]);
    assert_eq!(*fate(&groups, 19), Fate::Keep(vec![Reason::Oldest(Period::Month)]));
    assert_eq!(*fate(&groups, 7), Fate::Forget(Loss::Newer(Period::Month, id(0))));
    let within = Policy {
        within: Some("2d".parse().unwrap()),
        ..Policy::default()
    };
    assert_eq!(kept(&run(&candidates, &within)), [0, 1, 2, 3]);
    let mut within_each = Policy::default();
    within_each.within_each[1] = Some("2d".parse().unwrap());
    assert_eq!(kept(&run(&candidates, &within_each)), [0, 1, 3]);
    let all = Policy {
        last: UNLIMITED,
        ..Policy::default()
    };
    assert_eq!(kept(&run(&candidates, &all)).len(), 20);
    assert!(matches!(
        decide(
            &candidates,
            &Policy::default(),
            GroupBy::default(),
            &every,
            Timestamp::new(NOW, 0)
        ),
        Err(Error::Invalid { what: "policy", .. })
    ));
}

#[test]
fn labels_and_protection_keep_too() {
    let mut candidates = at(&[NOW - 10, NOW - 20, NOW - 30, NOW - 40]);
    candidates[1].tags = vec!["a".to_owned(), "b".to_owned()];
    candidates[2].tags = vec!["a".to_owned()];
    candidates[3].protected = vec![Reason::Named("refs/tags/v1".to_owned())];
    let tags = |tags: &[&[&str]]| Policy {
        tags: tags
            .iter()
            .map(|all| all.iter().map(|&tag| tag.into()).collect())
            .collect(),
        ..Policy::default()
    };
    assert_eq!(kept(&run(&candidates, &tags(&[&["a"]]))), [1, 2, 3]);
    assert_eq!(kept(&run(&candidates, &tags(&[&["a", "b"]]))), [1, 3]);
    assert_eq!(kept(&run(&candidates, &tags(&[&[]]))), [0, 3]);
    // A label that nothing has would empty the group.
    candidates[3].protected.clear();
    let groups = run(&candidates, &tags(&[&["c"]]));
    assert_eq!(kept(&groups), [0]);
    assert_eq!(*fate(&groups, 0), Fate::Keep(vec![Reason::LastOfGroup]));
}

#[test]
fn what_lies_in_the_future_is_kept_and_counts_for_nothing() {
    // The clock was ten years ahead for two snapshots, then right again.
    let candidates = at(&[
        NOW - 10,
        NOW + 3652 * DAY,
        NOW + 3651 * DAY,
        NOW - DAY,
        NOW - 2 * DAY,
        NOW - 3 * DAY,
    ]);
    let groups = run(&candidates, &rule(Period::Day, 2));
    assert_eq!(kept(&groups), [0, 1, 2, 3]);
    assert_eq!(*fate(&groups, 1), Fate::Keep(vec![Reason::Future]));
    let within = Policy {
        within: Some("36h".parse().unwrap()),
        ..Policy::default()
    };
    assert_eq!(kept(&run(&candidates, &within)), [0, 1, 2, 3]);
}

#[test]
fn order_is_that_of_history_where_clocks_went_back() {
    // The clock was ten years behind for the three newest.
    let candidates = at(&[
        NOW - 3650 * DAY,
        NOW - 3651 * DAY,
        NOW - 3652 * DAY,
        NOW - DAY,
        NOW - 2 * DAY,
    ]);
    let last = Policy {
        last: 3,
        ..Policy::default()
    };
    assert_eq!(kept(&run(&candidates, &last)), [0, 1, 2]);
    assert_eq!(kept(&run(&candidates, &rule(Period::Day, 4))), [0, 1, 2, 3]);
    // Set back while `forget` runs: what was taken before is in the future and stays.
    let now = Timestamp::new(NOW - 3649 * DAY, 0);
    let groups = decide(&candidates, &rule(Period::Day, 1), GroupBy::default(), &every, now).unwrap();
    assert_eq!(kept(&groups), [0, 3, 4]);
}

#[test]
fn days_are_those_of_the_place() {
    // 23:30 and 00:30 UTC are one day in Sydney, two in London.
    let mut candidates = at(&[NOW - 9 * 3600 - 1800, NOW - 10 * 3600 - 1800]);
    assert_eq!(kept(&run(&candidates, &rule(Period::Day, 1))), [0]);
    assert_eq!(kept(&run(&candidates, &rule(Period::Day, 2))), [0, 1]);
    for candidate in &mut candidates {
        candidate.offset_minutes = 11 * 60;
    }
    let groups = run(&candidates, &rule(Period::Day, 1));
    assert_eq!(*fate(&groups, 1), Fate::Forget(Loss::Newer(Period::Day, id(0))));
    // Instants and offsets that no calendar has do no harm.
    candidates[1].time = Timestamp::new(i64::MIN, 999_999_999);
    candidates[1].offset_minutes = i64::MAX;
    assert_eq!(kept(&run(&candidates, &rule(Period::Year, 9))), [0, 1]);
}

#[test]
fn groups_are_decided_by_themselves_and_lines_together() {
    let mut candidates = at(&[NOW - 10, NOW - 20, NOW - 30, NOW - 40]);
    candidates[1].host = "other".to_owned();
    candidates[3].host = "other".to_owned();
    let last = Policy {
        last: 1,
        ..Policy::default()
    };
    assert_eq!(kept(&run(&candidates, &last)), [0, 1]);
    let by = "line".parse().unwrap();
    let one = decide(&candidates, &last, by, &every, Timestamp::new(NOW, 0)).unwrap();
    assert_eq!((one.len(), kept(&one)), (1, vec![0]));
    // The third is on a second line, where it is the newest.
    candidates[2].lines.push("refs/snapshots/side".to_owned());
    candidates[3].lines.push("refs/snapshots/side".to_owned());
    let groups = run(&candidates, &last);
    assert_eq!(kept(&groups), [0, 1, 2, 3]);
    let main = groups
        .iter()
        .find(|group| group.key.line.as_deref() == Some(MAIN))
        .unwrap();
    let kept_on = Reason::KeptOn("refs/snapshots/side".to_owned());
    assert!(
        main.decisions
            .iter()
            .any(|decision| decision.fate == Fate::Keep(vec![kept_on.clone()]))
    );
    // Asked about one line alone, what is on another stays.
    let only_main = |line: &str| line == MAIN;
    let groups = decide(
        &candidates,
        &last,
        GroupBy::default(),
        &only_main,
        Timestamp::new(NOW, 0),
    )
    .unwrap();
    let on_line = Reason::OnLine("refs/snapshots/side".to_owned());
    assert_eq!(*fate(&groups, 2), Fate::Keep(vec![on_line]));
}

/// Snapshots of a real repository, newest first.
const TIMES: [&str; 22] = [
    "2026-11-20T21:30",
    "2026-11-18T19:30",
    "2026-11-18T12:50",
    "2026-11-11T12:50",
    "2026-11-11T12:25",
    "2026-11-11T11:35",
    "2026-10-12T11:35",
    "2026-10-12T10:45",
    "2026-10-10T08:45",
    "2026-07-12T08:45",
    "2026-07-12T08:20",
    "2026-06-12T08:20",
    "2026-06-11T08:20",
    "2026-06-11T07:55",
    "2026-06-11T07:05",
    "2026-06-04T07:05",
    "2026-05-28T07:05",
    "2026-05-28T06:15",
    "2026-05-27T06:15",
    "2026-05-27T05:25",
    "2026-04-27T05:25",
    "2026-04-20T05:25",
];

/// What restic 0.14.0 kept of them: `restic forget --dry-run --json` with these rules, by number. Later versions keep the
/// oldest, too, where a rule is not filled; these are.
#[test]
fn decisions_are_those_of_restic() {
    let time = |text: &&str| format!("{text}:00Z").parse::<jiff::Timestamp>().unwrap().as_second();
    let candidates = at(&TIMES.iter().map(time).collect::<Vec<_>>());
    let span = |text: &str| Some(text.parse().unwrap());
    let within = |rule: usize, text: &str| {
        let mut policy = Policy {
            last: u64::from(rule > 1),
            ..Policy::default()
        };
        policy.within_each[rule] = span(text);
        policy
    };
    let last = Policy {
        last: 3,
        ..Policy::default()
    };
    let days = Policy {
        within: span("45d"),
        ..Policy::default()
    };
    let mixed = Policy {
        counts: [0, 3, 3, 4, 0],
        ..Policy::default()
    };
    for (policy, expected) in [
        (last, &[0, 1, 2][..]),
        (rule(Period::Hour, 4), &[0, 1, 2, 3][..]),
        (rule(Period::Day, 5), &[0, 1, 3, 6, 8][..]),
        (rule(Period::Week, 4), &[0, 3, 6, 8][..]),
        (rule(Period::Month, 6), &[0, 6, 9, 11, 16, 20][..]),
        (days, &[0, 1, 2, 3, 4, 5, 6, 7, 8][..]),
        (within(1, "2m"), &[0, 1, 3, 6, 8][..]),
        (within(2, "3m"), &[0, 3, 6, 8][..]),
        (within(3, "6m"), &[0, 6, 9, 11, 16][..]),
        (mixed, &[0, 1, 3, 6, 9, 11][..]),
    ] {
        assert_eq!(kept(&run(&candidates, &policy)), expected, "{policy}");
    }
}

#[test]
fn a_great_plan_takes_several_records_and_each_checks_the_lines() {
    let values = [
        (MAIN.to_owned(), id(1)),
        ("refs/snapshots/side".to_owned(), id(2)),
        ("refs/tags/v1".to_owned(), id(3)),
    ];
    let plan = Plan {
        forget: (0..70_000).map(id).collect(),
        restore: vec![id(70_001)],
    };
    let records = plan.changes(&values);
    assert_eq!(records.len(), 2);
    for changes in &records {
        assert!(changes.len() <= crate::limits::REF_CHANGES_MAX);
        assert_eq!(changes[0].expected, crate::refs::Expected::Is(id(1)));
        assert_eq!(changes[1].new, Some(id(2)));
    }
    assert_eq!(records.iter().map(|changes| changes.len() - 2).sum::<usize>(), 70_001);
    assert!(Plan::default().is_empty() && Plan::default().changes(&values).is_empty());
}

fn policies() -> impl Strategy<Value = Policy> {
    let count = || prop_oneof![3 => Just(0u64), 3 => 1..6u64, 1 => Just(UNLIMITED)];
    let span = || prop_oneof![3 => Just(None), 1 => (1..400i64).prop_map(|days| format!("{days}d").parse().ok())];
    let counts = prop::array::uniform5(count());
    (count(), counts, span(), prop::array::uniform5(span())).prop_map(|(last, counts, within, within_each)| Policy {
        last,
        counts,
        within,
        within_each,
        tags: Vec::new(),
    })
}

/// Times in any order, dense and sparse, some in the future.
fn times() -> impl Strategy<Value = Vec<i64>> {
    let gap = prop_oneof![-3600..7200i64, -DAY..3 * DAY, 0..90 * DAY];
    (prop::collection::vec(gap, 1..60), -2 * DAY..5 * DAY).prop_map(|(gaps, first)| {
        let mut time = NOW + first.min(DAY);
        let step = |gap| {
            time -= gap;
            time
        };
        gaps.into_iter().map(step).collect()
    })
}

/// What a rule about periods keeps, told in another way: number the periods in the order in which they are met.
fn naive(candidates: &[Candidate], period: Period, count: u64) -> HashSet<usize> {
    let past: Vec<usize> = (0..candidates.len())
        .filter(|at| candidates[*at].time.seconds <= NOW)
        .collect();
    let number = |at: usize| period.number(&decide::instant(&candidates[at]));
    let is_first = |position: &usize| {
        past[..*position]
            .iter()
            .all(|before| number(*before) != number(past[*position]))
    };
    let firsts: Vec<usize> = (0..past.len())
        .filter(is_first)
        .map(|position| past[position])
        .collect();
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    let mut kept: HashSet<usize> = firsts.iter().copied().take(wanted).collect();
    if firsts.len() < wanted {
        kept.extend(past.last());
    }
    kept
}

proptest! {
    #[test]
    fn a_rule_keeps_what_its_words_say(times in times(), which in 0..5usize, count in 1..8u64) {
        let candidates = at(&times);
        let period = Period::ALL[which];
        let groups = run(&candidates, &rule(period, count));
        let mut expected = naive(&candidates, period, count);
        expected.extend((0..candidates.len()).filter(|at| candidates[*at].time.seconds > NOW));
        let mut expected: Vec<usize> = expected.into_iter().collect();
        expected.sort_unstable();
        prop_assert_eq!(kept(&groups), expected);
    }

    #[test]
    fn rules_are_added_up(times in times(), policy in policies()) {
        prop_assume!(!policy.is_empty());
        let candidates = at(&times);
        let mut single = Vec::new();
        if policy.last > 0 {
            single.push(Policy { last: policy.last, ..Policy::default() });
        }
        for rule in 0..5 {
            let mut one = Policy::default();
            one.counts[rule] = policy.counts[rule];
            let mut other = Policy::default();
            other.within_each[rule] = policy.within_each[rule];
            single.extend([one, other]);
        }
        single.push(Policy { within: policy.within, ..Policy::default() });
        let mut expected: Vec<usize> = single
            .iter()
            .filter(|policy| !policy.is_empty())
            .map(|policy| run(&candidates, policy))
            // What is kept only so that the group is not emptied is no rule's doing.
            .filter(|groups| !matches!(fate(groups, 0), Fate::Keep(reasons) if reasons == &[Reason::LastOfGroup]))
            .flat_map(|groups| kept(&groups))
            .collect();
        if expected.is_empty() {
            expected.push(0);
        }
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(kept(&run(&candidates, &policy)), expected);
    }

    #[test]
    fn a_second_run_forgets_nothing(mut times in times(), policy in policies()) {
        prop_assume!(!policy.is_empty());
        // With clocks that went back, the newest time may go and with it what spans are counted from.
        times.sort_unstable_by(|a, b| b.cmp(a));
        let candidates = at(&times);
        let left: Vec<Candidate> = kept(&run(&candidates, &policy)).into_iter().map(|at| candidates[at].clone()).collect();
        prop_assert_eq!(kept(&run(&left, &policy)).len(), left.len());
    }

    #[test]
    fn some_of_each_group_stays_and_every_loss_has_its_reason(times in times(), policy in policies()) {
        prop_assume!(!policy.is_empty());
        let candidates = at(&times);
        let groups = run(&candidates, &policy);
        prop_assert!(!kept(&groups).is_empty());
        for decision in groups.iter().flat_map(|group| &group.decisions) {
            match &decision.fate {
                Fate::Keep(reasons) => prop_assert!(!reasons.is_empty()),
                Fate::Forget(Loss::Unreached) => {}
                Fate::Forget(Loss::Newer(period, newer)) => {
                    let newer = candidates.iter().position(|candidate| candidate.id == *newer).unwrap();
                    let [a, b] = [newer, decision.at].map(|at| period.number(&decide::instant(&candidates[at])));
                    prop_assert!(newer < decision.at && a == b);
                    prop_assert!(matches!(fate(&groups, newer), Fate::Keep(_)));
                }
            }
        }
    }
}

use proptest::prelude::*;

use super::*;
use crate::ghosts::fasthash;
use crate::ghosts::ghost::tests::any_ghost;

fn example() -> Ghost {
    let day = |day: i64| Timestamp::new(1_795_251_600 + day * 86_400, 0);
    let mut gone = Place::seen("laptop", "/home/ada", "/home/ada/old\n\u{fc}.txt", day(-3), day(0));
    (gone.looked, gone.present) = (day(2), false);
    let place = Place::seen("desk", "/srv", "/srv/abc.txt", day(-1), day(1));
    let mut ghost = Ghost::seen(
        ObjectId::hash(HashAlgo::Sha256, b"abc"),
        Some(fasthash::of_bytes(b"abc")),
        3,
        place.clone(),
    );
    ghost.merge(&Ghost::seen(ghost.fullhash, None, 3, gone)).unwrap();
    ghost.verified_full = Some(Timestamp::new(1_795_251_600, 500_000_000));
    ghost
}

/// object-format.md, "Descriptor files".
#[test]
fn the_worked_example() {
    let page = include_str!("../../../../object-format.md");
    let text = String::from_utf8(encode([&example()])).unwrap();
    let block = format!("```text ghostdesc\n{text}```\n");
    assert!(page.contains(&block), "the page lacks {block}");
    assert_eq!(decode(Path::new("x"), text.as_bytes()).unwrap(), [example()]);
}

#[test]
fn damage_is_refused_by_line_wherever_it_is() {
    let text = encode([&example(), &example()]);
    for at in 0..text.len() {
        let mut other = text.clone();
        other[at] ^= 1;
        let error = decode(Path::new("x"), &other).unwrap_err();
        assert!(
            matches!(error, Error::Damaged { .. } | Error::Unsupported { .. }),
            "byte {at}: {error}"
        );
        assert!(decode(Path::new("x"), &text[..at]).is_err(), "cut at {at}");
    }
    let twice = [text.clone(), text].concat();
    assert_eq!(decode(Path::new("x"), &twice).unwrap().len(), 4);
}

/// A file in which a line is another, with the right check.
fn with(from: &str, to: &str) -> Result<Vec<Ghost>> {
    let text = String::from_utf8(encode([&example()])).unwrap();
    let (body, _) = text.split_once("check\t").unwrap();
    assert!(body.contains(from), "{from}");
    let body = body.replacen(from, to, 1);
    let check = ObjectId::hash(HashAlgo::Blake3, body.as_bytes());
    decode(Path::new("d"), format!("{body}check\t{check}\n").as_bytes())
}

#[test]
fn what_makes_no_sense_is_refused_though_its_check_is_right() {
    for (from, to, line, reason) in [
        (
            "/srv\t/srv/abc.txt",
            "/srv\t/srv/../abc.txt",
            8,
            "without empty names, . and ..",
        ),
        ("/srv\t/srv/abc.txt", "/srv\t/srvabc.txt", 8, "inside of its root"),
        ("/srv\t/srv/abc.txt", "/srv\t\"/srv/abc.txt\"", 8, "a name"),
        ("\tdesk\t", "\t\t", 8, "the name of a machine"),
        ("\tdesk\t", "\tzoo\t", 9, "sorted"),
        ("ghost\t", "ghost\t ", 2, "a hash and a length"),
        ("\t3\n", "\t03\n", 2, "a hash and a length"),
        ("\t3\n", "\t99999999999999999999\n", 2, "a hash and a length"),
        ("fast1:", "fast1:0", 3, "a fast hash"),
        ("found\t2026", "found\t2027", 7, "the older date first"),
        ("at\t2026", "at\t2027", 8, "dates in order"),
        ("T09:00:00.5Z", "T09:00:00.50Z", 5, "a time"),
        ("lastmod\t", "lastmud\t", 4, "found"),
    ] {
        let error = with(from, to).expect_err(to).to_string();
        assert!(
            error.contains(&format!("in line {line}")) && error.contains(reason),
            "{to}: {error}"
        );
    }
    // Later versions may know more schemes; this one does without.
    assert_eq!(with("fast1:", "fast2:").unwrap()[0].fasthash, None);
    let newer = with(HEADER, "ghostdesc 2").unwrap_err();
    assert!(matches!(newer, Error::Unsupported { .. }), "{newer}");
}

#[test]
fn instants_have_one_spelling() {
    for (seconds, nanos) in [
        (0, 0),
        (-1, 999_999_999),
        (i64::MIN, 1),
        (i64::MAX, 0),
        (YEAR_0, 0),
        (YEAR_0 - 1, 7),
    ] {
        let time = Timestamp::new(seconds, nanos);
        assert_eq!(parse_time(&time_text(time)), Some(time), "{}", time_text(time));
    }
    for other in ["2026-11-21T09:00:00+00:00", "@0.000000000", "2026-11-21 09:00:00Z", ""] {
        assert_eq!(parse_time(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn all_is_read_as_it_was_written(ghosts in prop::collection::vec(any_ghost(4), 0..4)) {
        let text = encode(&ghosts);
        let mut writer = Writer::new(Vec::new()).unwrap();
        ghosts.iter().for_each(|ghost| writer.write(ghost).unwrap());
        prop_assert_eq!(&writer.finish().unwrap(), &text);
        prop_assert_eq!(decode(Path::new("x"), &text).unwrap(), ghosts);
    }

    #[test]
    fn any_text_is_refused_or_read(text in "(ghostdesc 1\n)?(ghost\t|found\t|at\t|check\t|[a-z0-9:\t\n]){0,30}") {
        let _ = decode(Path::new("x"), text.as_bytes());
    }
}

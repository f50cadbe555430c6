//! Lines and entries, there and back.

use ghost_plumbing::object::HashAlgo;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn line(text: &str) -> Result<EntryLine, String> {
    EntryLine::parse(text.as_bytes(), Termination::Line)
}

#[test]
fn a_line_reads_as_documented() {
    let text = format!(
        "100755 file {ABC}+3 uid=1 gid=2 user=a%20b group=c mtime=-1.500000000 btime=7.000000001 \
         links=000102030405060708090a0b0c0d0e0f xattr.user.%3D=%00%FF\t\"tab\\there\""
    );
    let found = line(&text).unwrap();
    assert_eq!(found.path, "tab\there");
    assert_eq!((found.meta.mode, found.meta.uid, found.meta.gid), (0o755, 1, 2));
    assert_eq!(
        (found.meta.user.as_slice(), found.meta.group.as_slice()),
        (&b"a b"[..], &b"c"[..])
    );
    assert_eq!(found.meta.mtime, Timestamp::new(-1, 500_000_000));
    assert_eq!(found.meta.btime, Some(Timestamp::new(7, 1)));
    assert_eq!(found.meta.links.map(|group| group[15]), Some(15));
    assert_eq!(found.meta.xattrs, [("user.=".into(), vec![0, 255])]);
    let mut out = Vec::new();
    found.write(&mut out, false, Termination::Line);
    assert_eq!(out.as_bstr(), format!("{text}\n").as_str());
}

#[test]
fn sizes_are_shown_and_checked() {
    let found = line(&format!("100644 file {ABC}+3       3\tf")).unwrap();
    let mut out = Vec::new();
    found.write(&mut out, true, Termination::Nul);
    assert_eq!(out.as_bstr(), format!("100644 file {ABC}+3       3\tf\0").as_str());
    assert_eq!(line("040755 dir -       -\td").unwrap().node, None);
    assert!(line(&format!("100644 file {ABC}+3 4\tf")).is_err());
    assert!(line("040755 dir - 4\td").is_err());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let file = format!("100644 file {ABC}+3");
    for bad in [
        "".to_owned(),
        file.clone(),
        format!("{file}\t\"open"),
        format!("100644 dir {ABC}\tf"),
        format!("0100644 file {ABC}+3\tf"),
        format!("10064 file {ABC}+3\tf"),
        format!("100+44 file {ABC}+3\tf"),
        format!("100644 file {ABC}\tf"),
        "100644 file -\tf".to_owned(),
        format!("{file} uid=-1\tf"),
        format!("{file} uid=1 uid=1\tf"),
        format!("{file} mtime=1.0000000000\tf"),
        format!("{file} mtime=1.-5\tf"),
        format!("{file} links=00\tf"),
        format!("{file} xattr.a=%zz\tf"),
        format!("{file} xattr.a=1 xattr.%61=1\tf"),
        format!("{file} target=x\tf"),
        format!("{file} rdev=1:2\tf"),
        format!("{file} color=red\tf"),
        "120777 symlink -\tl".to_owned(),
        format!("120777 symlink {ABC} target=x\tl"),
        "020644 chardev -\tn".to_owned(),
        "010644 fifo - rdev=1:2\tp".to_owned(),
    ] {
        assert!(line(&bad).is_err(), "{bad:?}");
    }
}

fn any_id() -> impl Strategy<Value = ObjectId> {
    any::<u64>().prop_map(|n| ObjectId::hash(HashAlgo::Blake3, &n.to_le_bytes()))
}

fn any_bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(1..=255u8, 1..max)
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos))
}

fn any_node() -> impl Strategy<Value = Node> {
    let numbers = (any::<u32>(), any::<u32>());
    prop_oneof![
        (any_id(), 0..1u64 << 24, option::of(any_id())).prop_map(|(id, bytes, fullhash)| Node::File {
            content: ContentRef::Indirect { id, depth: 1, bytes },
            fullhash,
        }),
        (any::<u8>(), 1..1u64 << 60).prop_map(|(byte, bytes)| Node::File {
            content: ContentRef::Run { byte, bytes },
            fullhash: None,
        }),
        any_id().prop_map(|tree| Node::Directory { tree }),
        any_bytes(30).prop_map(|target| Node::Symlink { target: target.into() }),
        numbers.prop_map(|(major, minor)| Node::CharDevice { major, minor }),
        numbers.prop_map(|(major, minor)| Node::BlockDevice { major, minor }),
        Just(Node::Fifo),
        Just(Node::Socket),
        Just(Node::Whiteout),
    ]
}

fn any_entry() -> impl Strategy<Value = EntryLine> {
    let numbers = (0..=0o7777u32, any::<u32>(), any::<u32>());
    let names = (option::of(any_bytes(8)), option::of(any_bytes(8)));
    let times = (any_time(), option::of(any_time()));
    let xattrs = btree_map(any_bytes(8), vec(any::<u8>(), 0..8), 0..3);
    let rest = (xattrs, any::<Option<[u8; 16]>>(), any::<Option<(u64, u64)>>());
    (any_bytes(20), any_node(), numbers, names, times, rest).prop_map(
        |(path, node, (mode, uid, gid), (user, group), (mtime, btime), (xattrs, links, inode))| EntryLine {
            path: path.into(),
            kind: node.kind(),
            meta: Metadata {
                mode,
                uid,
                gid,
                user: user.unwrap_or_default().into(),
                group: group.unwrap_or_default().into(),
                mtime,
                btime,
                xattrs: xattrs.into_iter().map(|(name, value)| (name.into(), value)).collect(),
                links,
            },
            node: Some(node),
            inode: inode.map(|(device, number)| Inode { device, number }),
        },
    )
}

proptest! {
    #[test]
    fn every_entry_survives_its_line(entry in any_entry(), with_size: bool, nul: bool) {
        let end = Termination::from_flag(nul);
        let mut out = Vec::new();
        entry.write(&mut out, with_size, end);
        prop_assert_eq!(out.pop(), Some(end.byte()));
        prop_assert!(!out.contains(&end.byte()));
        let found = EntryLine::parse(&out, end);
        prop_assert_eq!(found, Ok(entry));
    }
}

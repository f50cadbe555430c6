//! Names of users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! The library asks no name service: the two files are read once and names of other sources stay unknown, which an
//! entry records as empty.

use std::io;
use std::path::Path;

use bstr::{BStr, BString, ByteSlice};
use hashbrown::HashMap;

use crate::limits::OWNER_NAME_BYTES_MAX;

/// Names by number. Shared by threads as it is: it never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    users: HashMap<u32, BString>,
    groups: HashMap<u32, BString>,
}

impl Owners {
    /// From the contents of a `passwd` and a `group` file. Where a number has several names the first counts, as it
    /// does for `getpwuid`; lines that are none are passed over.
    pub fn from_files(passwd: &[u8], group: &[u8]) -> Self {
        Self {
            users: parse(passwd),
            groups: parse(group),
        }
    }

    /// From this system's files. One that is not there names nobody.
    pub fn system() -> io::Result<Self> {
        let read = |path: &str| match fs_err::read(Path::new(path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            result => result,
        };
        Ok(Self::from_files(&read("/etc/passwd")?, &read("/etc/group")?))
    }

    /// The name of a user; empty if unknown.
    pub fn user(&self, uid: u32) -> &BStr {
        self.users.get(&uid).map(|name| name.as_bstr()).unwrap_or_default()
    }

    /// The name of a group; empty if unknown.
    pub fn group(&self, gid: u32) -> &BStr {
        self.groups.get(&gid).map(|name| name.as_bstr()).unwrap_or_default()
    }

    /// All users that have a name.
    pub fn users(&self) -> impl Iterator<Item = (u32, &BStr)> {
        self.users.iter().map(|(&uid, name)| (uid, name.as_bstr()))
    }

    /// All groups that have a name.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &BStr)> {
        self.groups.iter().map(|(&gid, name)| (gid, name.as_bstr()))
    }
}

/// Both files have the name first and the number third, with colons between.
fn parse(file: &[u8]) -> HashMap<u32, BString> {
    let mut names = HashMap::new();
    for line in file.lines() {
        let mut fields = line.split(|&byte| byte == b':');
        let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) else {
            continue;
        };
        // Lines that begin with a sign ask for a name service.
        let is_name = !name.is_empty() && name.len() <= OWNER_NAME_BYTES_MAX && !matches!(name[0], b'+' | b'-' | b'#');
        let number = number.to_str().ok().and_then(|digits| digits.parse::<u32>().ok());
        if let (true, Some(number)) = (is_name, number) {
            names.entry(number).or_insert_with(|| name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts_and_other_lines_are_passed_over() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n+nis::::::\n#no:x:7:\n:x:8:\nbad:x:-1:\n\
            big:x:4294967295:0\nshort:x\nlatin\xe9:x:9:9::\r\nlast:x:10";
        let owners = Owners::from_files(passwd, b"wheel:*:0:root\n");
        assert_eq!(owners.user(0), "root");
        assert_eq!(owners.user(9), b"latin\xe9".as_bstr());
        assert_eq!(owners.user(10), "last");
        assert_eq!(owners.user(u32::MAX), "big");
        assert_eq!(owners.users().count(), 4);
        assert_eq!((owners.user(7), owners.user(8)), (b"".as_bstr(), b"".as_bstr()));
        assert_eq!((owners.group(0), owners.group(1)), (b"wheel".as_bstr(), b"".as_bstr()));
        assert_eq!(owners.groups().count(), 1);
    }

    #[test]
    fn this_system_names_its_users_as_getent_does() {
        let owners = Owners::system().unwrap();
        for (database, all) in [("passwd", &owners.users), ("group", &owners.groups)] {
            for (number, name) in all {
                let output = Command::new("getent")
                    .args([database, &number.to_string()])
                    .output()
                    .unwrap();
                let first = output.stdout.split(|&byte| byte == b':').next().unwrap();
                assert_eq!(first, name.as_slice(), "{database} {number}");
            }
        }
        assert_eq!(owners.user(0), "root");
    }
}

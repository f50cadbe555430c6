//! Names, messages, ids and modes as they are shown: escaped, short, in columns.
//!
//! Nothing that came from a disk or from another person reaches a terminal but through here.

use ghost_plumbing::object::text::{escape_for_terminal, escape_lines_for_terminal};
use ghost_plumbing::object::{Kind, ObjectId};

/// Digits of an id for people.
const SHORT_DIGITS: usize = 10;

/// A name.
pub fn bytes(name: &[u8]) -> String {
    escape_for_terminal(name).into_owned()
}

/// A text of one line.
pub fn text(text: &str) -> String {
    bytes(text.as_bytes())
}

/// A line of a file: tabs stay.
pub fn line(line: &[u8]) -> String {
    escape_lines_for_terminal(line).into_owned()
}

/// A text of several lines.
pub fn lines(text: &str) -> String {
    escape_lines_for_terminal(text.as_bytes()).into_owned()
}

/// The first digits of an id.
pub fn short_id(id: &ObjectId) -> String {
    let mut hex = id.hex();
    hex.truncate(SHORT_DIGITS);
    hex
}

/// `drwxr-sr-x`, as `ls -l` shows it.
pub fn mode(kind: Kind, mode: u32) -> String {
    let mut out = String::with_capacity(10);
    out.push(match kind {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Whiteout => 'w',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        out.push(if bits & 4 != 0 { 'r' } else { '-' });
        out.push(if bits & 2 != 0 { 'w' } else { '-' });
        out.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_as_ls_shows_them() {
        // `install -m MODE; ls -l`
        for (bits, shown) in [
            (0o644, "-rw-r--r--"),
            (0o4755, "-rwsr-xr-x"),
            (0o2644, "-rw-r-Sr--"),
            (0o1777, "-rwxrwxrwt"),
            (0o1000, "---------T"),
        ] {
            assert_eq!(mode(Kind::File, bits), shown);
        }
        assert_eq!(mode(Kind::Directory, 0o750), "drwxr-x---");
    }

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(bytes(b"a\x1b[2Jb\n\xff"), "a\\x1b[2Jb\\n\\xff");
        assert!(!text("a\u{202e}b").contains('\u{202e}'));
        assert_eq!(lines("a\nb\r"), "a\nb\\r");
    }
}

//! Descriptions as text: `.ghostdesc` files (object-format.md, "Descriptor files").
//!
//! ```text
//! ghostdesc 1
//! ghost sha256:… 3
//! fasthash fast1:…
//! lastmod 2026-11-20T08:00:00Z
//! verified-full 2026-11-21T09:00:00Z
//! found 2026-11-21T09:00:00Z 2026-11-21T09:00:00Z
//! at 2026-11-21T09:00:00Z 2026-11-21T09:00:00Z 2026-11-20T08:00:00Z host /root /root/path
//! was …
//! check blake3:…
//! ```
//!
//! with a tab where a space is shown. Names of any bytes survive, as [`quote_name`] writes them. Files may stand one
//! behind the other in one file. There is one spelling of each line; a reader refuses any other by line and reason, and
//! whoever imports takes nothing before the last check was right.

#[cfg(test)]
mod tests;

use std::io::{BufRead, Read as _, Write};
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice as _};

use super::ghost::{Ghost, Place, Places};
use crate::error::{Error, Result};
use crate::limits::{CONTENT_BYTES_MAX, GHOST_LINE_BYTES_MAX, GHOST_PLACES_MAX};
use crate::object::text::{escape_for_terminal, quote_name, unquote_name};
use crate::object::{HashAlgo, Hasher, ObjectId};
use crate::time::Timestamp;

/// What a file ends with, by custom.
pub const EXTENSION: &str = "ghostdesc";
const HEADER: &str = "ghostdesc 1";
/// The word at the beginning of a file of any version.
const MAGIC: &[u8] = b"ghostdesc ";

/// Writes descriptions.
pub struct Writer<W: Write> {
    out: W,
    hasher: Hasher,
    bytes: u64,
}

impl<W: Write> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub fn new(out: W) -> std::io::Result<Self> {
        let mut writer = Self {
            out,
            hasher: Hasher::new(HashAlgo::Blake3),
            bytes: 0,
        };
        writer.put(&format!("{HEADER}\n"))?;
        Ok(writer)
    }

    /// Adds a description.
    pub fn write(&mut self, ghost: &Ghost) -> std::io::Result<()> {
        let text = lines(ghost);
        self.put(&text)
    }

    /// Ends the file with its check.
    pub fn finish(mut self) -> std::io::Result<W> {
        let check = self.hasher.clone().finish();
        writeln!(self.out, "check\t{check}")?;
        Ok(self.out)
    }

    /// Bytes written so far: where the next description begins.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn put(&mut self, text: &str) -> std::io::Result<()> {
        self.bytes += text.len() as u64;
        self.hasher.update(text.as_bytes());
        self.out.write_all(text.as_bytes())
    }
}

/// A file of these descriptions.
pub fn encode<'g>(ghosts: impl IntoIterator<Item = &'g Ghost>) -> Vec<u8> {
    let mut hasher = Hasher::new(HashAlgo::Blake3);
    let mut text = format!("{HEADER}\n");
    ghosts.into_iter().for_each(|ghost| text.push_str(&lines(ghost)));
    hasher.update(text.as_bytes());
    text.push_str(&format!("check\t{}\n", hasher.finish()));
    text.into_bytes()
}

/// The text of a file that has these lines of descriptions and no others.
pub(super) fn of_lines(lines: &[u8]) -> Vec<u8> {
    let mut text = [HEADER.as_bytes(), b"\n", lines].concat();
    let mut hasher = Hasher::new(HashAlgo::Blake3);
    hasher.update(&text);
    text.extend_from_slice(format!("check\t{}\n", hasher.finish()).as_bytes());
    text
}

/// The descriptions of a file; `path` is for errors.
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Vec<Ghost>> {
    Reader::new(path, bytes).collect()
}

fn lines(ghost: &Ghost) -> String {
    let mut out = format!("ghost\t{}\t{}\n", ghost.fullhash, ghost.size);
    let mut line = |word: &str, values: &[&str]| {
        out.push_str(word);
        for value in values {
            out.push('\t');
            out.push_str(value);
        }
        out.push('\n');
    };
    if let Some(fasthash) = ghost.fasthash {
        line("fasthash", &[&fasthash.to_string()]);
    }
    for (word, time) in [
        ("lastmod", ghost.lastmod),
        ("verified-full", ghost.verified_full),
        ("verified-fast", ghost.verified_fast),
    ] {
        if let Some(time) = time {
            line(word, &[&time_text(time)]);
        }
    }
    line("found", &[&time_text(ghost.found_first), &time_text(ghost.found_last)]);
    for place in &ghost.places {
        let [first, last, looked] = [place.seen_first, place.seen_last, place.looked].map(time_text);
        let mtime = place.mtime.map_or_else(|| "-".to_owned(), time_text);
        let [host, root, path] = [place.host.as_bytes(), &place.root, &place.path].map(quote_name);
        match place.present {
            true => line("at", &[&first, &last, &mtime, &host, &root, &path]),
            false => line("was", &[&first, &last, &looked, &mtime, &host, &root, &path]),
        }
    }
    out
}

/// An instant as RFC 3339 in UTC, with as many digits as it needs; `@` and seconds outside of the years 0 to 9999.
fn time_text(time: Timestamp) -> String {
    let nanos = i32::try_from(time.nanos).unwrap_or_default();
    match jiff::Timestamp::new(time.seconds, nanos) {
        Ok(instant) if time.seconds >= YEAR_0 => instant.to_string(),
        _ => format!("@{}.{:09}", time.seconds, time.nanos),
    }
}

/// 0000-01-01T00:00:00Z.
const YEAR_0: i64 = -62_167_219_200;

fn parse_time(text: &str) -> Option<Timestamp> {
    let time = match text.strip_prefix('@') {
        Some(rest) => {
            let (seconds, nanos) = rest.split_once('.')?;
            Timestamp::new(seconds.parse().ok()?, nanos.parse().ok()?)
        }
        None => {
            let nanos = text.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
            Timestamp::new(
                i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?,
                u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?,
            )
        }
    };
    (time_text(time) == text).then_some(time)
}

/// Reads descriptions one by one. What comes before an error, or before the end, is not checked yet.
#[derive(Debug)]
pub struct Reader<R> {
    path: PathBuf,
    input: R,
    line: Vec<u8>,
    number: u64,
    offset: u64,
    hasher: Hasher,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A header is next, or, behind a check, the end.
    Between,
    /// The line that was read last is to be looked at.
    Line,
    /// Nothing more comes.
    Done,
}

impl<R: BufRead> Reader<R> {
    /// Of a file; `path` is for errors.
    pub fn new(path: &Path, input: R) -> Self {
        Self {
            path: path.to_owned(),
            input,
            line: Vec::new(),
            number: 0,
            offset: 0,
            hasher: Hasher::new(HashAlgo::Blake3),
            state: State::Between,
        }
    }

    /// Reads the next line without its end; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool> {
        self.offset += self.line.len() as u64;
        self.number += 1;
        self.line.clear();
        let limit = GHOST_LINE_BYTES_MAX as u64 + 1;
        let mut input = (&mut self.input).take(limit);
        let found = input.read_until(b'\n', &mut self.line);
        found.map_err(Error::io("read", &self.path))?;
        if self.line.len() > GHOST_LINE_BYTES_MAX {
            return Err(self.refused(&format!("at most {GHOST_LINE_BYTES_MAX} bytes"), b"more"));
        }
        if !self.line.is_empty() && !self.line.ends_with(b"\n") {
            return Err(self.refused("a whole line", b"the end of the file"));
        }
        Ok(!self.line.is_empty())
    }

    /// The line that was read last.
    fn text(&self) -> &[u8] {
        self.line.strip_suffix(b"\n").unwrap_or(&self.line)
    }

    fn refused(&self, expected: &str, found: &[u8]) -> Error {
        let shown = escape_for_terminal(&found[..found.len().min(100)]).into_owned();
        let expected = format_args!("{expected} in line {}", self.number);
        Error::damaged(&self.path, self.offset, expected, shown)
    }

    /// The refusal of the line that was read last.
    fn bad_line(&self, expected: &str) -> Error {
        self.refused(expected, self.text())
    }

    /// The header of the file or of the next one in it; `false` at the end.
    fn header(&mut self) -> Result<bool> {
        let is_first = self.number == 0;
        if !self.advance()? {
            return match is_first {
                true => Err(self.refused(&format!("\"{HEADER}\""), b"nothing")),
                false => Ok(false),
            };
        }
        if self.text() != HEADER.as_bytes() {
            if let Some(version) = self.text().strip_prefix(MAGIC)
                && version.iter().all(u8::is_ascii_digit)
            {
                return Err(Error::Unsupported {
                    path: self.path.clone(),
                    feature: format!("ghostdesc version {}", version.as_bstr()),
                });
            }
            return Err(self.bad_line(&format!("\"{HEADER}\"")));
        }
        self.hasher = Hasher::new(HashAlgo::Blake3);
        self.take_line()?;
        Ok(true)
    }

    /// Adds the line to what the check covers, and reads the next, which must be there.
    fn take_line(&mut self) -> Result<()> {
        self.hasher.update(&self.line);
        match self.advance()? {
            true => Ok(()),
            false => Err(self.refused("a ghost or a check", b"the end of the file")),
        }
    }

    fn next_ghost(&mut self) -> Result<Option<Ghost>> {
        loop {
            if self.state == State::Between {
                if !self.header()? {
                    return Ok(None);
                }
                self.state = State::Line;
            }
            let Some(check) = self.text().strip_prefix(b"check\t") else {
                return self.ghost().map(Some);
            };
            let expected = self.hasher.clone().finish().to_string();
            if check != expected.as_bytes() {
                return Err(self.bad_line(&format!("check {expected}")));
            }
            self.state = State::Between;
        }
    }

    /// Reads one description, and the line behind it.
    fn ghost(&mut self) -> Result<Ghost> {
        let fields = self
            .fields("ghost", 2)?
            .ok_or_else(|| self.bad_line("a ghost or a check"))?;
        let fullhash: Option<ObjectId> = exact(&fields[0]);
        let size: Option<u64> = exact(&fields[1]).filter(|size| *size <= CONTENT_BYTES_MAX);
        let (Some(fullhash), Some(size)) = (fullhash, size) else {
            return Err(self.bad_line("a hash and a length in bytes"));
        };
        self.take_line()?;
        let fasthash = match self.fields("fasthash", 1)? {
            None => None,
            Some(fields) => {
                // Those of later schemes say nothing here.
                let known = exact(&fields[0]);
                if known.is_none() && (fields[0].starts_with("fast1:") || !fields[0].contains(':')) {
                    return Err(self.bad_line("a fast hash with the name of its scheme"));
                }
                self.take_line()?;
                known
            }
        };
        let mut dates = [None; 3];
        for (word, date) in ["lastmod", "verified-full", "verified-fast"]
            .into_iter()
            .zip(&mut dates)
        {
            if let Some(fields) = self.fields(word, 1)? {
                *date = Some(self.time(&fields[0])?);
                self.take_line()?;
            }
        }
        let [lastmod, verified_full, verified_fast] = dates;
        let found = self
            .fields("found", 2)?
            .ok_or_else(|| self.bad_line("found and two dates"))?;
        let (found_first, found_last) = (self.time(&found[0])?, self.time(&found[1])?);
        if found_first > found_last {
            return Err(self.bad_line("the older date first"));
        }
        self.take_line()?;
        Ok(Ghost {
            fullhash,
            fasthash,
            size,
            lastmod,
            verified_full,
            verified_fast,
            found_first,
            found_last,
            places: self.places()?,
        })
    }

    fn places(&mut self) -> Result<Places> {
        let mut places: Vec<Place> = Vec::new();
        while let Some(place) = self.place()? {
            let key = |place: &Place| (place.host.clone(), place.path.clone());
            if places.last().is_some_and(|last| key(last) >= key(&place)) {
                return Err(self.bad_line("places sorted by host and path, each once"));
            }
            if places.len() == GHOST_PLACES_MAX {
                return Err(self.bad_line(&format!("at most {GHOST_PLACES_MAX} places")));
            }
            places.push(place);
            self.take_line()?;
        }
        Ok(places.into_iter().collect())
    }

    /// The place in the line that was read last, if it is one.
    fn place(&self) -> Result<Option<Place>> {
        let (fields, present) = match self.fields("at", 6)? {
            Some(mut fields) => {
                let last = fields[1].clone();
                fields.insert(2, last);
                (fields, true)
            }
            None => match self.fields("was", 7)? {
                Some(fields) => (fields, false),
                None => return Ok(None),
            },
        };
        let times = [self.time(&fields[0])?, self.time(&fields[1])?, self.time(&fields[2])?];
        let [seen_first, seen_last, looked] = times;
        if seen_first > seen_last || seen_last > looked {
            return Err(self.bad_line("dates in order"));
        }
        let mtime = match fields[3].as_str() {
            "-" => None,
            text => Some(self.time(text)?),
        };
        let host = String::from_utf8(self.name(&fields[4])?.into());
        let host = host.ok().filter(|host| !host.is_empty());
        let (root, path) = (self.name(&fields[5])?, self.name(&fields[6])?);
        check_path(&root, &path).map_err(|expected| self.bad_line(expected))?;
        Ok(Some(Place {
            host: host.ok_or_else(|| self.bad_line("the name of a machine"))?,
            root,
            path,
            mtime,
            seen_first,
            seen_last,
            looked,
            present,
        }))
    }

    /// The fields behind `word`, where the line that was read last begins with it.
    fn fields(&self, word: &str, count: usize) -> Result<Option<Vec<String>>> {
        let rest = self.text().strip_prefix(word.as_bytes());
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b"\t")) else {
            return Ok(None);
        };
        let fields: Option<Vec<String>> = rest
            .split(|byte| *byte == b'\t')
            .map(|field| String::from_utf8(field.into()).ok())
            .collect();
        fields
            .filter(|fields| fields.len() == count)
            .map(Some)
            .ok_or_else(|| self.bad_line(&format!("{word} with {count} values, a tab in front of each")))
    }

    fn time(&self, text: &str) -> Result<Timestamp> {
        parse_time(text).ok_or_else(|| self.bad_line("a time such as 2026-11-21T09:00:00Z"))
    }

    /// A name in its only spelling.
    fn name(&self, text: &str) -> Result<BString> {
        unquote_name(text.as_bytes())
            .ok()
            .filter(|name| quote_name(name) == text)
            .ok_or_else(|| self.bad_line("a name, in quotes where it must be"))
    }
}

/// A value in its only spelling.
fn exact<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|value: &T| value.to_string() == text)
}

/// Refuses paths that are not where they claim to be.
fn check_path(root: &[u8], path: &[u8]) -> Result<(), &'static str> {
    let is_plain = |path: &[u8]| {
        let inner = path.strip_prefix(b"/").unwrap_or(path);
        inner
            .split(|byte| *byte == b'/')
            .all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0))
    };
    if !is_plain(path) {
        return Err("a path without empty names, . and ..");
    }
    if !root.is_empty() && root != b"/" && !is_plain(root) {
        return Err("a root without empty names, . and ..");
    }
    let inside = match path.strip_prefix(root) {
        Some(rest) => root.is_empty() || root == b"/" || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    };
    if inside {
        Ok(())
    } else {
        Err("a path inside of its root")
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Ghost>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        let next = self.next_ghost().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Done;
        }
        next
    }
}

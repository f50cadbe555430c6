//! URIs of what a repository holds (object-format.md, "URIs").
//!
//! - `x-ghost:[//HOST[:PORT]]/REF[/PATH…]`: `REF` is a text form, `PATH` leads from that directory to an entry
//! - `x-ghost://[HOST[:PORT]][/f or /d]/{h or i}/ID[/FILENAME][/]`: short forms. `f` is a file, `d` a directory; where
//!   neither is said, a slash at the end says directory. `h` names a block, `i` an indirect block.
//!
//! `x-vt:` is read as the same scheme. Bytes that have no place in a URI are escaped with `%XX`. Hosts that begin with
//! `-` are refused: they could pass for an option of a program that is handed them.

use std::fmt;
use std::str::FromStr;

use bstr::{BStr, BString, ByteSlice};

use crate::error::{Error, Result};
use crate::object::ObjectId;
use crate::object::text::{TextRef, percent_decode, percent_encode};
use crate::object::tree::check_name;

/// A parsed URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// `HOST` or `HOST:PORT`, where one is named.
    pub host: Option<String>,
    /// What is named there.
    pub target: UriTarget,
}

/// What a URI names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriTarget {
    /// An entry below a directory, or the object itself where `path` is empty.
    Path {
        /// Where the path begins.
        root: TextRef,
        /// Names with slashes between them.
        path: BString,
    },
    /// A file or directory by the id of its top block.
    Short {
        /// Whether it is a directory.
        directory: bool,
        /// Whether `id` is that of an indirect block.
        indirect: bool,
        /// The id.
        id: ObjectId,
        /// The name it goes by.
        filename: Option<BString>,
    },
}

impl Uri {
    /// Whether `text` begins with a scheme that is read here.
    pub fn has_scheme(text: &str) -> bool {
        strip_scheme(text).is_some()
    }
}

fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    (scheme.eq_ignore_ascii_case("x-ghost") || scheme.eq_ignore_ascii_case("x-vt")).then_some(rest)
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x-ghost:")?;
        let short = matches!(self.target, UriTarget::Short { .. });
        if short || self.host.is_some() {
            write!(f, "//{}", self.host.as_deref().unwrap_or_default())?;
        }
        match &self.target {
            UriTarget::Path { root, path } => {
                write!(f, "/{root}")?;
                if !path.is_empty() {
                    write!(f, "/{}", percent_encode(path, "/"))?;
                }
                Ok(())
            }
            UriTarget::Short {
                directory,
                indirect,
                id,
                filename,
            } => {
                let (kind, block) = (if *directory { 'd' } else { 'f' }, if *indirect { 'i' } else { 'h' });
                write!(f, "/{kind}/{block}/{id}")?;
                if let Some(name) = filename {
                    write!(f, "/{}", percent_encode(name, ""))?;
                }
                f.write_str(if *directory { "/" } else { "" })
            }
        }
    }
}

impl FromStr for Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |problem: &str| Error::invalid("URI", text, problem);
        let rest = strip_scheme(text).ok_or_else(|| invalid("expected x-ghost:"))?;
        let (host, path) = match rest.strip_prefix("//") {
            None => (None, rest),
            Some(rest) => {
                let slash = rest
                    .find('/')
                    .ok_or_else(|| invalid("expected a path behind the host"))?;
                let (host, path) = rest.split_at(slash);
                if !host.is_empty() && !is_host(host) {
                    return Err(invalid(
                        "expected a host of letters, digits, dots and dashes, with or without a port",
                    ));
                }
                (Some(host), path)
            }
        };
        let path = path
            .strip_prefix('/')
            .ok_or_else(|| invalid("expected / in front of the path"))?;
        let first = path.split('/').next().unwrap_or_default();
        let target = match (host, first) {
            (Some(_), "f" | "d" | "h" | "i") => parse_short(path).map_err(|problem| invalid(&problem))?,
            _ => parse_path(path)?,
        };
        let host = host.filter(|host| !host.is_empty()).map(str::to_owned);
        Ok(Self { host, target })
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => return address.parse::<std::net::Ipv6Addr>().is_ok(),
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("ip6", rest.strip_prefix(':')),
        Some(_) => return false,
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, Some("1")),
        },
    };
    let port_fits = port.is_some_and(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|number| number > 0)
    });
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    port_fits && !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

fn parse_path(path: &str) -> Result<UriTarget> {
    let (root, path) = path.split_once('/').unwrap_or((path, ""));
    let root = String::from_utf8(percent_decode(root)?)
        .map_err(|_| Error::invalid("URI", root, "expected a text form of an object"))?
        .parse()?;
    let path = percent_decode(path.strip_suffix('/').unwrap_or(path))?;
    if !path.is_empty() {
        path.split_str("/").try_for_each(|name| check_name(name, "URI"))?;
    }
    Ok(UriTarget::Path {
        root,
        path: path.into(),
    })
}

fn parse_short(path: &str) -> Result<UriTarget, String> {
    let (path, slash) = match path.strip_suffix('/') {
        Some(path) => (path, true),
        None => (path, false),
    };
    let mut parts = path.split('/').peekable();
    let directory = match parts.next_if(|part| matches!(*part, "f" | "d")) {
        Some("f") if slash => return Err("expected no slash behind a file".into()),
        Some(kind) => kind == "d",
        None => slash,
    };
    let indirect = match parts.next() {
        Some("h") => false,
        Some("i") => true,
        _ => return Err("expected h or i".into()),
    };
    let id = parts
        .next()
        .unwrap_or_default()
        .parse()
        .map_err(|e: Error| e.to_string())?;
    let filename = parts.next().map(|name| {
        let name = percent_decode(name)?;
        check_name(&name, "URI")?;
        Ok::<_, Error>(BString::from(name))
    });
    let filename = filename.transpose().map_err(|e| e.to_string())?;
    match parts.next() {
        Some(more) => Err(format!("expected the end, found {}", BStr::new(more))),
        None => Ok(UriTarget::Short {
            directory,
            indirect,
            id,
            filename,
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::object::HashAlgo;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn canonical(text: &str) -> String {
        text.parse::<Uri>().unwrap_or_else(|e| panic!("{e}")).to_string()
    }

    #[test]
    fn forms_of_the_notes() {
        for text in [
            format!("x-ghost:/tree:{ABC}"),
            format!("x-ghost:/tree:{ABC}/etc/a%20b"),
            format!("x-ghost://example.org:8080/tree:{ABC}/etc"),
            format!("x-ghost:/{ABC}+3"),
            format!("x-ghost:///f/h/{ABC}"),
            format!("x-ghost://net/d/i/{ABC}/name/"),
        ] {
            assert_eq!(canonical(&text), text);
        }
        let hex = ABC.trim_start_matches("sha256:");
        assert_eq!(
            canonical(&format!("x-vt://net/h/{hex}.sha256")),
            format!("x-ghost://net/f/h/{ABC}")
        );
        assert_eq!(
            canonical(&format!("x-vt://net/h/{ABC}/")),
            format!("x-ghost://net/d/h/{ABC}/")
        );
        assert_eq!(
            canonical(&format!("X-GHOST://[::1]:80/tree:{ABC}/")),
            format!("x-ghost://[::1]:80/tree:{ABC}")
        );
    }

    #[test]
    fn what_would_mislead_is_refused() {
        for text in [
            format!("http://net/f/h/{ABC}"),
            format!("x-ghost://-oProxyCommand=x/f/h/{ABC}"),
            format!("x-ghost://a:0/f/h/{ABC}"),
            format!("x-ghost://a b/f/h/{ABC}"),
            format!("x-ghost://net/f/h/{ABC}/"),
            format!("x-ghost://net/f/x/{ABC}"),
            format!("x-ghost://net/f/h/{ABC}/a/b"),
            format!("x-ghost://net/f/h/{ABC}/.."),
            format!("x-ghost:/tree:{ABC}/a/../b"),
            format!("x-ghost:/tree:{ABC}/a//b"),
            format!("x-ghost:/tree:{ABC}/a%00"),
            format!("x-ghost:/tree:{ABC}/a%2"),
            "x-ghost://net/f/h/ba7816b".to_owned(),
            "x-ghost:".to_owned(),
        ] {
            assert!(text.parse::<Uri>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn uris_survive_text(
            names in prop::collection::vec(prop::collection::vec(1..=255u8, 1..8), 0..3),
            host in prop::option::of("[a-z][a-z0-9.-]{0,9}(:[1-9][0-9]{0,3})?"),
            short: bool, directory: bool, indirect: bool,
        ) {
            prop_assume!(names.iter().all(|name| check_name(name, "test").is_ok()));
            let id = ObjectId::hash(HashAlgo::Blake3, b"x");
            let target = if short {
                UriTarget::Short { directory, indirect, id, filename: names.first().map(|n| n.as_slice().into()) }
            } else {
                UriTarget::Path { root: TextRef::Tree(id), path: bstr::join("/", &names).into() }
            };
            let uri = Uri { host, target };
            prop_assert_eq!(uri.to_string().parse::<Uri>().unwrap(), uri);
        }

        #[test]
        fn no_uri_panics(text in "x-ghost:(//)?[a-z:/%0-9]{0,30}") {
            let _ = text.parse::<Uri>();
        }
    }
}

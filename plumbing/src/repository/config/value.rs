//! Types of settings, and the one place where their values become text or TOML and back.

use std::fmt::Write as _;

use crate::refs::line_ref;
use crate::time::CalendarSpan;

/// Where a setting may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every file.
    Any,
    /// Not in the file of a repository, which may be somebody else's.
    User,
}

/// The type of a setting.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// true or false.
    Bool,
    /// A number of bytes: `4096`, `64KiB`, `4M`.
    Bytes {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number.
    Count {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A share of at most 100 percent: `5%`, `5`.
    Percent,
    /// One line of text.
    Text,
    /// The name of a line.
    Line,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any number of lines of text.
    List,
    /// A length of time such as `1y6m`, or no text.
    Span,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// true or false.
    Bool(bool),
    /// A number.
    Number(u64),
    /// Text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

/// A type that settings have.
pub trait Setting: Sized {
    /// From a value that its kind has accepted.
    fn from_value(value: &Value) -> Option<Self>;
    /// As a value.
    fn to_value(&self) -> Value;
}

macro_rules! setting {
    ($type:ty, $variant:ident) => {
        impl Setting for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value.clone()),
                    _ => None,
                }
            }

            fn to_value(&self) -> Value {
                Value::$variant(self.clone())
            }
        }
    };
}

setting!(bool, Bool);
setting!(u64, Number);
setting!(String, Text);
setting!(Vec<String>, List);

/// An enumeration whose values are words.
macro_rules! choice {
    ($(#[doc = $help:literal])+ $name:ident { $($(#[doc = $value_help:literal])+ $value:ident = $word:literal,)+ }) => {
        $(#[doc = $help])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $value_help])+ $value,)+
        }

        impl $name {
            /// The words.
            pub const NAMES: &[&str] = &[$($word,)+];

            /// The word.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }

            /// From the word.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($word => Some(Self::$value),)+
                    _ => None,
                }
            }
        }

        impl Setting for $name {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Text(name) => Self::from_name(name),
                    _ => None,
                }
            }

            fn to_value(&self) -> Value {
                Value::Text(self.name().to_owned())
            }
        }
    };
}
pub(super) use choice;

impl Kind {
    /// What values look like, for messages.
    pub fn expected(&self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Bytes { min, max } => format!("a size from {} to {}", bytes_text(*min), bytes_text(*max)),
            Self::Count { min, max } => format!("a number from {min} to {max}"),
            Self::Percent => "a share from 0% to 100%".into(),
            Self::Text => "one line of text".into(),
            Self::Line => "the name of a line, such as main".into(),
            Self::Choice(words) => words.join(" or "),
            Self::List => "a list of texts, such as [\"one\", \"two\"]".into(),
            Self::Span => "a length of time such as 1y6m, 30d or 36h, or nothing".into(),
        }
    }

    /// A value from what somebody typed.
    pub fn parse_text(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Bool => match text {
                "true" | "yes" | "on" => Some(Value::Bool(true)),
                "false" | "no" | "off" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Bytes { .. } => parse_bytes(text).map(Value::Number),
            Self::Count { .. } => text.parse().ok().map(Value::Number),
            Self::Percent => parse_percent(text).map(Value::Number),
            Self::Text | Self::Line | Self::Span | Self::Choice(_) => Some(Value::Text(text.to_owned())),
            Self::List if text.starts_with('[') => match text.parse::<toml_edit::Value>() {
                Ok(value) => self.read_toml(&value),
                Err(_) => None,
            },
            Self::List => Some(Value::List(vec![text.to_owned()])),
        };
        self.check(value)
    }

    /// A value from a configuration file.
    pub fn parse_toml(&self, value: &toml_edit::Value) -> Result<Value, String> {
        self.check(self.read_toml(value))
    }

    fn read_toml(&self, value: &toml_edit::Value) -> Option<Value> {
        match (self, value) {
            (Self::Bool, toml_edit::Value::Boolean(value)) => Some(Value::Bool(*value.value())),
            (Self::Percent, toml_edit::Value::String(value)) => parse_percent(value.value()).map(Value::Number),
            (Self::Bytes { .. } | Self::Count { .. } | Self::Percent, toml_edit::Value::Integer(value)) => {
                u64::try_from(*value.value()).ok().map(Value::Number)
            }
            (Self::Bytes { .. }, toml_edit::Value::String(value)) => parse_bytes(value.value()).map(Value::Number),
            (Self::Text | Self::Line | Self::Span | Self::Choice(_), toml_edit::Value::String(value)) => {
                Some(Value::Text(value.value().clone()))
            }
            (Self::List, toml_edit::Value::String(value)) => Some(Value::List(vec![value.value().clone()])),
            (Self::List, toml_edit::Value::Array(values)) => {
                let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(Value::List)
            }
            _ => None,
        }
    }

    fn check(&self, value: Option<Value>) -> Result<Value, String> {
        let one_line = |text: &str| !text.contains(['\n', '\r', '\0']);
        let fits = match (self, &value) {
            (Self::Bytes { min, max } | Self::Count { min, max }, Some(Value::Number(n))) => (min..=max).contains(&n),
            (Self::Percent, Some(Value::Number(n))) => *n <= 100,
            (Self::Text, Some(Value::Text(text))) => one_line(text),
            (Self::Line, Some(Value::Text(text))) => line_ref(text).is_ok(),
            (Self::Span, Some(Value::Text(text))) => text.is_empty() || text.parse::<CalendarSpan>().is_ok(),
            (Self::Choice(words), Some(Value::Text(text))) => words.contains(&text.as_str()),
            (Self::List, Some(Value::List(texts))) => texts.iter().all(|text| one_line(text)),
            (Self::Bool, Some(Value::Bool(_))) => true,
            _ => false,
        };
        value
            .filter(|_| fits)
            .ok_or_else(|| format!("expected {}", self.expected()))
    }

    /// A value as [`parse_text`](Self::parse_text) reads it.
    pub fn to_text(&self, value: &Value) -> String {
        match (self, value) {
            (Self::Bytes { .. }, Value::Number(number)) => bytes_text(*number),
            (Self::Percent, Value::Number(number)) => format!("{number}%"),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Bool(value)) => value.to_string(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::List(_)) => self.to_toml(value).to_string().trim().to_owned(),
        }
    }

    /// A value as it stands in a file.
    pub fn to_toml(&self, value: &Value) -> toml_edit::Value {
        match (self, value) {
            (Self::Bytes { .. }, Value::Number(number)) if bytes_text(*number) != number.to_string() => {
                bytes_text(*number).into()
            }
            (Self::Percent, Value::Number(number)) => format!("{number}%").into(),
            // Bounds of all kinds are below 2 to the 63rd.
            (_, Value::Number(number)) => i64::try_from(*number).unwrap_or(i64::MAX).into(),
            (_, Value::Bool(value)) => (*value).into(),
            (_, Value::Text(text)) => text.as_str().into(),
            (_, Value::List(texts)) => toml_edit::Value::Array(texts.iter().map(String::as_str).collect()),
        }
    }
}

const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// A number of bytes in the largest unit that divides it.
pub fn bytes_text(bytes: u64) -> String {
    let unit = UNITS
        .iter()
        .rev()
        .find(|(_, bits)| bytes != 0 && bytes.trailing_zeros() >= *bits);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match unit {
        Some((name, bits)) => write!(out, "{}{name}", bytes >> bits),
        None => write!(out, "{bytes}"),
    };
    out
}

/// Reads `4096`, `4k`, `4K`, `4KiB`, `4M`, `4G`, `4T`: units are powers of 1024. `4kB`, `4MB` and so on, which mean
/// powers of 1000 to some and of 1024 to others, are refused.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let bits = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << bits)
}

/// Reads `5%` and `5`.
fn parse_percent(text: &str) -> Option<u64> {
    text.strip_suffix('%').unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents() {
        assert_eq!(Kind::Percent.parse_text("5%"), Ok(Value::Number(5)));
        assert_eq!(Kind::Percent.parse_text("5"), Ok(Value::Number(5)));
        assert_eq!(Kind::Percent.to_text(&Value::Number(5)), "5%");
        for bad in ["101%", "-1", "%", "5 %"] {
            assert!(Kind::Percent.parse_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("4M", 4 << 20),
            ("4 MiB", 4 << 20),
            ("1g", 1 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
            assert_eq!(parse_bytes(&bytes_text(bytes)), Some(bytes));
        }
        for bad in ["", "k", "-1", "1.5M", "4kB", "99999999999T", "1 2"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
        assert_eq!(bytes_text(3 << 19), "1536KiB");
    }

    #[test]
    fn values_are_checked() {
        let kind = Kind::Bytes { min: 64, max: 1024 };
        assert_eq!(kind.parse_text("1K"), Ok(Value::Number(1024)));
        assert_eq!(kind.parse_text("2K").unwrap_err(), "expected a size from 64 to 1KiB");
        assert!(
            Kind::Choice(&["a", "b"])
                .parse_text("c")
                .unwrap_err()
                .contains("a or b")
        );
        assert!(Kind::Line.parse_text("a b").is_err());
        assert!(Kind::Text.parse_text("a\nb").is_err());
        assert!(Kind::Span.parse_text("1y6m").is_ok() && Kind::Span.parse_text("").is_ok());
        assert!(Kind::Span.parse_text("6 moons").unwrap_err().contains("length of time"));
        let list = |texts: &[&str]| Value::List(texts.iter().map(|&text| text.into()).collect());
        assert_eq!(Kind::List.parse_text("*.{o,a}"), Ok(list(&["*.{o,a}"])));
        assert_eq!(Kind::List.parse_text("['a', \"b\"]"), Ok(list(&["a", "b"])));
        assert!(Kind::List.parse_text("[1]").is_err());
    }
}

//! Every setting: its key, its type, its default, what it means. One table gives the typed [`Settings`] and the list
//! that `config list`, completions and manuals are made from.

use crate::chunk;
use crate::limits::{BLOCK_BYTES_MAX, CONTENT_BYTES_MAX, DELTA_DEPTH_MAX, DELTA_PREFIX_BYTES_MAX};
use crate::repository::config::value::{Kind, Scope, Setting, Value, choice};
use crate::store;

choice! {
    /// What is taken as proof that a file did not change.
    Trust {
        /// Its stat values.
        Stat = "stat",
        /// Only its bytes.
        Hash = "hash",
    }
}

choice! {
    /// How files are cut.
    ChunkMethod {
        /// By content.
        FastCdc = "fastcdc",
        /// Every `chunk.avg` bytes.
        Fixed = "fixed",
    }
}

choice! {
    /// When something is done that depends on where output goes.
    When {
        /// On a terminal.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

choice! {
    /// What goes to the log of a repository: messages of this level and those before it.
    LogLevel {
        /// Nothing.
        Off = "off",
        /// What failed.
        Error = "error",
        /// What was done otherwise than asked for.
        Warn = "warn",
        /// That a job began and how it ended.
        Info = "info",
        /// Details.
        Debug = "debug",
    }
}

/// A setting that may be made.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name: table and key.
    pub name: &'static str,
    /// Its type and bounds.
    pub kind: Kind,
    /// Where it may stand.
    pub scope: Scope,
    /// What it means.
    pub help: &'static str,
}

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $name:literal $field:ident: $type:ty = $default:expr, $kind:expr, $scope:ident;)+) => {
        /// All settings.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        /// All keys, sorted by table as they are shown.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name,
            kind: $kind,
            scope: Scope::$scope,
            help: concat!($($help),+).trim_ascii(),
        },)+];

        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl Settings {
            /// The value of a key; none where there is no such key.
            pub fn value(&self, name: &str) -> Option<Value> {
                match name {
                    $($name => Some(self.$field.to_value()),)+
                    _ => None,
                }
            }

            /// Takes a value that its kind has accepted; says whether the key exists and the type fits.
            pub(super) fn assign(&mut self, name: &str, value: &Value) -> bool {
                match name {
                    $($name => match Setting::from_value(value) {
                        Some(value) => self.$field = value,
                        None => return false,
                    },)+
                    _ => return false,
                }
                true
            }
        }
    };
}

const ON_OFF: Kind = Kind::Bool;
const NO_LIMIT: u64 = CONTENT_BYTES_MAX;
/// How many snapshots a rule keeps.
const KEEP: Kind = Kind::Count { min: 0, max: 1_000_000 };

settings! {
    /// The line that `@` means and that snapshots go to.
    "core.line" core_line: String = "main".to_owned(), Kind::Line, Any;
    /// Threads that read, hash and compress; 0 is one a processor.
    "core.threads" core_threads: u64 = 0, Kind::Count { min: 0, max: 1024 }, Any;
    /// Folders of other owners whose repositories are opened; "*" is all.
    "core.safe" core_safe: Vec<String> = Vec::new(), Kind::List, User;
    /// Who new records name; empty is the name of the user.
    "core.author" core_author: String = String::new(), Kind::Text, Any;
    /// The machine that new records name; empty is the name of this machine.
    "core.host" core_host: String = String::new(), Kind::Text, Any;
    /// The command line that is run for ssh, by a shell; empty is ssh. GHOST_SSH and GHOST_SSH_COMMAND go before it.
    "core.sshCommand" core_ssh_command: String = String::new(), Kind::Text, Any;
    /// What ghost is called on other machines; empty is ghost.
    "core.remote-ghost" core_remote_ghost: String = String::new(), Kind::Text, Any;

    /// How files are cut: fastcdc by content, fixed every chunk.avg bytes.
    "chunk.method" chunk_method: ChunkMethod = ChunkMethod::FastCdc, Kind::Choice(ChunkMethod::NAMES), Any;
    /// Shortest chunk in bytes; shorter files are one chunk.
    "chunk.min" chunk_min_bytes: u64 = 16 << 10, Kind::Bytes { min: 64, max: 1 << 20 }, Any;
    /// Length in bytes that chunks have in the middle.
    "chunk.avg" chunk_avg_bytes: u64 = 64 << 10, Kind::Bytes { min: 256, max: 4 << 20 }, Any;
    /// Longest chunk in bytes.
    "chunk.max" chunk_max_bytes: u64 = 256 << 10, Kind::Bytes { min: 1024, max: BLOCK_BYTES_MAX as u64 }, Any;

    /// A data file of this many bytes gets no more frames.
    "data.file-max" data_file_bytes_max: u64 = 1 << 30, Kind::Bytes { min: 1 << 20, max: 1 << 40 }, Any;
    /// Bytes of small files that are compressed together.
    "data.frame-bytes" data_frame_bytes: u64 = 6 << 20, Kind::Bytes { min: 4 << 10, max: 16 << 20 }, Any;
    /// Bytes of large files that are compressed together.
    "data.large-frame-bytes" data_large_frame_bytes: u64 = 16 << 20, Kind::Bytes { min: 4 << 10, max: 16 << 20 }, Any;
    /// Bytes of trees and lists that are compressed together.
    "data.meta-frame-bytes" data_meta_frame_bytes: u64 = 512 << 10, Kind::Bytes { min: 4 << 10, max: 16 << 20 }, Any;
    /// Percent of recovery data that is written for data files that are full, such as 5%; 0 is none.
    "data.parity" data_parity: u64 = 0, Kind::Percent, Any;
    /// Level of zstd: higher is smaller and slower.
    "zstd.level" zstd_level: u64 = 3, Kind::Count { min: 1, max: 19 }, Any;

    /// Whether what replaces something is compressed against it, so that a change costs what changed.
    "delta.enabled" delta_enabled: bool = true, ON_OFF, Any;
    /// How many objects may lean on each other in turn: longer chains take less room, shorter ones less time to read.
    "delta.depth" delta_depth: u64 = DELTA_DEPTH_MAX as u64, Kind::Count { min: 1, max: DELTA_DEPTH_MAX as u64 }, Any;
    /// Most bytes of earlier contents that one piece of a file is compared with.
    "delta.window" delta_window_bytes: u64 = 1 << 20, Kind::Bytes { min: 4 << 10, max: DELTA_PREFIX_BYTES_MAX as u64 }, Any;

    /// Bytes of blocks at most that a lazy repository keeps of what came from others; 0 keeps nothing.
    "cache.max" cache_bytes_max: u64 = 1 << 30, Kind::Bytes { min: 0, max: NO_LIMIT }, Any;
    /// Whether a lazy repository reads only what is here or in its cache, and asks nobody.
    "cache.only" cache_only: bool = false, ON_OFF, Any;
    /// Blocks that came from others longer ago than this are fetched anew when they are read, such as 30d; empty is no limit.
    "cache.time" cache_time: String = String::new(), Kind::Span, Any;

    /// What proves that a file did not change: stat, its stat values; hash, only its bytes.
    "snapshot.trust" snapshot_trust: Trust = Trust::Stat, Kind::Choice(Trust::NAMES), Any;
    /// Patterns of paths that are left out, as in .ghostignore.
    "snapshot.exclude" snapshot_exclude: Vec<String> = Vec::new(), Kind::List, Any;
    /// Whether folders with a CACHEDIR.TAG are left out.
    "snapshot.exclude-caches" snapshot_exclude_caches: bool = false, ON_OFF, Any;
    /// Names of files whose presence leaves a folder out.
    "snapshot.exclude-if-present" snapshot_exclude_if_present: Vec<String> = Vec::new(), Kind::List, Any;
    /// Files of more bytes are left out; 0 is no limit.
    "snapshot.exclude-larger-than" snapshot_exclude_larger_than_bytes: u64 = 0, Kind::Bytes { min: 0, max: NO_LIMIT }, Any;
    /// Whether mount points are left empty.
    "snapshot.one-file-system" snapshot_one_file_system: bool = false, ON_OFF, Any;
    /// Whether birth times are kept. Linux cannot restore them, and with them equal trees have different ids.
    "snapshot.birth-time" snapshot_birth_time: bool = false, ON_OFF, Any;
    /// Whether extended attributes and ACLs are kept.
    "snapshot.xattrs" snapshot_xattrs: bool = true, ON_OFF, Any;
    /// Whether a snapshot in which nothing changed is left out.
    "snapshot.skip-if-unchanged" snapshot_skip_if_unchanged: bool = false, ON_OFF, Any;

    /// Whether programs in .ghost/hooks are run before and after jobs.
    "hooks.enabled" hooks_enabled: bool = true, ON_OFF, Any;
    /// Seconds after which a hook that still runs is ended; 0 is no limit.
    "hooks.timeout" hooks_timeout_seconds: u64 = 3600, Kind::Count { min: 0, max: 604_800 }, Any;

    /// How much gc leaves unused: a share of the repository, such as 5%, or a size.
    "gc.max-unused" gc_max_unused: String = "5%".to_owned(), Kind::Text, Any;
    /// What only the ref log names, and gc keeps: 0, a number such as `100 records`, or an age such as 30d.
    "gc.keep-log" gc_keep_log: String = "0".to_owned(), Kind::Text, Any;

    /// How many of the newest snapshots of a group `ghost forget` keeps; 0 is none by this rule.
    "retention.keep-last" retention_keep_last: u64 = 0, KEEP, Any;
    /// Of how many hours with snapshots `ghost forget` keeps the newest; 0 is none by this rule.
    "retention.keep-hourly" retention_keep_hourly: u64 = 0, KEEP, Any;
    /// Of how many days with snapshots `ghost forget` keeps the newest; 0 is none by this rule.
    "retention.keep-daily" retention_keep_daily: u64 = 0, KEEP, Any;
    /// Of how many weeks with snapshots `ghost forget` keeps the newest; 0 is none by this rule.
    "retention.keep-weekly" retention_keep_weekly: u64 = 0, KEEP, Any;
    /// Of how many months with snapshots `ghost forget` keeps the newest; 0 is none by this rule.
    "retention.keep-monthly" retention_keep_monthly: u64 = 0, KEEP, Any;
    /// Of how many years with snapshots `ghost forget` keeps the newest; 0 is none by this rule.
    "retention.keep-yearly" retention_keep_yearly: u64 = 0, KEEP, Any;
    /// `ghost forget` keeps what is at most so much older than the newest, such as 30d; empty is none by this rule.
    "retention.keep-within" retention_keep_within: String = String::new(), Kind::Span, Any;
    /// Of each hour, `ghost forget` keeps the newest of what is at most so much older than the newest of all.
    "retention.keep-within-hourly" retention_keep_within_hourly: String = String::new(), Kind::Span, Any;
    /// Of each day, `ghost forget` keeps the newest of what is at most so much older than the newest of all.
    "retention.keep-within-daily" retention_keep_within_daily: String = String::new(), Kind::Span, Any;
    /// Of each week, `ghost forget` keeps the newest of what is at most so much older than the newest of all.
    "retention.keep-within-weekly" retention_keep_within_weekly: String = String::new(), Kind::Span, Any;
    /// Of each month, `ghost forget` keeps the newest of what is at most so much older than the newest of all.
    "retention.keep-within-monthly" retention_keep_within_monthly: String = String::new(), Kind::Span, Any;
    /// Of each year, `ghost forget` keeps the newest of what is at most so much older than the newest of all.
    "retention.keep-within-yearly" retention_keep_within_yearly: String = String::new(), Kind::Span, Any;
    /// `ghost forget` keeps snapshots with one of these labels; one,two is a snapshot with both.
    "retention.keep-tags" retention_keep_tags: Vec<String> = Vec::new(), Kind::List, Any;
    /// What snapshots have in common that `ghost forget` looks at together: some of line, host and root, with commas.
    "retention.group-by" retention_group_by: String = "line,host,root".to_owned(), Kind::Text, Any;

    /// When output has colours.
    "ui.color" ui_color: When = When::Auto, Kind::Choice(When::NAMES), Any;
    /// When long jobs show how far they are.
    "ui.progress" ui_progress: When = When::Auto, Kind::Choice(When::NAMES), Any;

    /// What the line says that shows how far a long job is; empty is the usual line (`ghost help status-line`).
    "ui.status" ui_status: String = String::new(), Kind::Text, Any;

    /// Bytes a second that snapshot and verify read at most; 0 is no limit.
    "io.read-limit" io_read_limit_bytes: u64 = 0, Kind::Bytes { min: 0, max: NO_LIMIT }, Any;
    /// Bytes a second that go to or come from remotes at most, also those that a lazy repository asks; 0 is no limit.
    "io.remote-limit" io_remote_limit_bytes: u64 = 0, Kind::Bytes { min: 0, max: NO_LIMIT }, Any;
    /// Whether snapshot and verify run at the lowest priority for the processor, and in the idle class for disks.
    "io.idle" io_idle: bool = false, ON_OFF, Any;

    /// What is written to the log of the repository, .ghost/log: messages of this level and above.
    "log.level" log_level: LogLevel = LogLevel::Info, Kind::Choice(LogLevel::NAMES), Any;
    /// A log of this many bytes is put aside and a new one begun; 0 is no limit.
    "log.max-size" log_size_bytes_max: u64 = 1 << 20, Kind::Bytes { min: 0, max: NO_LIMIT }, Any;
    /// A log that began so many days ago is put aside; 0 is no limit.
    "log.max-age" log_age_days_max: u64 = 90, Kind::Count { min: 0, max: 36_500 }, Any;
    /// Logs that are kept beside the current one, as .ghost/log.1 and so on; the oldest goes first.
    "log.keep" log_keep: u64 = 4, Kind::Count { min: 0, max: 100 }, Any;
}

impl Settings {
    /// The value of a key as text.
    pub fn text(&self, name: &str) -> Option<String> {
        Some(find(name)?.kind.to_text(&self.value(name)?))
    }
}

impl Settings {
    /// How contents are cut. Bounds of the keys fit these types, and those of FastCDC.
    pub fn chunk_params(&self) -> chunk::Params {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        chunk::Params {
            method: match self.chunk_method {
                ChunkMethod::FastCdc => chunk::Method::FastCdc,
                ChunkMethod::Fixed => chunk::Method::Fixed,
            },
            min: bytes(self.chunk_min_bytes),
            avg: bytes(self.chunk_avg_bytes),
            max: bytes(self.chunk_max_bytes),
        }
    }

    /// How the store writes. Bounds of the keys fit these types.
    pub fn store_options(&self) -> store::Options {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        store::Options {
            file_bytes_max: self.data_file_bytes_max,
            frame_bytes: bytes(self.data_frame_bytes),
            large_frame_bytes: bytes(self.data_large_frame_bytes),
            meta_frame_bytes: bytes(self.data_meta_frame_bytes),
            zstd_level: i32::try_from(self.zstd_level).unwrap_or(i32::MAX),
            delta: store::DeltaOptions {
                enabled: self.delta_enabled,
                depth: u8::try_from(self.delta_depth).unwrap_or(DELTA_DEPTH_MAX),
                window_bytes: bytes(self.delta_window_bytes),
            },
            parity_percent: self.data_parity,
            has_generations: false,
        }
    }
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key whose name is nearest to `name`, if one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    let last = |text: &str| text.rsplit('.').next().map(str::to_owned);
    let near = KEYS.iter().map(|key| {
        // A right key in the wrong table is nearer than a wrong key.
        let same_key = last(key.name) == last(name);
        let edits = edits(name, key.name);
        (if same_key { edits.min(1) } else { edits }, key.name)
    });
    near.min()
        .filter(|(edits, found)| *edits <= 1 + found.len() / 4)
        .map(|(_, found)| found)
}

/// How many letters must be put in, left out or changed to make `b` of `a`.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().take(100).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        let defaults = Settings::default();
        for key in KEYS {
            let value = defaults.value(key.name).unwrap();
            let text = key.kind.to_text(&value);
            assert_eq!(key.kind.parse_text(&text).as_ref(), Ok(&value), "{}", key.name);
            assert!(defaults.clone().assign(key.name, &value));
            assert!(
                key.name.matches('.').count() == 1 && key.help.ends_with('.'),
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn defaults_are_those_of_the_parts() {
        let defaults = Settings::default();
        assert_eq!(defaults.chunk_params(), chunk::Params::default());
        assert_eq!(
            format!("{:?}", defaults.store_options()),
            format!("{:?}", store::Options::default())
        );
    }

    #[test]
    fn greatest_sizes_are_allowed() {
        let mut settings = Settings::default();
        for key in KEYS.iter().filter(|key| key.name.starts_with("chunk.")) {
            if let Kind::Bytes { max, .. } = key.kind {
                assert!(settings.assign(key.name, &Value::Number(max)));
            }
        }
        settings.chunk_params().check().unwrap();
    }

    #[test]
    fn near_keys_are_found() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(nearest("chunk.averge"), Some("chunk.avg"));
        assert_eq!(nearest("snapshot.excludes"), Some("snapshot.exclude"));
        assert_eq!(nearest("snapshots.trust"), Some("snapshot.trust"));
        assert_eq!(nearest("zstd.levels"), Some("zstd.level"));
        assert_eq!(nearest("something.else"), None);
    }
}

//! `ghost dup`.

mod as_found;

use std::ffi::OsString;
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};
use clap::ValueHint;
use ghost_plumbing::Error;
use ghost_plumbing::ghosts::act::{Action, Job, Keep, KeepRules};
use ghost_plumbing::ghosts::dup::{self, Group, Name, Select};
use ghost_plumbing::ghosts::forest::Forest;
use ghost_plumbing::progress::Progress;
use ghost_plumbing::repository::config::parse_bytes;
use ghost_plumbing::walk::RuleOptions;
use serde::Serialize;

use crate::app::App;
use crate::error::{Failure, Outcome, PARTIAL};
use crate::records::{Lazily, PathField, tell_problem};
use crate::telling::Telling;
use crate::tree_argument::{self, Look, Manner, Trees, outermost};
use crate::ui::Style;
use crate::ui::show::{self, short_id};
use crate::ui::size::{Size, counted};

/// Find files with the same bytes, and make one of them
///
/// Trees are directories, files, snapshots and bundles (REV, REV:PATH, snap:FILE, gfs:FILE). Only files whose size
/// another one has are read, and only once: inside of a repository, what is learnt of a file is kept in its catalogue,
/// and a file that did not change since is not read again. Names of one inode are one file.
///
/// Nobody waits for the walk: each file that equals one met before is printed as soon as that is known, as FILE = FIRST, in
/// no order. All lines with one FIRST are a group. With --groups whole groups are printed, the largest files first; that
/// begins when all folders were walked, since until then a group may grow. So it is with --json, -0 and --action, unless
/// --as-found is given. The same files are read either way.
///
/// With --action, all but one file of each group are replaced or removed, after both were read again and compared byte
/// by byte. Nothing is done without --yes. A file that changed meanwhile is passed over, said, and makes the command end
/// with code 3. Files of snapshots and bundles are never touched.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to look [default: the working directory]
    #[arg(value_name = "TREE", value_hint = ValueHint::AnyPath)]
    pub trees: Vec<OsString>,
    /// Leave out smaller files, such as 4K or 1M; 0 finds empty files too
    #[arg(long, value_name = "SIZE", default_value = "1")]
    pub min_size: String,
    /// Leave out larger files
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<String>,
    /// Look only at files with such a name; may be given again
    #[arg(long, value_name = "GLOB")]
    pub name: Vec<String>,
    /// Leave out what GLOB matches, as a line of .gitignore would; may be given again
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Leave out what is mounted below
    #[arg(long)]
    pub one_file_system: bool,
    /// End each path with NUL, and each group with one more
    #[arg(short = '0', long, conflicts_with = "action")]
    pub null: bool,
    /// Print whole groups, the largest files first, when all folders were walked
    #[arg(long)]
    pub groups: bool,
    /// With --json or -0, too, print each file that equals one met before as soon as that is known, in no order
    #[arg(long, conflicts_with_all = ["action", "groups"])]
    pub as_found: bool,
    /// What to do with all but one file of each group
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub action: What,
    /// Which file stays: first, last, oldest, newest, shortest, or in=DIR for all below DIR; may be given again
    #[arg(long, value_name = "WHICH")]
    pub keep: Vec<OsString>,
    /// Link files together also where owner, mode or attributes differ
    #[arg(long)]
    pub mix_owners: bool,
    /// Do it
    #[arg(long)]
    pub yes: bool,
    /// What proves that a file did not change: its times and size (stat), or nothing but its bytes (hash)
    #[arg(long, value_name = "WHAT", value_parser = ["stat", "hash"], default_value = "stat")]
    pub trust: String,
}

/// The values of `--action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// Only tell
    #[default]
    Report,
    /// Make it another name of the file that stays
    Hardlink,
    /// Let it share the blocks of the file that stays (btrfs, XFS)
    Reflink,
    /// Make it a symbolic link to the file that stays
    Symlink,
    /// Remove it
    Remove,
}

impl What {
    fn action(self) -> Option<Action> {
        Some(match self {
            Self::Report => return None,
            Self::Hardlink => Action::Hardlink,
            Self::Reflink => Action::Reflink,
            Self::Symlink => Action::Symlink,
            Self::Remove => Action::Remove,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Hardlink => "hardlink",
            Self::Reflink => "reflink",
            Self::Symlink => "symlink",
            Self::Remove => "remove",
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "duplicates")]
struct GroupRecord<F> {
    fullhash: String,
    size_bytes: u64,
    spare_bytes: u64,
    files: F,
}

#[derive(Serialize)]
struct FileRecord {
    #[serde(flatten)]
    path: PathField,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<PathField>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "action")]
struct ActionRecord {
    action: &'static str,
    #[serde(flatten)]
    path: PathField,
    keep: PathField,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    command: &'static str,
    groups: u64,
    files: u64,
    spare_bytes: u64,
    done: u64,
    done_bytes: u64,
    passed_over: u64,
    unreadable: u64,
    dry_run: bool,
}

/// Runs the command.
pub fn run(app: &mut App, arguments: &Arguments) -> Outcome {
    if arguments.action == What::Report && (arguments.yes || arguments.mix_owners || !arguments.keep.is_empty()) {
        let message = "--yes, --keep and --mix-owners are for an action";
        return Err(Failure::usage(
            message,
            "say what is to be done: `ghost dup --action hardlink`",
        ));
    }
    let select = select(arguments)?;
    let rules = keep_rules(app, &arguments.keep)?;
    let texts = match arguments.trees.is_empty() {
        true => vec![OsString::from(".")],
        false => outermost(app, &arguments.trees)?,
    };
    let trees = tree_argument::open(app, &texts, &manner(arguments))?;
    let config = app.config()?;
    let threads = app.threads(config.typed());
    let progress = Arc::new(app.moderate(config.typed()));
    let monitor = app.monitor(&progress, &config)?;
    let looks = trees.looks();
    let forests: Vec<&dyn Forest> = looks.iter().map(Look::forest).collect();
    let mut run = Run {
        app,
        arguments,
        trees: &trees,
        forests: &forests,
        rules,
        progress: &progress,
        summary: Summary {
            command: "dup",
            dry_run: arguments.action != What::Report && !arguments.yes,
            ..Summary::default()
        },
    };
    let found = match run.is_as_found() {
        true => run.as_found(&select, threads),
        false => run.all(&select, threads),
    };
    let summary = run.summary;
    drop(monitor);
    trees.finish(app);
    found?;
    finish(app, arguments, &summary)
}

fn select(arguments: &Arguments) -> Outcome<Select> {
    let size = |option: &str, text: &str| {
        parse_bytes(text).ok_or_else(|| {
            let message = format!("{option} {text}: expected a size");
            Failure::usage(message, "write it as 1048576, 500K, 20MiB or 4G")
        })
    };
    let size_max = arguments
        .max_size
        .as_ref()
        .map(|text| size("--max-size", text))
        .transpose()?;
    Ok(Select {
        size_min: size("--min-size", &arguments.min_size)?,
        size_max: size_max.unwrap_or(u64::MAX),
        names: arguments.name.iter().map(|name| BString::from(name.as_str())).collect(),
    })
}

fn manner(arguments: &Arguments) -> Manner {
    Manner {
        rules: RuleOptions {
            exclude: arguments
                .exclude
                .iter()
                .map(|pattern| pattern.as_str().into())
                .collect(),
            one_file_system: arguments.one_file_system,
            ..RuleOptions::default()
        },
        reads_all: arguments.trust == "hash",
    }
}

fn keep_rules(app: &App, words: &[OsString]) -> Outcome<KeepRules> {
    let mut rules = KeepRules::default();
    for word in words {
        let bytes = word.as_encoded_bytes();
        if let Some(folder) = bytes.strip_prefix(b"in=") {
            let folder = app
                .environment
                .resolved(std::path::Path::new(&folder.to_os_str_lossy()));
            if !folder.is_dir() {
                let message = format!("--keep {}: there is no such folder", show::bytes(bytes));
                return Err(Failure::usage(
                    message,
                    "name a folder, as in --keep in=photos/originals",
                ));
            }
            rules.inside.push(folder);
            continue;
        }
        rules.by = match bytes {
            b"first" => Keep::First,
            b"last" => Keep::Last,
            b"oldest" => Keep::Oldest,
            b"newest" => Keep::Newest,
            b"shortest" => Keep::Shortest,
            _ => {
                let message = format!("--keep {}: expected which file stays", show::bytes(bytes));
                return Err(Failure::usage(
                    message,
                    "one of first, last, oldest, newest, shortest, in=DIR",
                ));
            }
        };
    }
    Ok(rules)
}

/// One run of the command.
struct Run<'a> {
    app: &'a mut App,
    arguments: &'a Arguments,
    trees: &'a Trees,
    forests: &'a [&'a dyn Forest],
    rules: KeepRules,
    progress: &'a Progress,
    summary: Summary,
}

impl Run<'_> {
    fn all(&mut self, select: &Select, threads: usize) -> Outcome {
        let (forests, progress) = (self.forests, self.progress);
        Telling::with(self, |telling| {
            let found = &mut |group| telling.tell(|run| run.group(&group));
            let failed = &mut |problem| telling.tell(|run| run.tell_problem(&problem));
            dup::each(forests, select, threads, progress, found, failed)
        })
    }

    fn tell_problem(&mut self, problem: &Error) -> Outcome {
        self.summary.unreadable += 1;
        Ok(tell_problem(&mut self.app.output, problem)?)
    }

    fn group(&mut self, group: &Group) -> Outcome {
        self.summary.groups += 1;
        self.summary.files += group.files.len() as u64;
        self.summary.spare_bytes += group.spare_bytes();
        let first = self.summary.groups == 1;
        if self.arguments.null {
            self.nulls(group)?;
        } else if self.app.output.json() {
            let shown = |name: Name| PathField::new(&self.trees.shown(name.forest, &name.path));
            let file = |at| {
                let mut names = group.files.names(at).map(shown);
                FileRecord {
                    path: names.next().unwrap_or_else(|| PathField::new(b"")),
                    links: names.collect(),
                }
            };
            let record = GroupRecord {
                fullhash: group.fullhash.to_string(),
                size_bytes: group.size,
                spare_bytes: group.spare_bytes(),
                files: Lazily(|| (0..group.files.len()).map(file)),
            };
            self.app.output.record(&record)?;
        } else {
            self.lines(group)?;
        }
        if let Some(action) = self.arguments.action.action() {
            self.act(action, group)?;
        }
        if first || self.app.environment.stdout_is_terminal {
            // Somebody may be waiting for the first one.
            self.app.output.flush()?;
        }
        Ok(self.app.check_interrupt()?)
    }

    fn shown(&self, name: &Name) -> BString {
        self.trees.shown(name.forest, &name.path)
    }

    fn nulls(&mut self, group: &Group) -> Outcome {
        for file in 0..group.files.len() {
            let path = self.shown(&group.files.first_name(file));
            self.app.output.bytes(&path)?;
            self.app.output.bytes(b"\0")?;
        }
        Ok(self.app.output.bytes(b"\0")?)
    }

    fn lines(&mut self, group: &Group) -> Outcome {
        let files = counted(group.files.len() as u64, "file", "files");
        let id = short_id(&group.fullhash);
        let head = format!("{files} of {}, {id}", Size(group.size));
        let head = self.app.output.paint(Style::Bold, head);
        self.app.output.line(head)?;
        if self.arguments.action != What::Report {
            return Ok(());
        }
        for file in 0..group.files.len() {
            let first = show::bytes(&self.shown(&group.files.first_name(file)));
            match group.files.names(file).len() - 1 {
                0 => self.app.output.line(format_args!("  {first}"))?,
                links => {
                    let more = counted(links as u64, "more name", "more names");
                    let more = self.app.output.paint(Style::Dim, format!("({more})"));
                    self.app.output.line(format_args!("  {first} {more}"))?;
                }
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action, group: &Group) -> Outcome {
        let plan = self.rules.plan(self.forests, group);
        let keep = group.files.first_name(plan.as_ref().map_or(0, |plan| plan.keep));
        let others = plan.as_ref().map_or(&[][..], |plan| &plan.others);
        if !self.app.output.json() {
            // Both ascend.
            let mut next = others.iter().copied().peekable();
            for file in 0..group.files.len() {
                if next.next_if_eq(&file).is_none() {
                    let path = show::bytes(&self.shown(&group.files.first_name(file)));
                    self.app.output.line(format_args!("  {:<9} {path}", "keep"))?;
                }
            }
        }
        let job = Job {
            forests: self.forests,
            action,
            mixes_owners: self.arguments.mix_owners,
            progress: self.progress,
        };
        for &other in others {
            let twin = group.files.get(other);
            let mut told = Vec::new();
            match self.arguments.yes {
                true => job.run(group, &keep, &twin, &mut |name, result| {
                    told.push((name.clone(), Some(result)))
                }),
                false => told.extend(twin.names.iter().map(|name| (name.clone(), None))),
            }
            if told.iter().all(|(_, result)| matches!(result, Some(Ok(())))) {
                self.summary.done_bytes += group.size;
            }
            for (name, result) in told {
                self.tell(&keep, &name, result)?;
            }
        }
        Ok(())
    }

    /// Says what was done to a name, or would be.
    fn tell(&mut self, keep: &Name, name: &Name, result: Option<Result<(), Error>>) -> Outcome {
        let path = self.shown(name);
        let word = self.arguments.action.word();
        let problem = result
            .as_ref()
            .and_then(|result| result.as_ref().err())
            .map(ToString::to_string);
        if let Some(Err(Error::Interrupted)) = result {
            return Err(Error::Interrupted.into());
        }
        match &problem {
            Some(_) => self.summary.passed_over += 1,
            None => self.summary.done += u64::from(result.is_some()),
        }
        if self.app.output.json() {
            let record = ActionRecord {
                action: word,
                path: PathField::new(&path),
                keep: PathField::new(&self.shown(keep)),
                done: matches!(result, Some(Ok(()))),
                problem,
            };
            return Ok(self.app.output.record(&record)?);
        }
        match problem {
            Some(problem) => self.app.output.problem(&format!("passed over: {problem}")),
            None => self
                .app
                .output
                .line(format_args!("  {word:<9} {}", show::bytes(&path)))?,
        }
        Ok(())
    }
}

fn finish(app: &mut App, arguments: &Arguments, summary: &Summary) -> Outcome {
    if app.output.json() {
        app.output.record(summary)?;
    } else if !arguments.null {
        let groups = counted(summary.groups, "group", "groups");
        let files = counted(summary.files, "file", "files");
        app.output.say(format_args!(
            "{groups}, {files}; {} could be freed",
            Size(summary.spare_bytes)
        ))?;
        if summary.dry_run {
            app.output.say("Nothing was done; --yes does it")?;
        } else if arguments.action != What::Report {
            let done = counted(summary.done, "name", "names");
            let word = arguments.action.word();
            let bytes = Size(summary.done_bytes);
            app.output.say(format_args!(
                "{word}: {done} of files with {bytes}; {} passed over",
                summary.passed_over
            ))?;
        }
    }
    match summary.passed_over + summary.unreadable {
        0 => Ok(()),
        _ => Err(Failure::Code(PARTIAL)),
    }
}

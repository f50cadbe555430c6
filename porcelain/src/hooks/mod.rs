//! Hooks: programs in `.ghost/hooks/` that run before and after jobs (`ghost help hooks`).
//!
//! 1. [`find`] looks for the program, and refuses one that somebody else could have put there or changed.
//! 2. [`process`] runs it, in a process group of its own, with a limit on its time; what it prints is shown line by line,
//!    escaped.
//! 3. A *pre* hook, and `update`, that does not end with code 0 stops the job before anything is acknowledged. One that
//!    comes after a job is told of when it fails, and changes nothing.
//!
//! Invariants: hooks come from the repository's own folder and nowhere else; ghost never puts one there, fetches one or
//! takes one from content. A hook that may not be run fails the job as one that failed: a check that was asked for is
//! never left out silently. What a hook starts runs no hooks itself.

mod find;
pub mod process;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ghost_plumbing::object::ObjectId;
use ghost_plumbing::repository::Repository;
use ghost_plumbing::repository::config::LogLevel;

use self::process::{End, Program};
use crate::app::App;
use crate::error::{Failure, Outcome};
use crate::ui::show;

/// With -q, so many of the last lines are shown, and only of a hook that fails.
const QUIET_LINES_MAX: usize = 20;

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before anything is read for a snapshot.
    PreSnapshot,
    /// After a snapshot was recorded.
    PostSnapshot,
    /// Before anything is sent to a remote.
    PrePush,
    /// Before what a peer sent is taken.
    PreReceive,
    /// Before one ref is changed for a peer.
    Update,
    /// After refs were changed for a peer.
    PostReceive,
    /// Before a gc frees anything.
    PrePrune,
    /// After a repository was checked.
    PostVerify,
    /// After a command that changes a repository failed.
    OnFailure,
}

impl Hook {
    /// The name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreSnapshot => "pre-snapshot",
            Self::PostSnapshot => "post-snapshot",
            Self::PrePush => "pre-push",
            Self::PreReceive => "pre-receive",
            Self::Update => "update",
            Self::PostReceive => "post-receive",
            Self::PrePrune => "pre-prune",
            Self::PostVerify => "post-verify",
            Self::OnFailure => "on-failure",
        }
    }
}

/// What a hook is told.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which one.
    pub hook: Hook,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables beside `GHOST_DIR` and `GHOST_HOOK`.
    pub variables: Vec<(&'static str, OsString)>,
    /// Its standard input.
    pub input: Vec<u8>,
}

impl Call {
    /// A call without arguments or input.
    pub fn new(hook: Hook) -> Self {
        Self {
            hook,
            arguments: Vec::new(),
            variables: Vec::new(),
            input: Vec::new(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Adds a line about a ref to the input: old value, new value, full name. Zeros stand for none.
    #[must_use]
    pub fn change(mut self, old: Option<ObjectId>, new: Option<ObjectId>, name: &str) -> Self {
        let line = format!("{} {} {name}\n", value(old), value(new));
        self.input.extend_from_slice(line.as_bytes());
        self
    }
}

/// A value of a ref as hooks get it: an id, or zeros where there is no such ref.
pub fn value(id: Option<ObjectId>) -> String {
    id.map_or_else(|| "0".repeat(64), |id| id.to_string())
}

/// Runs a hook that may stop the job, if there is one.
///
/// # Errors
///
/// Where it ends with another code than 0, takes too long, or may not be run.
pub fn before(app: &mut App, repository: &Repository, call: &Call) -> Outcome {
    let name = call.hook.name();
    let path = app.shown(&repository.ghost_dir.join("hooks").join(name));
    let refused = |why: String| {
        let hint = format!("{path} says what it wants; `-c hooks.enabled=false` passes hooks over");
        Failure::other(format!("the hook {name} {why}; nothing was changed"), hint)
    };
    match run(app, repository, call) {
        Ok(None | Some(End::Code(0))) => Ok(()),
        Ok(Some(End::Interrupted)) => Err(ghost_plumbing::Error::Interrupted.into()),
        Ok(Some(end)) => Err(refused(end.words())),
        Err(why) => Err(refused(why)),
    }
}

/// Runs a hook after a job, if there is one; what goes wrong with it is said and changes nothing.
pub fn after(app: &mut App, repository: &Repository, call: &Call) {
    let name = call.hook.name();
    match run(app, repository, call) {
        Ok(None | Some(End::Code(0))) => {}
        Ok(Some(end)) => app.output.warn(format_args!("the hook {name} {}", end.words())),
        Err(why) => app.output.warn(format_args!("the hook {name} {why}")),
    }
}

/// Tells the hook of failures, if there is one, that the command `name` ended with `code`.
pub fn on_failure(app: &mut App, name: &str, code: u8, message: &str) {
    // Whatever else is wrong with the repository, the command has said it.
    let is_there = |ghost_dir: &PathBuf| ghost_dir.join("hooks").join(Hook::OnFailure.name()).is_file();
    let Some(ghost_dir) = app.ghost_dir().ok().filter(is_there) else {
        return;
    };
    let Ok(repository) = app.open(&ghost_dir) else { return };
    let mut call = Call::new(Hook::OnFailure).arguments([name.to_owned(), code.to_string()]);
    call.input = format!("{message}\n").into_bytes();
    after(app, &repository, &call);
}

/// The program of a hook with all that it is told; none where there is none, or where hooks are passed over.
fn program(repository: &Repository, uid: u32, call: &Call) -> Result<Option<Program>, String> {
    let settings = repository.settings();
    let name = call.hook.name();
    if !settings.hooks_enabled {
        return Ok(None);
    }
    let Some(path) = find::program(&repository.ghost_dir, name, uid)? else {
        return Ok(None);
    };
    let mut variables = call.variables.clone();
    variables.push(("GHOST_DIR", repository.ghost_dir.clone().into()));
    variables.push(("GHOST_HOOK", name.into()));
    Ok(Some(Program {
        path,
        folder: repository.ghost_dir.clone(),
        arguments: call.arguments.clone(),
        variables,
        input: call.input.clone(),
        time_max: (settings.hooks_timeout_seconds > 0).then(|| Duration::from_secs(settings.hooks_timeout_seconds)),
    }))
}

/// Runs a hook of a server, whose clients see what it prints on standard error.
///
/// # Errors
///
/// Where it ends with another code than 0, takes too long, or may not be run.
pub fn serving(repository: &Repository, uid: u32, interrupt: &AtomicBool, call: &Call) -> Result<(), String> {
    let name = call.hook.name();
    let Some(program) = program(repository, uid, call)? else {
        return Ok(());
    };
    let end = process::run(&program, interrupt, &mut |line| {
        // Nobody is left to tell where that fails.
        let _ = writeln!(std::io::stderr(), "{name}: {}", show::bytes(line));
    });
    match end {
        Ok(End::Code(0)) => Ok(()),
        Ok(end) => Err(format!("the hook {name} {}", end.words())),
        Err(error) => Err(format!("the hook {name} cannot be run: {error}")),
    }
}

/// Runs a hook; none where there is none. The error says why it may not or cannot be run.
fn run(app: &mut App, repository: &Repository, call: &Call) -> Result<Option<End>, String> {
    if app.environment.in_hook {
        return Ok(None);
    }
    let name = call.hook.name();
    let Some(program) = program(repository, app.environment.uid, call)? else {
        return Ok(None);
    };
    let (interrupt, quiet) = (app.interrupt.clone(), app.output.manner().quiet);
    let mut kept = VecDeque::new();
    let end = process::run(&program, &interrupt, &mut |line| match quiet {
        false => app.output.of_hook(name, &show::bytes(line)),
        true => {
            if kept.len() == QUIET_LINES_MAX {
                kept.pop_front();
            }
            kept.push_back(show::bytes(line));
        }
    });
    if !matches!(end, Ok(End::Code(0))) {
        kept.iter().for_each(|line| app.output.of_hook(name, line));
    }
    let words = end.as_ref().map_or_else(ToString::to_string, End::words);
    app.output
        .journal
        .write(LogLevel::Info, &format!("hook {name} {words}"));
    end.map(Some).map_err(|error| format!("cannot be run: {error}"))
}

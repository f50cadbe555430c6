//! `ghost ref-log`.

use clap::Args;
use ghost_plumbing::object::ObjectId;
use ghost_plumbing::object::text::quote_name;
use ghost_plumbing::refs::{Change, Record, RefReport, RefStore, Who, candidates};
use serde::Serialize;

use crate::context::{CommandResult, Context, Outcome};
use crate::output::{json_line, json_time};

/// Print what refs went through, newest first; check the log, or make a damaged one usable
///
/// Each change of a ref is one line: NUMBER TIME OLD NEW NAME TAB AUTHOR TAB HOST TAB MESSAGE. NUMBER is that of the
/// record; changes that happened together share it. TIME is seconds since 1970. OLD or NEW is - where there was or is
/// no such ref. The last three are in quotes where they hold more than plain text.
#[derive(Args, Clone, Debug)]
pub struct RefLog {
    /// Print at most this many changes
    #[arg(long, short = 'n', value_name = "N")]
    max_count: Option<u64>,
    /// Change nothing; read the whole log and its checkpoints, and print what is wrong with them
    #[arg(long, conflicts_with = "refs")]
    check: bool,
    /// Make a usable log of a damaged one, with the newest values that can be read, and print where the damaged one is kept
    #[arg(long, conflicts_with_all = ["check", "refs"])]
    salvage: bool,
    /// Only these refs, as they are named in revisions; they may be deleted ones
    #[arg(value_name = "REF")]
    refs: Vec<String>,
}

#[derive(Serialize)]
struct JsonChange<'a> {
    number: u64,
    time: String,
    name: &'a str,
    old: Option<String>,
    new: Option<String>,
    author: &'a str,
    host: &'a str,
    message: &'a str,
}

impl RefLog {
    /// Prints, checks or salvages.
    pub fn run(self, ctx: &mut Context<'_>) -> CommandResult {
        let repository = if self.salvage {
            ctx.writable()?
        } else {
            ctx.repository()?
        };
        match () {
            () if self.check => check(ctx, &repository.refs),
            () if self.salvage => salvage(ctx, &repository.refs),
            () => self.print(ctx, &repository.refs),
        }
    }

    fn print(&self, ctx: &mut Context<'_>, refs: &RefStore) -> CommandResult {
        let names: Vec<String> = self.refs.iter().flat_map(|name| candidates(name)).collect();
        let mut left = self.max_count.unwrap_or(u64::MAX);
        let mut outcome = Outcome::Nothing;
        for record in refs.records_backwards()? {
            let record = record?;
            for change in &record.changes {
                if left > 0 && (self.refs.is_empty() || names.contains(&change.name)) {
                    print_change(ctx, &record, change)?;
                    outcome = Outcome::Done;
                    left -= 1;
                }
            }
            if left == 0 {
                break;
            }
        }
        Ok(outcome)
    }
}

fn print_change(ctx: &mut Context<'_>, record: &Record, change: &Change) -> CommandResult<()> {
    let text = |id: Option<ObjectId>| id.map(|id| id.to_string());
    let (old, new) = (text(change.old), text(change.new));
    if ctx.json {
        let line = JsonChange {
            number: record.sequence,
            time: json_time(record.time),
            name: &change.name,
            old,
            new,
            author: &record.author,
            host: &record.host,
            message: &record.message,
        };
        json_line(ctx.out, "ref_record", &line)?;
        return Ok(());
    }
    let [old, new] = [old, new].map(|id| id.unwrap_or_else(|| "-".to_owned()));
    let [author, host, message] =
        [&record.author, &record.host, &record.message].map(|text| quote_name(text.as_bytes()));
    let (number, time, name) = (record.sequence, record.time.seconds, &change.name);
    writeln!(
        ctx.out,
        "{number} {time} {old} {new} {name}\t{author}\t{host}\t{message}"
    )?;
    Ok(())
}

fn check(ctx: &mut Context<'_>, refs: &RefStore) -> CommandResult {
    let RefReport {
        records,
        checkpoints,
        problems,
        torn_tail,
    } = refs.verify()?;
    for problem in &problems {
        writeln!(ctx.out, "damage {problem}")?;
    }
    if let Some(tail) = torn_tail {
        writeln!(ctx.out, "torn {} {}", tail.offset, tail.bytes)?;
    }
    let (word, outcome) = match problems.is_empty() {
        true => ("ok", Outcome::Done),
        false => ("damaged", Outcome::Damage),
    };
    writeln!(ctx.out, "{word} {records} {checkpoints}")?;
    Ok(outcome)
}

fn salvage(ctx: &mut Context<'_>, refs: &RefStore) -> CommandResult {
    let who = Who {
        author: ctx.author.clone(),
        host: ctx.host.clone(),
        time: ctx.now,
    };
    let Some(salvaged) = refs.salvage(&who)? else {
        return Ok(Outcome::Nothing);
    };
    for number in salvaged.lost {
        writeln!(ctx.out, "lost {number}")?;
    }
    let kept = quote_name(salvaged.kept.as_os_str().as_encoded_bytes());
    writeln!(ctx.out, "salvaged {} {} {kept}", salvaged.records, salvaged.refs)?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use ghost_plumbing::disk::{OpenMode, read_file};

    use crate::testing::Shell;

    #[test]
    fn changes_are_printed_and_a_damaged_log_is_salvaged() {
        let shell = Shell::new();
        let tree = shell.run("mktree", "").to_string();
        let tree = tree.trim();
        for name in ["a", "b", "c"] {
            shell.run(&format!("update-ref refs/trees/{name} {tree} -m why"), "");
        }
        shell.run("update-ref -d refs/trees/b", "");
        let line = format!("2 1700000000 - {tree} refs/trees/b\tauthor\thost\twhy\n");
        let log = shell.run("ref-log trees/b", "").to_string();
        assert!(
            log.starts_with(&format!("4 1700000000 {tree} - refs/trees/b\t")) && log.ends_with(&line),
            "{log}"
        );
        assert_eq!(shell.run("ref-log", "").to_string().lines().count(), 4);
        assert_eq!(shell.run("ref-log -n 3", "").to_string().lines().count(), 3);
        let json = shell.run("--json ref-log -n 1", "").to_string();
        assert!(
            json.starts_with("{\"type\":\"ref_record\",\"number\":4,") && json.contains("\"new\":null"),
            "{json}"
        );
        assert_eq!(shell.run("ref-log --check", ""), "ok 4 0\n");
        assert_eq!(shell.try_run(["ref-log", "--salvage"], b"").0.unwrap().exit_code(), 1);

        let repository = shell.repository();
        let path = repository.refs.log_path();
        let bytes = read_file(&*repository.disk, path, usize::MAX).unwrap();
        let file = repository.disk.open(path, OpenMode::Write).unwrap();
        file.write_all_at(&[bytes[150] ^ 1], 150).unwrap();
        let (result, out) = shell.try_run(["ref-log", "--check"], b"");
        assert_eq!(result.unwrap().exit_code(), 4);
        let out = out.to_string();
        assert!(out.starts_with("damage ") && out.ends_with("damaged 3 0\n"), "{out}");
        let (message, code) = shell.fail("show-ref", "");
        assert!(message.contains("at offset 80") && code == 4, "{message}");
        let out = shell.run("ref-log --salvage", "").to_string();
        assert!(out.starts_with("lost 1\nsalvaged 0 1 /r/.ghost/refs/damaged-"), "{out}");
        assert_eq!(shell.run("show-ref", ""), format!("{tree} refs/trees/c\n"));
    }
}

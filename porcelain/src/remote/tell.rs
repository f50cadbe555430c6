//! What became of refs, for people and scripts.

use std::time::Duration;

use ghost_plumbing::object::ObjectId;
use ghost_plumbing::refs::short_name;
use ghost_plumbing::remote::pack::PackCount;
use ghost_plumbing::remote::wire::Traffic;
use serde::Serialize;

use crate::app::App;
use crate::error::Outcome;
use crate::ui::show::{self, short_id};
use crate::ui::size::{Size, counted};
use crate::ui::time::Length;

/// One ref that changed, or did not.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "ref")]
pub struct RefRecord {
    /// Its full name on the side that changed.
    pub name: String,
    /// The full name of the ref that it follows, on the other side.
    pub from: String,
    /// The value before.
    pub old: Option<String>,
    /// The value after.
    pub new: Option<String>,
}

impl RefRecord {
    /// A change from one value to another.
    pub fn new(name: &str, from: &str, old: Option<ObjectId>, new: Option<ObjectId>) -> Self {
        let text = |id: ObjectId| id.to_string();
        Self {
            name: name.to_owned(),
            from: from.to_owned(),
            old: old.map(text),
            new: new.map(text),
        }
    }
}

/// Shows one change.
pub fn change(app: &mut App, name: &str, from: &str, old: Option<ObjectId>, new: Option<ObjectId>) -> Outcome {
    if app.output.json() {
        return Ok(app.output.record(&RefRecord::new(name, from, old, new))?);
    }
    let digits = match (old, new) {
        (Some(old), Some(new)) => format!("{}..{}", short_id(&old), short_id(&new)),
        (None, Some(new)) => format!("new {}", short_id(&new)),
        (Some(old), None) => format!("gone, was {}", short_id(&old)),
        (None, None) => "nothing".to_owned(),
    };
    let (from, to) = (show::text(short_name(from)), show::text(short_name(name)));
    Ok(app.output.say(format_args!("  {from} -> {to}  {digits}"))?)
}

/// What a transfer brought.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct Summary {
    /// The command.
    pub command: &'static str,
    /// The other side.
    pub remote: String,
    /// Snapshots that were new there or here.
    pub snapshots: usize,
    /// Objects that travelled.
    pub objects: u64,
    /// Their bytes.
    pub raw_bytes: u64,
    /// Bytes of the pack.
    pub pack_bytes: u64,
    /// Bytes that were sent in all.
    pub sent_bytes: u64,
    /// Bytes that were received in all.
    pub received_bytes: u64,
    /// How often this side waited for an answer.
    pub round_trips: u64,
    /// Frames that an earlier try had brought.
    pub resumed_frames: u64,
    /// Seconds that it took, with the start of the transport.
    pub seconds: f64,
}

impl Summary {
    /// Of one transfer.
    pub fn new(
        command: &'static str,
        remote: &str,
        (snapshots, count): (usize, PackCount),
        traffic: Traffic,
        took: Duration,
    ) -> Self {
        Self {
            command,
            remote: remote.to_owned(),
            snapshots,
            objects: count.objects,
            raw_bytes: count.raw_bytes,
            pack_bytes: count.bytes,
            sent_bytes: traffic.sent,
            received_bytes: traffic.received,
            round_trips: traffic.round_trips,
            resumed_frames: count.skipped,
            seconds: took.as_secs_f64(),
        }
    }

    /// Shows it.
    pub fn show(&self, app: &mut App, verb: &str) -> Outcome {
        if app.output.json() {
            return Ok(app.output.record(self)?);
        }
        let took = Length(Duration::from_secs_f64(self.seconds));
        if self.objects == 0 {
            return Ok(app.output.say(format_args!("{verb} nothing but refs; {took}"))?);
        }
        let snapshots = counted(self.snapshots as u64, "snapshot", "snapshots");
        let objects = counted(self.objects, "object", "objects");
        let (raw, pack) = (Size(self.raw_bytes), Size(self.pack_bytes));
        app.output.say(format_args!(
            "{verb} {snapshots}: {raw} in {objects}, {pack} on the wire; {took}"
        ))?;
        if self.resumed_frames > 0 {
            let frames = counted(self.resumed_frames, "frame", "frames");
            app.output
                .say(format_args!("  {frames} had come before and did not travel again"))?;
        }
        Ok(())
    }
}

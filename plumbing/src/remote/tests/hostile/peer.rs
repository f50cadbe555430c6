//! Peers that say what a test tells them to.

use std::io::{Read, Write, pipe};

use super::super::world::*;
use crate::error::Result;
use crate::object::codec::put_varint;
use crate::object::{HashAlgo, ObjectId};
use crate::progress::Progress;
use crate::remote::message::{Listing, PushChange, PushHead};
use crate::remote::server::serve;
use crate::remote::wire::failure::Failure;
use crate::remote::wire::format::{Frame, FrameType, Greeting};
use crate::remote::wire::{Connection, Limits, Role};

/// What a peer says: frames, numbered as they are written.
#[derive(Default)]
pub struct Script {
    pub bytes: Vec<u8>,
    frames: u64,
}

impl Script {
    pub fn greeted() -> Self {
        Self {
            bytes: Greeting::new("hostile", 64 << 20).encode(),
            frames: 0,
        }
    }

    pub fn say(mut self, kind: FrameType, channel: u32, payload: &[u8]) -> Self {
        let frame = Frame::new(kind, channel, payload.to_vec());
        frame.write(&mut self.bytes, self.frames).unwrap();
        self.frames += 1;
        self
    }

    pub fn open(self, method: u64) -> Self {
        let mut payload = Vec::new();
        put_varint(&mut payload, method);
        self.say(FrameType::Open, 1, &payload)
    }

    pub fn data(mut self, channel: u32, bytes: &[u8]) -> Self {
        for piece in bytes.chunks(60_000) {
            self = self.say(FrameType::Data, channel, piece);
        }
        self
    }

    pub fn end(self, channel: u32) -> Self {
        self.say(FrameType::End, channel, b"")
    }
}

/// What a server says to a script, until it answers the first request or hangs up: its reply, or its error.
pub fn attack(exports: &One, script: &[u8]) -> Result<Vec<u8>> {
    let (mut client_in, server_out) = pipe().unwrap();
    let (server_in, mut client_out) = pipe().unwrap();
    std::thread::scope(|threads| {
        let serving = threads.spawn(|| {
            let greeting = Greeting::new("server", 1 << 20);
            let connection = Connection::start(Role::Server, server_in, server_out, &greeting, Limits::default());
            serve(&connection, exports, &Progress::default())
        });
        let writing = threads.spawn(move || {
            // It may hang up before it heard all.
            let _ = client_out.write_all(script);
            client_out
        });
        let answer = first_answer(&mut client_in);
        drop(writing.join().unwrap());
        // What it says after that is of no interest, but it must not wait to say it.
        let _ = std::io::copy(&mut client_in, &mut std::io::sink());
        let served = serving.join().unwrap();
        match answer {
            Some(answer) => answer,
            None => Err(served.expect_err("it hung up without a word")),
        }
    })
}

fn first_answer(input: &mut dyn Read) -> Option<Result<Vec<u8>>> {
    Greeting::read(input).ok()?;
    for number in 0.. {
        let frame = Frame::read(input, number).ok()??;
        match frame.kind {
            FrameType::Reply => return Some(Ok(frame.payload)),
            FrameType::Error => return Some(Err(Failure::decode(&frame.payload).unwrap().into_error())),
            _ => {}
        }
    }
    None
}

pub fn push_head(change: Option<PushChange>) -> PushHead {
    PushHead {
        push_id: [3; 16],
        who: who(),
        message: String::new(),
        changes: change.into_iter().collect(),
        roots: Vec::new(),
        has_pack: true,
    }
}

pub fn to(name: &str, expected: Option<ObjectId>, new: Option<ObjectId>) -> Option<PushChange> {
    Some(PushChange {
        name: name.to_owned(),
        expected,
        new,
        force: true,
    })
}

pub fn listing(tip: ObjectId) -> Listing {
    Listing {
        uuid: [5; 16],
        hash: HashAlgo::Sha256,
        is_append_only: false,
        is_read_only: false,
        knows_deltas: true,
        sequence: 1,
        line: MAIN.to_owned(),
        refs: vec![(MAIN.to_owned(), tip)],
        held: Vec::new(),
    }
}

/// Fetches from a server that says these bytes, whatever it is asked.
pub fn fetch_from(local: &Side, listing: Vec<u8>, pack: &[u8]) -> Result<()> {
    let (client_in, mut server_out) = pipe().unwrap();
    let (mut server_in, client_out) = pipe().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let first = Script::greeted();
            let mut said = first.bytes.len();
            let _ = server_out.write_all(&first.bytes);
            let first = first.data_after(&mut said, &mut server_out, &mut server_in, 1, &listing);
            first.data_after(&mut said, &mut server_out, &mut server_in, 3, pack);
            drop(server_out);
            let _ = std::io::copy(&mut server_in, &mut std::io::sink());
        });
        let connection = Connection::start(Role::Client, client_in, client_out, &greeting(local), Limits::default());
        let progress = Progress::default();
        let result = fetch(&crate::remote::client::Client::new(&connection, &progress), local);
        drop(connection);
        result.map(drop)
    })
}

impl Script {
    /// Waits until the client has opened a channel, and answers it with a stream and a reply.
    fn data_after(
        self,
        said: &mut usize,
        out: &mut dyn Write,
        input: &mut dyn Read,
        channel: u32,
        bytes: &[u8],
    ) -> Self {
        // The greeting comes once; whatever is read here is only waited for.
        let mut heard = [0; 1 << 16];
        while input.read(&mut heard).is_ok_and(|count| count > 0) {
            let open = heard.windows(5).any(|bytes| bytes == [1, 0, 0, 0, channel as u8]);
            if open {
                break;
            }
        }
        let script = self
            .data(channel, bytes)
            .end(channel)
            .say(FrameType::Reply, channel, b"");
        let _ = out.write_all(&script.bytes[*said..]);
        *said = script.bytes.len();
        script
    }
}

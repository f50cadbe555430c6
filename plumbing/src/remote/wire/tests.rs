//! Frames survive the way, damage does not; channels share a connection and end.

use std::io::{Cursor, Read, Write, pipe};
use std::time::Duration;

use proptest::prelude::*;

use super::failure::{Failure, Tally, json};
use super::format::{FLAG_JSON, Frame, FrameType, Greeting, PAYLOAD_BYTES_MAX, printable};
use super::*;
use crate::error::Error;

const KINDS: [FrameType; 9] = [
    FrameType::Open,
    FrameType::Data,
    FrameType::End,
    FrameType::Window,
    FrameType::Reply,
    FrameType::Error,
    FrameType::Progress,
    FrameType::Ping,
    FrameType::Pong,
];

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (
        0..KINDS.len(),
        any::<bool>(),
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(kind, is_json, channel, payload)| Frame {
            kind: KINDS[kind],
            flags: if is_json { FLAG_JSON } else { 0 },
            channel,
            payload,
        });
    prop::collection::vec(frame, 1..6)
}

fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, frame) in (0..).zip(frames) {
        frame.write(&mut out, number).unwrap();
    }
    out
}

fn decode(bytes: &[u8]) -> Result<Vec<Frame>, Error> {
    let mut input = Cursor::new(bytes);
    let mut out = Vec::new();
    while let Some(frame) = Frame::read(&mut input, out.len() as u64)? {
        out.push(frame);
    }
    Ok(out)
}

proptest! {
    #[test]
    fn frames_survive_the_way(frames in frames()) {
        prop_assert_eq!(decode(&encode(&frames)).unwrap(), frames);
    }

    #[test]
    fn a_bit_that_turns_never_goes_unseen(frames in frames(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = encode(&frames);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn frames_cannot_be_left_out_or_repeated(frames in frames(), at in any::<prop::sample::Index>()) {
        let at = at.index(frames.len());
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for (number, frame) in (0..).zip(&frames) {
            let mut out = Vec::new();
            frame.write(&mut out, number).unwrap();
            parts.push(out);
        }
        let mut twice = parts.clone();
        twice.insert(at, parts[at].clone());
        prop_assert!(decode(&twice.concat()).is_err());
        if at + 1 < parts.len() {
            parts.remove(at);
            prop_assert!(decode(&parts.concat()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes);
        let _ = Greeting::read(&mut Cursor::new(&bytes));
        let _ = Failure::decode(&bytes);
        let _ = Tally::decode(&bytes);
    }

    #[test]
    fn what_is_shown_moves_no_cursor(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(!printable(&bytes).chars().any(char::is_control));
    }
}

#[test]
fn greetings_survive_and_strangers_are_shown() {
    let greeting = Greeting::new("ghost 1", 1 << 20).with("key", [1, 2]).with("a", "b");
    let bytes = greeting.encode();
    assert_eq!(Greeting::read(&mut Cursor::new(&bytes)).unwrap(), greeting);
    for at in 0..bytes.len() {
        let mut hurt = bytes.clone();
        hurt[at] ^= 4;
        assert!(Greeting::read(&mut Cursor::new(hurt)).is_err(), "byte {at}");
        assert!(Greeting::read(&mut Cursor::new(&bytes[..at])).is_err(), "cut at {at}");
    }
    let banner = b"Welcome to loom\x1b[2J\nghost".to_vec();
    let error = Greeting::read(&mut Cursor::new(banner)).unwrap_err().to_string();
    assert!(error.contains("Welcome to loom\\x1b[2J\\nghost"), "{error}");
    let mut newer = greeting;
    (newer.version, newer.version_min) = (9, 7);
    let error = Greeting::read(&mut Cursor::new(newer.encode())).unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported { feature, .. } if feature.contains("7 to 9")),
        "{error}"
    );
    // One that speaks more and still understands us is no stranger.
    newer.version_min = 1;
    assert_eq!(Greeting::read(&mut Cursor::new(newer.encode())).unwrap().version, 9);
}

#[test]
fn details_are_json() {
    assert_eq!(json(&[("a", "x\"\\\n"), ("b", "ö")]), r#"{"a":"x\"\\\u000a","b":"ö"}"#);
}

/// A client and a server, joined by pipes.
fn pair(window: u64) -> (Connection, Connection) {
    let (client_in, server_out) = pipe().unwrap();
    let (server_in, client_out) = pipe().unwrap();
    let greeting = Greeting::new("test", window);
    let client = Connection::start(Role::Client, client_in, client_out, &greeting, Limits::default());
    let server = Connection::start(Role::Server, server_in, server_out, &greeting, Limits::default());
    (client, server)
}

/// Answers each request with its method, arguments and all data that came.
fn echo(server: &Connection) {
    std::thread::scope(|threads| {
        while let Ok(Some(request)) = server.accept() {
            threads.spawn(move || {
                let mut buffer = [0; 10_000];
                while let Ok(count @ 1..) = request.channel.receive(&mut buffer) {
                    if request.channel.send(&buffer[..count]).is_err() {
                        return;
                    }
                }
                let _ = request.channel.end();
                let mut payload = vec![request.method as u8];
                payload.extend_from_slice(&request.arguments);
                let _ = request.channel.reply(payload);
            });
        }
    });
}

#[test]
fn several_requests_share_a_connection() {
    let (client, server) = pair(65_536);
    let answering = std::thread::spawn(move || echo(&server));
    std::thread::scope(|threads| {
        for method in 0..12u8 {
            let client = &client;
            threads.spawn(move || {
                let channel = client.open(u64::from(method), b"args").unwrap();
                // More than a window, so that it flows only as the other side reads.
                let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n / 7) as u8 ^ method).collect();
                let received = std::thread::scope(|both| {
                    both.spawn(|| {
                        channel.send(&sent).unwrap();
                        channel.end().unwrap();
                    });
                    channel.receive_all(2_000_000).unwrap()
                });
                assert!(received == sent);
                let reply = channel.finish(&mut |_| ()).unwrap();
                assert_eq!(reply.payload, [&[method][..], b"args"].concat());
            });
        }
    });
    let traffic = client.traffic();
    // Headers, windows and greetings are small beside the data.
    assert!((12_000_000..12_100_000).contains(&traffic.sent), "{traffic:?}");
    drop(client);
    answering.join().unwrap();
}

#[test]
fn a_failure_reaches_who_still_sends() {
    let (client, server) = pair(65_536);
    let answering = std::thread::spawn(move || {
        let request = server.accept().unwrap().unwrap();
        request.channel.fail(&Error::invalid("thing", "x\u{1b}[1m", "never"));
        // The connection goes on.
        let request = server.accept().unwrap().unwrap();
        request.channel.reply(b"fine".to_vec()).unwrap();
        while server.accept().unwrap().is_some() {}
    });
    let channel = client.open(1, b"").unwrap();
    let error = loop {
        if let Err(error) = channel.send(&[0; 60_000]) {
            break error;
        }
    };
    let text = error.to_string();
    assert!(
        matches!(error, Error::Refused { code: 8, .. }) && text.contains("x\\x1b[1m"),
        "{text}"
    );
    drop(channel);
    assert_eq!(
        client.open(2, b"").unwrap().finish(&mut |_| ()).unwrap().payload,
        b"fine"
    );
    drop(client);
    answering.join().unwrap();
}

#[test]
fn an_answer_counts_though_the_far_side_has_hung_up_before_all_was_said() {
    for is_granted in [true, false] {
        let (client, server) = pair(65_536);
        let channels = [client.open(1, b"").unwrap(), client.open(2, b"").unwrap()];
        for _ in &channels {
            let channel = server.accept().unwrap().unwrap().channel;
            match is_granted {
                true => channel.reply(b"done".to_vec()).unwrap(),
                false => channel.fail(&Error::invalid("thing", "x", "never")),
            }
        }
        drop(server);
        assert!(client.accept().unwrap().is_none(), "it has hung up");
        for channel in channels {
            let ended = channel.send(b"the rest").and_then(|()| channel.end());
            assert_eq!(ended.is_ok(), is_granted, "{ended:?}");
            match channel.finish(&mut |_| ()) {
                Ok(reply) => assert!(is_granted && reply.payload == b"done"),
                Err(error) => assert!(
                    !is_granted && matches!(error, Error::Refused { code: 8, .. }),
                    "{error}"
                ),
            }
        }
        assert!(client.open(3, b"").is_err());
    }
}

#[test]
fn the_end_of_the_far_side_wakes_everybody() {
    let (client, server) = pair(65_536);
    std::thread::scope(|threads| {
        let channels: Vec<Channel> = (0..3).map(|n| client.open(n, b"").unwrap()).collect();
        let mut waiting = Vec::new();
        let mut channels = channels.into_iter();
        let (a, b, c) = (
            channels.next().unwrap(),
            channels.next().unwrap(),
            channels.next().unwrap(),
        );
        waiting.push(threads.spawn(move || a.receive_all(10).unwrap_err()));
        waiting.push(threads.spawn(move || {
            loop {
                if let Err(error) = b.send(&[0; 4096]) {
                    break error;
                }
            }
        }));
        waiting.push(threads.spawn(move || c.finish(&mut |_| ()).unwrap_err()));
        server.refuse(&Error::Interrupted);
        server.flush();
        for one in waiting {
            let error = one.join().unwrap();
            assert!(
                matches!(error, Error::Refused { .. } | Error::Disconnected { .. }),
                "{error}"
            );
        }
    });
}

/// What the client says after a script of the server, and with what error a request ends.
fn after(script: &[u8]) -> Error {
    let (client_in, mut server_out) = pipe().unwrap();
    let (mut server_in, client_out) = pipe().unwrap();
    let greeting = Greeting::new("test", 65_536);
    let client = Connection::start(Role::Client, client_in, client_out, &greeting, Limits::default());
    // It may hang up before it heard all.
    let _ = server_out.write_all(script);
    drop(server_out);
    let error = match client.open(1, b"") {
        Ok(channel) => channel.finish(&mut |_| ()).unwrap_err(),
        Err(error) => error,
    };
    drop(client);
    let mut said = Vec::new();
    server_in.read_to_end(&mut said).unwrap();
    error
}

#[test]
fn what_no_peer_may_send_ends_the_connection() {
    let greeting = Greeting::new("test", 65_536).encode();
    let frame = |kind, channel, payload: &[u8]| Frame::new(kind, channel, payload.to_vec());
    let too_much = vec![
        frame(FrameType::Data, 1, &[0; 60_000]),
        frame(FrameType::Data, 1, &[0; 6_000]),
    ];
    let cases: Vec<(&str, Vec<Frame>)> = vec![
        ("an answer", vec![frame(FrameType::Open, 2, &[1])]),
        ("an open channel", vec![frame(FrameType::Data, 7, b"x")]),
        ("an open channel", vec![frame(FrameType::Data, 2, b"x")]),
        ("a channel", vec![frame(FrameType::Data, 0, b"x")]),
        ("a channel", vec![frame(FrameType::Ping, 0, b"short")]),
        ("fits its channel", vec![frame(FrameType::Ping, 1, b"12345678")]),
        ("as granted", too_much),
        (
            "behind the end",
            vec![frame(FrameType::End, 1, b""), frame(FrameType::Data, 1, b"x")],
        ),
        ("window", vec![frame(FrameType::Window, 1, &[0xff; 9])]),
        ("progress", vec![frame(FrameType::Progress, 1, &[0x80])]),
        ("error frame", vec![frame(FrameType::Error, 1, &[1, 0xff, 0xff])]),
    ];
    for (expected, frames) in cases {
        // Channel 1 is open by then or not; both must end.
        let error = after(&[greeting.clone(), encode(&frames)].concat());
        let text = error.to_string();
        let is_early = text.contains("an open channel") || text.contains("ended the connection");
        assert!(
            matches!(error, Error::Protocol { .. } | Error::Disconnected { .. }),
            "{expected}: {text}"
        );
        assert!(text.contains(expected) || is_early, "{expected}: {text}");
    }
    let mut long = vec![0xff; 16];
    long[4..].copy_from_slice(&[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let error = after(&[greeting.clone(), long].concat()).to_string();
    assert!(error.contains(&format!("at most {PAYLOAD_BYTES_MAX}")), "{error}");
    let mut unknown = encode(&[frame(FrameType::End, 1, b"")]);
    unknown[4] = 77;
    assert!(
        after(&[greeting.clone(), unknown].concat())
            .to_string()
            .contains("a known type")
    );
    assert!(after(&greeting[..20]).to_string().contains("broke"));
    assert!(after(b"").to_string().contains("said nothing"));
}

#[test]
fn silence_and_crawling_end_by_the_clock_that_is_handed_in() {
    let seconds = Duration::from_secs;
    // Who greets and is silent then: no answer to a sign of life comes in between.
    let greeting = Greeting::new("test", 65_536);
    let (client_in, mut server_out) = pipe().unwrap();
    let (_server_in, client_out) = pipe().unwrap();
    server_out.write_all(&greeting.encode()).unwrap();
    let client = Connection::start(Role::Client, client_in, client_out, &greeting, Limits::default());
    client.peer().unwrap();
    client.tick(seconds(100));
    client.tick(seconds(159));
    assert!(client.open(1, b"").is_ok(), "59 seconds are no silence");
    client.tick(seconds(1000));
    let error = client.open(1, b"").unwrap_err();
    assert!(error.to_string().contains("nothing came for"), "{error}");
    drop((client, server_out));

    // Signs of life alone bring nobody ahead.
    let (client, server) = pair(65_536);
    let channel = client.open(1, b"").unwrap();
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| channel.receive(&mut [0; 10]).unwrap_err());
        let mut now = 0;
        let error = loop {
            if waiting.is_finished() {
                break waiting.join().unwrap();
            }
            now += 10;
            // The server's own clock makes it ask, the client's reader answers, and both hear frames.
            server.tick(seconds(now));
            client.tick(seconds(now));
            std::thread::yield_now();
        };
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    });
}

/// The bytes in the fenced block `hex NAME` of object-format.md.
fn on_page(name: &str) -> String {
    let page = include_str!("../../../../object-format.md");
    let start = format!("```hex {name}\n");
    let block = page.split_once(&start).and_then(|(_, rest)| rest.split_once("```"));
    block.unwrap_or_else(|| panic!("no block {name}")).0.to_owned()
}

fn lines(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| {
        chunk
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
            + "\n"
    };
    bytes.chunks(16).map(line).collect()
}

#[test]
fn the_page_says_what_is_sent() {
    let greeting = Greeting::new("ghost", 1 << 20).with("repository", "home");
    assert_eq!(lines(&greeting.encode()), on_page("wire-greeting"));
    let frames = [
        Frame::new(FrameType::Open, 1, vec![6]),
        Frame::new(FrameType::End, 1, Vec::new()),
    ];
    assert_eq!(lines(&encode(&frames)), on_page("wire-frames"));
}

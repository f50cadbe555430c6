//! Connections within connections.

use std::sync::Arc;

use super::world::*;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::remote::client::{Client, Tunnel};
use crate::remote::policy::Policy;
use crate::remote::server::tunnel::DEPTH_MAX;
use crate::remote::server::{Export, Exports};
use crate::remote::wire::Greeting;

/// Two repositories: `main` and `other`.
struct Two(One, One);

impl Exports for Two {
    fn open(&self, name: &[u8]) -> Result<Arc<Export>> {
        match name {
            b"other" => self.1.open(b""),
            name => self.0.open(name),
        }
    }
}

fn inner<T>(client: &Client<'_>, side: &Side, name: &[u8], ask: impl FnOnce(&Client<'_>) -> T) -> T {
    let tunnel: Tunnel = client.tunnel(name, &greeting(side)).unwrap();
    let progress = Progress::default();
    let result = ask(&Client::new(&tunnel.connection, &progress));
    tunnel.finish().unwrap();
    result
}

#[test]
fn another_repository_is_reached_through_a_channel() {
    let (local, one, two) = (Side::new(1), Side::new(2), Side::new(3));
    let first = one.commit(MAIN, &[("a", &noise(1, 3 << 20))]);
    let exports = Two(exports(&one, Policy::default()), exports(&two, Policy::default()));
    serving(&local, &exports, |client| {
        fetch(client, &local).unwrap();
        local.set(MAIN, Some(first));
        // More than a window goes through, and the outer connection is of use meanwhile and afterwards.
        let pushed = inner(client, &local, b"other", |inner| {
            assert_eq!(client.list().unwrap().get(MAIN), Some(first));
            push(inner, &local, &[MAIN]).unwrap()
        });
        assert!(pushed.count.bytes > 3 << 20);
        assert_eq!(client.list().unwrap().get(MAIN), Some(first));
    });
    assert_eq!(two.get(MAIN), Some(first));
    two.verify();
}

#[test]
fn tunnels_end_and_have_a_depth() {
    let (local, one) = (Side::new(1), Side::new(2));
    one.commit(MAIN, &[("a", b"1")]);
    let exports = exports(&one, Policy::default());
    with_server(&local, &exports, |client| {
        let nobody = client.tunnel(b"nobody", &greeting(&local)).unwrap();
        let error = nobody.finish().unwrap_err();
        assert!(matches!(error, Error::Refused { code: 3, .. }), "{error}");
        fn dig(client: &Client<'_>, left: usize) -> Result<()> {
            let tunnel = client.tunnel(b"main", &Greeting::new("t", 1 << 20))?;
            let progress = Progress::default();
            let inner = Client::new(&tunnel.connection, &progress);
            let done = match left {
                0 => inner.list().map(drop),
                left => dig(&inner, left - 1),
            };
            done.and(tunnel.finish())
        }
        dig(client, DEPTH_MAX - 1).unwrap();
        dig(client, DEPTH_MAX).unwrap_err();
        assert!(client.list().is_ok());
    });
}

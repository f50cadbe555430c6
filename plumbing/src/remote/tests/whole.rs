//! Frames that come as they are stored, with more in them than was asked for. Who lies about them:
//! [`super::hostile`].

use std::sync::Arc;

use parking_lot::Mutex;

use super::objects::{Asked, id, reader, spool};
use super::world::*;
use crate::object::ObjectId;
use crate::store::Frame;

#[test]
fn frames_come_whole_where_half_of_them_was_asked_for() {
    let far = Side::new(2);
    let contents: Vec<Vec<u8>> = (0..10).map(|number| noise(number, 100)).collect();
    far.commit_all(&contents);
    for (count, expected) in [(4, 4), (5, 10)] {
        let asked = Arc::new(Asked::serving(&far));
        let (_side, repository) = reader(&asked, spool(1 << 20));
        let wanted: Vec<ObjectId> = contents[..count].iter().map(|bytes| id(bytes)).collect();
        let shown = Mutex::new(Vec::new());
        let show = |frame: &Frame| shown.lock().extend(frame.objects().map(|(_, id, _)| id));
        repository.store.bring_shown(&wanted, &show).unwrap();
        let here = contents
            .iter()
            .filter(|bytes| repository.store.locate(&id(bytes)).unwrap().is_some());
        assert_eq!(here.count(), expected, "{count} of 10 were asked for");
        let mut shown = shown.into_inner();
        assert_eq!(shown.len(), expected, "each is shown once");
        shown.retain(|id| wanted.contains(id));
        assert_eq!(shown.len(), count);
        // Who fills a repository gets what it asked for, and nothing else.
        let target = Side::new(3);
        let store = target.open().store;
        let writer = store.writer().unwrap();
        let brought = asked.with(|client| client.bring_objects(&writer, &wanted)).unwrap();
        assert_eq!(brought.objects, count as u64);
    }
}

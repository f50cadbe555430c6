//! What a store asks others for, and how it knows their files.

use hashbrown::HashSet;

use super::*;

/// What a supply is asked: what for, what is absent, what is here, and in which files.
type Question = (&'static str, Vec<ObjectId>, Vec<ObjectId>, Vec<u32>);

/// Brings nothing, and notes what it is asked.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<Question>>);

impl Supply for Asked {
    fn bring(&self, _: &Store, absent: &[ObjectId], beside: &HashSet<u32>, _: Option<&Show<'_>>) -> Result<()> {
        let beside = beside.iter().copied().collect();
        self.0.lock().push(("bring", absent.to_vec(), Vec::new(), beside));
        Ok(())
    }

    fn expect(&self, absent: &[ObjectId], here: &[ObjectId]) {
        self.0
            .lock()
            .push(("expect", absent.to_vec(), here.to_vec(), Vec::new()));
    }

    fn bring_history(&self, _: &Store, id: ObjectId) -> Result<()> {
        self.0.lock().push(("history", vec![id], Vec::new(), Vec::new()));
        Ok(())
    }
}

fn id(i: u32) -> ObjectId {
    ObjectId::hash(HashAlgo::Sha256, &block(i))
}

#[test]
fn a_supply_is_asked_once_for_what_is_absent_and_told_what_is_here() {
    let store = open(&disk());
    add(&store, 0..5);
    let ids = [id(1), id(90), id(1), id(91), id(90), id(3)];
    store.expect(&ids).unwrap();
    store.bring(&ids).unwrap();
    assert_eq!(store.get(&id(90)).unwrap(), None, "there is no supply");
    let asked = Arc::new(Asked::default());
    store.supply_from(asked.clone());
    assert!(store.has_supply());
    let told = || std::mem::take(&mut *asked.0.lock());
    store.expect(&ids).unwrap();
    assert_eq!(told(), [("expect", vec![id(90), id(91)], vec![id(1), id(3)], vec![])]);
    store.bring(&ids).unwrap();
    assert_eq!(told(), [("bring", vec![id(90), id(91)], vec![], vec![0])]);
    store.bring(&ids[..1]).unwrap();
    assert_eq!((store.get(&id(3)).unwrap(), told()), (Some(block(3)), vec![]));
    assert_eq!(store.get(&id(90)).unwrap(), None);
    assert_eq!(told(), [("bring", vec![id(90)], vec![], vec![])]);
}

#[test]
fn stores_of_one_file_are_known_by_number_once_they_are_attached() {
    let disk = disk();
    let spool = || {
        let store = Store::spool(
            disk.clone(),
            Path::new("/g/b.gfs"),
            HashAlgo::Sha256,
            Options::default(),
        );
        store.unwrap()
    };
    let (own, first, second, none) = (spool(), spool(), spool(), spool());
    add(&first, 0..3);
    add(&second, 3..6);
    for (n, attached) in [&first, &second].into_iter().enumerate() {
        assert_eq!(own.number_of(attached), None);
        own.attach(attached).unwrap();
        assert_eq!(own.number_of(attached), Some(n as u32 + 1));
    }
    assert_eq!((own.number_of(&own), own.number_of(&none)), (Some(0), None));
    for i in 0..6 {
        let at = own.locate(&id(i)).unwrap().unwrap();
        assert_eq!(at.file, 1 + i / 3);
    }
    own.retire(&[own.number_of(&first).unwrap()]);
    assert!(!own.contains(&id(0)).unwrap() && own.contains(&id(3)).unwrap());
    assert_eq!(own.number_of(&open(&disk)), None, "a repository without data files");
}

#[test]
fn what_somebody_keeps_is_counted_as_stored() {
    let store = open(&disk());
    store.count_on([id(1), id(2)].into_iter().collect());
    store.count_on([id(3)].into_iter().collect());
    let added: Vec<Added> = add(&store, 0..4).into_iter().map(|(_, added)| added).collect();
    assert_eq!(added, [Added::New, Added::Existing, Added::Existing, Added::New]);
    let here = [0, 1, 2, 3].map(|i| store.contains(&id(i)).unwrap());
    assert_eq!(here, [true, false, false, true]);
}

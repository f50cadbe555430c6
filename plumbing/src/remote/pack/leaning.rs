//! Differences that go to somebody who asks for single objects: each right behind the frame that holds what it is made from,
//! so that it is decoded there while that is at hand, and nothing is decompressed here.
//!
//! 1. An object that is stored as a difference is placed if each of its bases is in a frame that goes as it is, or is a
//!    difference that can be placed itself: then that goes along, asked for or not.
//! 2. Its place is behind the last frame that holds one of its bases, or what they are made from. There those go first that
//!    are made from this frame alone, level by level: a frame holds nothing that is made from another object of it.
//! 3. What cannot be placed, or is made from many others, is decoded here ([`super::plan`]).

use std::collections::BTreeMap;
use std::io::Write;

use hashbrown::{HashMap, HashSet};

use super::PackWriter;
use super::plan::{Form, Unit};
use crate::error::Result;
use crate::limits::DELTA_LINKS_MAX;
use crate::store::data::format::FrameKind;
use crate::store::{Location, Store};

/// Objects that come with one that is a difference, itself counted, at most. Those that need more are decoded.
pub const WEIGHT_MAX: u16 = 16;

/// Differences behind a frame, by their levels.
#[derive(Debug, Default)]
pub(super) struct Behind {
    levels: BTreeMap<Level, Vec<Location>>,
    /// How many of them were asked for.
    pub wanted: usize,
}

/// What is made from other frames, too, comes behind what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Level {
    is_of_several: bool,
    number: u16,
}

/// Where an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// The number of the frame that it goes behind.
    unit: usize,
    /// None: in that frame.
    level: Option<Level>,
}

/// Finds places.
pub(super) struct Placing<'s> {
    store: &'s Store,
    /// The numbers of frames that go as they are.
    whole: HashMap<(u32, u64), usize>,
    known: HashMap<Location, Option<Place>>,
}

impl Behind {
    /// Writes them.
    pub fn send<W: Write>(&self, store: &Store, out: &mut PackWriter<W>) -> Result<()> {
        let mut send = |sealed| out.frame(FrameKind::Objects, &sealed);
        self.levels
            .values()
            .try_for_each(|level| store.regroup(level, &mut send))
    }
}

impl<'s> Placing<'s> {
    /// Behind these frames.
    pub fn new(store: &'s Store, units: &[Unit]) -> Self {
        let whole = (0..).zip(units).filter(|(_, unit)| unit.form == Form::Whole);
        Self {
            store,
            whole: whole
                .map(|(number, unit)| ((unit.at.file, unit.at.frame), number))
                .collect(),
            known: HashMap::new(),
        }
    }

    /// Places these objects of delta frames, and what they need; gives those that cannot be.
    pub fn place_all(mut self, wanted: &[Location], units: &mut [Unit]) -> Result<Vec<Location>> {
        let (mut left, mut added) = (Vec::new(), HashSet::new());
        for &at in wanted {
            match self.place(at, 0)? {
                Some(Place { unit, .. }) => {
                    units[unit].behind.wanted += 1;
                    self.add(at, units, &mut added)?;
                }
                None => left.push(at),
            }
        }
        for unit in units {
            unit.behind.levels.values_mut().for_each(|level| level.sort_unstable());
        }
        Ok(left)
    }

    fn place(&mut self, at: Location, links: u8) -> Result<Option<Place>> {
        if let Some(&unit) = self.whole.get(&(at.file, at.frame)) {
            return Ok(Some(Place { unit, level: None }));
        }
        if let Some(&known) = self.known.get(&at) {
            return Ok(known);
        }
        // One that leads to itself finds this.
        self.known.insert(at, None);
        let place = match self.store.depth_and_weight(at)? {
            (1.., ..=WEIGHT_MAX) if links < DELTA_LINKS_MAX => self.place_behind_bases(at, links)?,
            _ => None,
        };
        self.known.insert(at, place);
        Ok(place)
    }

    fn place_behind_bases(&mut self, at: Location, links: u8) -> Result<Option<Place>> {
        let mut bases = Vec::new();
        for base in self.store.bases_at(at)? {
            let Some(base) = self.store.locate(&base.id)? else {
                return Ok(None);
            };
            let Some(place) = self.place(base, links + 1)? else {
                return Ok(None);
            };
            bases.push(place);
        }
        let Some(unit) = bases.iter().map(|place| place.unit).max() else {
            return Ok(None);
        };
        let here = bases.iter().filter(|place| place.unit == unit);
        let highest = here.filter_map(|place| place.level).max();
        let level = Level {
            is_of_several: bases.iter().any(|place| place.unit != unit)
                || highest.is_some_and(|level| level.is_of_several),
            number: highest.map_or(1, |level| level.number + 1),
        };
        Ok(Some(Place {
            unit,
            level: Some(level),
        }))
    }

    /// Adds an object that has a place, and what it is made from, each once.
    fn add(&self, at: Location, units: &mut [Unit], added: &mut HashSet<Location>) -> Result<()> {
        let place = self.known.get(&at).copied().flatten();
        let Some(Place {
            unit,
            level: Some(level),
        }) = place.filter(|_| added.insert(at))
        else {
            return Ok(());
        };
        units[unit].behind.levels.entry(level).or_default().push(at);
        for base in self.store.bases_at(at)? {
            if let Some(base) = self.store.locate(&base.id)? {
                self.add(base, units, added)?;
            }
        }
        Ok(())
    }
}

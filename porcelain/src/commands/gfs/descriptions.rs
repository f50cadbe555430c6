//! The descriptions of a bundle as values and as texts.

use std::path::Path;

use ghost_plumbing::Result;
use ghost_plumbing::bundle::Bundle;
use ghost_plumbing::ghosts::{Ghost, Ghosts, text};

/// Bytes of one text, about: a reader holds one at a time.
const TEXT_BYTES: usize = 4 << 20;
/// What a description takes beside its paths, in bytes, about.
const GHOST_BYTES: usize = 400;

/// Adds the descriptions of a bundle to those that are known.
pub fn read_descriptions(bundle: &Bundle, ghosts: &mut Ghosts) -> Result<()> {
    let path = bundle.store().place();
    for text in bundle.descriptors() {
        for ghost in text::decode(&path, &text?)? {
            ghosts.add(ghost)?;
        }
    }
    Ok(())
}

/// Descriptions as texts of a length that a bundle takes, each made when it is asked for.
pub fn write_descriptions(mut ghosts: impl Iterator<Item = Result<Ghost>>) -> impl Iterator<Item = Result<Vec<u8>>> {
    std::iter::from_fn(move || {
        let mut part: Vec<Ghost> = Vec::new();
        let mut bytes = 0;
        while bytes < TEXT_BYTES {
            let ghost = match ghosts.next() {
                None => break,
                Some(Ok(ghost)) => ghost,
                Some(Err(error)) => return Some(Err(error)),
            };
            let paths = ghost
                .places
                .iter()
                .map(|place| 3 * (place.root.len() + place.path.len()) + GHOST_BYTES);
            bytes += GHOST_BYTES + paths.sum::<usize>();
            part.push(ghost);
        }
        (!part.is_empty()).then(|| Ok(text::encode(&part)))
    })
}

/// Refuses a text that is not one of descriptions.
pub fn check(path: &Path, bytes: &[u8]) -> Result<()> {
    text::decode(path, bytes).map(drop)
}

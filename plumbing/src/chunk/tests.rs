//! Cuts depend on bytes alone, and on known bytes they stay where they are.

use proptest::prelude::*;

use super::*;

/// Deterministic noise: the multiplicative generator MMIX.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
    .take(bytes)
    .collect()
}

/// Cuts `content`, read in pieces of `step` bytes, with `holes` given as holes.
fn lengths(content: &[u8], step: usize, holes: &[(usize, usize)]) -> Vec<(bool, u64)> {
    let mut chunker = Chunker::new(Params::default());
    let (mut out, mut parts, mut buffer, mut at) = (Vec::new(), Vec::new(), Vec::new(), 0);
    loop {
        let hole = holes.iter().find(|hole| hole.0 >= at);
        let limit = hole.map_or(content.len(), |hole| hole.0);
        let next = (at + step).min(limit);
        buffer.extend_from_slice(&content[at..next]);
        at = next;
        let follows = match hole {
            Some(hole) if at == hole.0 => {
                at += hole.1;
                Follows::Hole(hole.1 as u64)
            }
            _ if at == content.len() => Follows::End,
            _ => Follows::Data,
        };
        let taken = chunker.cut(&buffer, follows, &mut parts);
        assert!(follows == Follows::Data || taken == buffer.len());
        buffer.drain(..taken);
        out.extend(parts.drain(..).map(|part| match part {
            Part::Data { bytes, .. } => (true, bytes as u64),
            Part::Zeros { bytes } => (false, bytes),
        }));
        if follows == Follows::End {
            return out;
        }
        if at == content.len() {
            let taken = chunker.cut(&[], Follows::End, &mut parts);
            assert_eq!(taken, 0);
            out.extend(parts.drain(..).map(|part| match part {
                Part::Data { bytes, .. } => (true, bytes as u64),
                Part::Zeros { bytes } => (false, bytes),
            }));
            return out;
        }
    }
}

#[test]
fn cuts_of_known_bytes() {
    let cuts: Vec<u64> = lengths(&noise(1 << 20, 1), 1 << 20, &[])
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(cuts.iter().sum::<u64>(), 1 << 20);
    assert_eq!(
        cuts,
        [
            21751, 163970, 154814, 70987, 76450, 72989, 119377, 82306, 58727, 67165, 59474, 100566
        ]
    );
}

#[test]
fn zeros_are_cut_out_wherever_they_lie() {
    let mut content = noise(300_000, 2);
    content.extend(vec![0; 200_000]);
    content.extend(noise(100_000, 3).into_iter().map(|byte| byte | 1));
    let cuts = lengths(&content, 600_000, &[]);
    assert!(cuts.contains(&(false, 200_000)), "{cuts:?}");
    let long = vec![0; 10 << 20];
    assert_eq!(lengths(&long, 777_777, &[]), [(false, 10 << 20)]);
    assert_eq!(lengths(&long[..RUN_BYTES_MIN - 1], 1 << 20, &[]).len(), 1);
    assert!(lengths(&long[..RUN_BYTES_MIN - 1], 1 << 20, &[])[0].0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn cuts_do_not_depend_on_reading_or_holes(
        pieces in prop::collection::vec((1..400_000usize, 0..3u8, any::<u64>()), 1..6),
        step in 400_000..2_000_000usize,
    ) {
        let mut content = Vec::new();
        let mut holes = Vec::new();
        for (bytes, kind, seed) in pieces {
            match kind {
                0 => content.extend(noise(bytes, seed)),
                1 => content.extend(vec![0; bytes]),
                _ => {
                    if bytes >= RUN_BYTES_MIN {
                        holes.push((content.len(), bytes));
                    }
                    content.extend(vec![0; bytes]);
                }
            }
        }
        let whole = lengths(&content, content.len(), &[]);
        prop_assert_eq!(whole.iter().map(|part| part.1).sum::<u64>(), content.len() as u64);
        prop_assert_eq!(&lengths(&content, step, &[]), &whole);
        prop_assert_eq!(&lengths(&content, step, &holes), &whole);
    }
}

#[test]
fn a_short_segment_is_one_block() {
    let max = Params::default().whole();
    let mut content = noise(max, 5);
    content[0] |= 1;
    content[max - 1] |= 1;
    for step in [1000, max - 1, max, 1 << 20] {
        assert_eq!(lengths(&content, step, &[]), [(true, max as u64)]);
    }
    // One byte more, and the bytes say where it is cut.
    content.push(7);
    let cuts = lengths(&content, 1 << 20, &[]);
    assert!(cuts.len() > 1, "{cuts:?}");
    assert_eq!(lengths(&content, 999, &[]), cuts);
    // Each segment for itself, and what is left of a longer one is not a segment.
    let longer = content.len();
    content.extend(vec![0; RUN_BYTES_MIN]);
    content.extend(noise(100_000, 6).into_iter().map(|byte| byte | 1));
    let (zeros, last) = ((false, RUN_BYTES_MIN as u64), (true, 100_000));
    assert_eq!(lengths(&content, 4097, &[]), [&cuts[..], &[zeros, last]].concat());
    assert_eq!(
        lengths(&content, 1 << 20, &[(longer, RUN_BYTES_MIN)]),
        [&cuts[..], &[zeros, last]].concat()
    );
}

use super::*;

fn column(name: &'static str, values: Values<'static>) -> Column<'static> {
    let name = name.into();
    Column { name, values }
}

fn ints(values: &[i64]) -> Values<'static> {
    Values::Ints(values.to_vec().into())
}

/// Both readers, which must agree; whether the fast one took the data.
fn agree(data: &[u8]) -> bool {
    let (found, expected) = (columns(data), decoded(data));
    match (found, expected) {
        (Ok(found), Ok(expected)) => {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.name, expected.name);
                match (&found.values, &expected.values) {
                    // By their bits: a damaged one may be no number.
                    (Values::Floats(found), Values::Floats(expected)) => {
                        let bits = |floats: &[f32]| {
                            floats.iter().map(|it| it.to_bits()).collect::<Vec<_>>()
                        };
                        assert_eq!(bits(found), bits(expected));
                    }
                    (found, expected) => assert_eq!(found, expected),
                }
            }
        }
        (found, expected) => assert_eq!(found, expected),
    }
    plain(data).is_some()
}

#[test]
fn integers_are_read_as_the_library_reads_them() {
    let edges = [
        0,
        1,
        127,
        128,
        16_383,
        16_384,
        2_097_151,
        2_097_152,
        i64::MAX,
        -1,
    ];
    for first in edges {
        for second in edges {
            for values in [&[first][..], &[first, second], &[7, first, 300, second, 0]] {
                let is_plain = agree(&message(vec![column("ids", ints(values))]));
                let is_short = values.iter().all(|value| (0..1 << 21).contains(value));
                assert_eq!(is_plain, is_short, "{values:?}");
            }
        }
    }
    // Values on all sides of 64 bytes.
    for count in 0..200 {
        let values: Vec<i64> = (0..count).map(|at| at * at * 7919 % 30_522).collect();
        let is_plain = agree(&message(vec![column("ids", ints(&values))]));
        assert_eq!(is_plain, count > 0);
    }
}

/// A record with lists of all kinds, in which ids of one, two and three bytes are more than 64 bytes.
fn record() -> Vec<u8> {
    let ids: Vec<i64> = (0..30).map(|at| [5, 300, 30_000][at % 3]).collect();
    message(vec![
        column("input_ids", ints(&ids)),
        column("input_mask", ints(&[1, 1, 0])),
        column("label_ids", Values::Floats(vec![0.5, -1.0])),
    ])
}

#[test]
fn a_record_in_several_pieces_is_read_as_the_library_reads_it() {
    assert!(agree(&record()));
    // Both features; one twice; a text; no list; not packed; in two packed parts; nothing.
    let entry = |name: &str, feature: &[u8]| {
        let part =
            |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let entry = [part(0x0a, name.as_bytes()), part(0x12, feature)].concat();
        let features = part(0x0a, &entry);
        part(0x0a, &features)
    };
    let texts = b"\x0a\x03\x0a\x01x";
    let unpacked = b"\x1a\x05\x08\x09\x08\xac\x02";
    let parts = b"\x1a\x06\x0a\x02\x05\x06\x08\x09";
    for feature in [&texts[..], unpacked, parts, b"", b"\x1a\x00"] {
        assert!(!agree(&entry("a", feature)));
    }
    assert!(agree(&entry("a", b"\x1a\x02\x0a\x00")));
    let twice = [
        entry("a", b"\x1a\x03\x0a\x01\x05"),
        entry("a", b"\x1a\x03\x0a\x01\x06"),
    ]
    .concat();
    assert!(!agree(&twice));
    assert!(!agree(&[record(), entry("b", texts)].concat()));
    assert!(!agree(b""));
}

/// Whatever stands in the bytes, the result is that of the library.
#[test]
fn a_damaged_record_is_read_as_the_library_reads_it() {
    let whole = record();
    for at in 0..whole.len() {
        for byte in 0..=u8::MAX {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            agree(&damaged);
        }
        agree(&whole[..at]);
    }
}

//! Bytes that the definitions forbid are refused: cut short, too long, or wrong in one place.

use bytes::Bytes;
use libvirt_client::xdr::{DecodeError, DecodeErrorKind};

use crate::{
    WIRE_TYPES, WireType,
    encoding::{Encoded, Mark, Part, encode},
    model,
};

/// The most bytes that may be allocated before a length that is a lie is seen to be one.
const SMALL_CHANGE: u64 = 64 * 1024;

#[test]
fn every_proper_prefix_is_an_error() {
    let mut prefixes = 0;
    for_each_small_encoding(|wire_type, encoded| {
        let bytes = Bytes::from(encoded.bytes);
        for length in 0..bytes.len() {
            let error = refused(wire_type, &bytes.slice(..length));
            assert!(
                matches!(error.kind(), DecodeErrorKind::Truncated { needed } if needed > 0),
                "{} cut to {length} of {} bytes: {error}",
                wire_type.name,
                bytes.len()
            );
            assert!(error.offset() <= length, "{error}");
        }
        prefixes += bytes.len();
    });
    println!("{prefixes} prefixes");
}

#[test]
fn bytes_left_over_are_an_error() {
    for_each_small_encoding(|wire_type, encoded| {
        let length = encoded.bytes.len();
        for extra in [1, 4] {
            let bytes = Bytes::from([&encoded.bytes[..], &[0; 4][..extra]].concat());
            let error = refused(wire_type, &bytes);
            assert_eq!(
                error.kind(),
                DecodeErrorKind::Leftover { bytes: extra },
                "{}: {error}",
                wire_type.name
            );
            assert_eq!(error.offset(), length, "{}: {error}", wire_type.name);
        }
    });
}

#[test]
fn a_length_over_its_bound_is_refused_before_anything_is_allocated() {
    let mut lengths = 0;
    for_each_mark(|wire_type, bytes, mark| {
        let Part::Length(limit) = &mark.part else { return };
        lengths += 1;
        if limit.max == u32::MAX {
            return;
        }
        for length in [limit.max + 1, u32::MAX] {
            let error =
                refused_cheaply(wire_type, &with_word(&bytes[..mark.offset + 4], mark.offset, length));
            let DecodeErrorKind::TooLong { length: seen, bound } = error.kind() else {
                panic!("{} with length {length} at {}: {error}", wire_type.name, mark.path);
            };
            assert_eq!((seen, bound.max, bound.name), (length, limit.max, limit.name.as_str()), "{error}");
            assert_at(wire_type, mark, mark.offset, &error);
        }
    });
    println!("{lengths} lengths");
}

/// A length within the bound is no promise either: memory is taken for bytes that came.
#[test]
fn a_length_that_the_bytes_do_not_bear_out_allocates_nothing() {
    for_each_mark(|wire_type, bytes, mark| {
        let Part::Length(limit) = &mark.part else { return };
        let error = refused_cheaply(wire_type, &with_word(&bytes[..mark.offset + 4], mark.offset, limit.max));
        assert!(matches!(error.kind(), DecodeErrorKind::Truncated { .. }), "{}: {error}", wire_type.name);
    });
}

#[test]
fn a_wrong_word_is_refused_where_it_stands() {
    let (mut flags, mut narrow, mut discriminants) = (0, 0, 0);
    for_each_mark(|wire_type, bytes, mark| match &mark.part {
        Part::Flag => {
            flags += 1;
            for word in [2, u32::MAX] {
                let error = refused(wire_type, &with_word(bytes, mark.offset, word));
                assert!(
                    matches!(error.kind(), DecodeErrorKind::OutOfRange { expected: "bool", .. }),
                    "{error}"
                );
                assert_at(wire_type, mark, mark.offset, &error);
            }
        }
        Part::Narrow { least, greatest, is_char } => {
            narrow += 1;
            // A peer whose `char` is unsigned sends the upper half as 128 to 255.
            let greatest = if *is_char { i32::from(u8::MAX) } else { *greatest };
            for word in [least - 1, greatest + 1] {
                let error = refused(wire_type, &with_word(bytes, mark.offset, word as u32));
                assert!(matches!(error.kind(), DecodeErrorKind::OutOfRange { .. }), "{error}");
                assert_at(wire_type, mark, mark.offset, &error);
            }
            if *is_char {
                let signed = with_word(bytes, mark.offset, (-61i32) as u32);
                let unsigned = with_word(bytes, mark.offset, 0xc3);
                assert_eq!(
                    (wire_type.recode)(&unsigned).unwrap(),
                    signed,
                    "{} at {}",
                    wire_type.name,
                    mark.path
                );
            }
        }
        Part::Discriminant { unknown: Some(word) } => {
            discriminants += 1;
            let error = refused(wire_type, &with_word(bytes, mark.offset, *word));
            assert!(
                matches!(error.kind(), DecodeErrorKind::UnknownDiscriminant { value, .. } if value as u32 == *word),
                "{error}"
            );
            assert_at(wire_type, mark, mark.offset, &error);
        }
        _ => {}
    });
    assert!(flags > 0 && narrow > 0 && discriminants > 0);
    println!("{flags} flags, {narrow} narrow numbers, {discriminants} discriminants");
}

#[test]
fn wrong_bytes_are_refused_where_they_stand() {
    let (mut texts, mut paddings) = (0, 0);
    for_each_mark(|wire_type, bytes, mark| {
        let (kind, byte) = match mark.part {
            Part::Text => (DecodeErrorKind::NotUtf8, 0xff),
            Part::Padding => (DecodeErrorKind::Padding, 1),
            _ => return,
        };
        if kind == DecodeErrorKind::Padding {
            paddings += 1;
        } else {
            texts += 1;
        }
        let mut bytes = bytes.to_vec();
        bytes[mark.offset] = byte;
        let error = refused(wire_type, &Bytes::from(bytes));
        assert_eq!(error.kind(), kind, "{error}");
        assert_at(wire_type, mark, mark.offset, &error);
    });
    assert!(texts > 0 && paddings > 0);
    println!("{texts} texts, {paddings} paddings");
}

#[test]
fn unknown_enum_numbers_survive() {
    let mut enums = 0;
    for_each_mark(|wire_type, bytes, mark| {
        if !matches!(mark.part, Part::Enum) {
            return;
        }
        enums += 1;
        for word in [i32::MAX, i32::MIN, -1, 1_000_000] {
            let bytes = with_word(bytes, mark.offset, word as u32);
            let again =
                (wire_type.recode)(&bytes).unwrap_or_else(|error| panic!("{}: {error}", wire_type.name));
            assert_eq!(bytes, again, "{} at {}", wire_type.name, mark.path);
        }
    });
    assert!(enums > 0);
    println!("{enums} enums");
}

fn for_each_small_encoding(mut check: impl FnMut(&WireType, Encoded)) {
    for wire_type in WIRE_TYPES.iter() {
        check(wire_type, encode(model(), &wire_type.shape, &model().minimal(&wire_type.shape)));
        for value in wire_type.full() {
            check(wire_type, encode(model(), &wire_type.shape, &value));
        }
    }
}

/// Visits each place of each type's full values that can be wrong.
fn for_each_mark(mut check: impl FnMut(&WireType, &[u8], &Mark)) {
    for wire_type in WIRE_TYPES.iter() {
        for value in wire_type.full() {
            let Encoded { bytes, marks } = encode(model(), &wire_type.shape, &value);
            for mark in &marks {
                check(wire_type, &bytes, mark);
            }
        }
    }
}

fn with_word(bytes: &[u8], offset: usize, word: u32) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
    Bytes::from(bytes)
}

fn refused(wire_type: &WireType, bytes: &Bytes) -> DecodeError {
    match (wire_type.recode)(bytes) {
        Ok(_) => panic!("{} takes {bytes:?}", wire_type.name),
        Err(error) => error,
    }
}

fn refused_cheaply(wire_type: &WireType, bytes: &Bytes) -> DecodeError {
    let mut error = None;
    let allocated = allocation_counter::measure(|| error = Some(refused(wire_type, bytes)));
    let error = error.unwrap();
    assert!(
        allocated.bytes_total <= SMALL_CHANGE,
        "{} allocates {} bytes before it says: {error}",
        wire_type.name,
        allocated.bytes_total
    );
    error
}

/// The error must name the field and the byte.
fn assert_at(wire_type: &WireType, mark: &Mark, offset: usize, error: &DecodeError) {
    assert_eq!(error.offset(), offset, "{} at {}: {error}", wire_type.name, mark.path);
    if !mark.path.is_empty() {
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}: ", mark.path)), "{} at {}: {text}", wire_type.name, mark.path);
    }
}

use bytes::Bytes;

use super::*;

fn read<T: Decode>(bytes: &[u8]) -> Result<T, DecodeError> {
    from_bytes(&Bytes::copy_from_slice(bytes))
}

#[test]
fn numbers_are_big_endian_words() {
    assert_eq!(to_vec(&-2i32).unwrap(), [0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(to_vec(&0x0102_0304_0506_0708u64).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(to_vec(&-1i8).unwrap(), [0xff; 4]);
    assert_eq!(to_vec(&200u8).unwrap(), [0, 0, 0, 200]);
    assert_eq!(to_vec(&1.0f64).unwrap(), 1.0f64.to_be_bytes());
    assert_eq!(read::<i32>(&[0xff, 0xff, 0xff, 0xfe]).unwrap(), -2);
    assert_eq!(read::<u16>(&[0, 0, 0xff, 0xff]).unwrap(), 0xffff);
}

#[test]
fn char_is_taken_from_either_kind_of_compiler() {
    assert_eq!(read::<i8>(&[0xff, 0xff, 0xff, 0xc3]).unwrap(), 0xc3u8 as i8);
    assert_eq!(read::<i8>(&[0, 0, 0, 0xc3]).unwrap(), 0xc3u8 as i8);
    let error = read::<i8>(&[0, 0, 1, 0]).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::OutOfRange { value: 256, expected: "char" });
    assert_eq!(error.offset(), 0);
}

#[test]
fn bool_is_zero_or_one() {
    assert_eq!(read::<Option<u32>>(&[0, 0, 0, 1, 0, 0, 0, 7]).unwrap(), Some(7));
    assert_eq!(read::<Option<u32>>(&[0, 0, 0, 0]).unwrap(), None);
    let error = read::<bool>(&[0, 0, 0, 2]).unwrap_err();
    assert_eq!(error.to_string(), "2 is not a bool (at byte 0)");
}

#[test]
fn strings_are_padded_and_bounded() {
    let bound = Bound::new(5, "NAME_MAX");
    let mut writer = Writer::default();
    writer.string("hello", bound).unwrap();
    let bytes = writer.into_inner();
    assert_eq!(bytes, b"\0\0\0\x05hello\0\0\0");
    assert_eq!(Reader::new(&bytes).string(bound).unwrap(), "hello");

    let error = Writer::default().string("hello!", bound).unwrap_err();
    assert_eq!(error.to_string(), "length 6 exceeds the protocol's limit of 5 (NAME_MAX)");
    let error = Reader::new(b"\0\0\0\x06hello!\0\0").string(bound).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooLong { length: 6, bound });
}

#[test]
fn nonzero_padding_is_refused() {
    let error = Reader::new(b"\0\0\0\x01a\0\x01\0").string(Bound::NONE).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::Padding);
}

#[test]
fn text_must_be_utf8_and_the_error_points_at_the_byte() {
    let error = Reader::new(b"\0\0\0\x04ab\xff\0").string(Bound::NONE).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::NotUtf8, 6));
}

#[test]
fn messages_to_people_are_read_whatever_their_bytes() {
    assert_eq!(Reader::lossy(b"\0\0\0\x04ab\xffd").string(Bound::NONE).unwrap(), "ab\u{fffd}d");
}

#[test]
fn a_lying_length_allocates_nothing() {
    let error = read_array(&[0x40, 0, 0, 0], Bound::NONE).unwrap_err();
    assert_eq!(error.to_string(), "[0]: 4 more bytes expected (at byte 4)");
    let error = Reader::new(&[0xff; 4]).opaque(Bound::NONE).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::Truncated { needed: 0xffff_ffff });
}

fn read_array(bytes: &[u8], bound: Bound) -> Result<Vec<u32>, DecodeError> {
    Reader::new(bytes).array(bound)
}

#[test]
fn leftovers_are_an_error() {
    let error = read::<u32>(&[0; 6]).unwrap_err();
    assert_eq!(error.to_string(), "2 bytes left after the value (at byte 4)");
}

#[test]
fn opaque_data_shares_the_memory_it_was_read_from() {
    let source = Bytes::from_static(b"\0\0\0\x04data");
    let data = Reader::sharing(&source).opaque(Bound::NONE).unwrap();
    assert_eq!(data, "data");
    assert_eq!(data.as_ptr(), source[4..].as_ptr());
}

#[test]
fn an_error_names_the_path_to_the_field() {
    struct Inner;
    impl Decode for Inner {
        fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.field::<bool>("flag").map(|_| Inner)
        }
    }
    struct Outer;
    impl Decode for Outer {
        fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.array::<Inner>(Bound::NONE).map_err(|error| error.in_field("items"))?;
            Ok(Outer)
        }
    }
    let error = read::<Outer>(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9]).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "items[1].flag: 9 is not a bool (at byte 8)");
}

#[test]
fn recursion_is_limited() {
    #[derive(Debug)]
    struct Node {
        _next: Option<Box<Node>>,
    }
    impl Decode for Node {
        fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Node { _next: reader.field("next")? })
        }
    }
    let list = |length: usize| [[0, 0, 0, 1].repeat(length), vec![0; 4]].concat();
    read::<Node>(&list(64)).unwrap();
    let error = read::<Node>(&list(65)).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::TooDeep { limit: 64 });
}

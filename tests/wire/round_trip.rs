//! Values that the definitions allow come through unchanged.

use bytes::Bytes;

use crate::{WIRE_TYPES, encoding::encode, model, value::Value};

/// The most bytes that a message carries after its header (VIR_NET_MESSAGE_PAYLOAD_MAX).
const PAYLOAD_MAX: usize = 33_554_408;

#[test]
fn small_values_come_back_the_same() {
    let mut values = 0;
    for wire_type in WIRE_TYPES.iter() {
        for value in wire_type.samples() {
            let name = wire_type.name;
            let bytes = Bytes::from(encode(model(), &wire_type.shape, &value).bytes);
            let again = (wire_type.recode)(&bytes)
                .unwrap_or_else(|error| panic!("{name} does not decode: {error}: {value:?}"));
            assert_eq!(bytes, again, "{name} encodes differently: {value:?}");
            assert!(
                value.has_not_a_number() || (wire_type.equals_itself)(&bytes),
                "{name}: equal bytes are not equal values: {value:?}"
            );
            values += 1;
        }
    }
    println!("{} types, {values} values", WIRE_TYPES.len());
}

#[test]
fn each_bounded_thing_may_be_as_large_as_its_bound() {
    let mut values = 0;
    let mut largest = 0;
    for wire_type in WIRE_TYPES.iter() {
        for value in model().maxima(&wire_type.shape) {
            let bytes = Bytes::from(encode(model(), &wire_type.shape, &value).bytes);
            assert!(
                bytes.len() <= PAYLOAD_MAX,
                "{} does not fit into a message: {} bytes",
                wire_type.name,
                bytes.len()
            );
            let again =
                (wire_type.recode)(&bytes).unwrap_or_else(|error| panic!("{}: {error}", wire_type.name));
            assert!(bytes == again, "{} encodes differently at its bound", wire_type.name);
            values += 1;
            largest = largest.max(bytes.len());
        }
    }
    println!("{values} values, the largest of {largest} bytes");
}

/// The encoder that all of this rests on, against bytes written by hand from RFC 4506.
#[test]
fn the_models_encoder_is_right() {
    let lookup = |name: &str| model().named_shape(name);
    let domain = Value::Struct(vec![
        Value::Text("vm-é".to_owned()),
        Value::FixedOpaque((0..16).collect()),
        Value::Int(-1),
    ]);
    let expected = b"\0\0\0\x05vm-\xc3\xa9\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\xff\xff\xff\xff";
    assert_eq!(encode(model(), &lookup("remote_nonnull_domain"), &domain).bytes, expected);

    let param = Value::Struct(vec![
        Value::Text("cap".to_owned()),
        Value::Union(5, Some(Box::new(Value::Double(1.5f64.to_bits())))),
    ]);
    let expected = b"\0\0\0\x03cap\0\0\0\0\x05\x3f\xf8\0\0\0\0\0\0";
    assert_eq!(encode(model(), &lookup("remote_typed_param"), &param).bytes, expected);

    let absent = Value::Struct(vec![Value::Optional(None)]);
    assert_eq!(
        encode(
            model(),
            &lookup("remote_connect_get_hostname_ret"),
            &Value::Struct(vec![Value::Text("h".into())])
        )
        .bytes,
        b"\0\0\0\x01h\0\0\0"
    );
    assert_eq!(encode(model(), &lookup("remote_domain_screenshot_ret"), &absent).bytes, b"\0\0\0\0");
}

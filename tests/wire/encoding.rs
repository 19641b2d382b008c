//! RFC 4506 written down a second time, plainly, to compare the crate's encoder with.

use libvirt_client_codegen::spec::{Type, Union};

use crate::value::{Limit, Model, Shape, Value, range, selected, unknown_label};

/// The bytes of a value, and where in them something can be wrong.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) marks: Vec<Mark>,
}

/// A place in the bytes that not every value can stand at.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// In bytes from the start.
    pub(crate) offset: usize,
    /// The fields and indices that lead to it, as in `params[0].field`.
    pub(crate) path: String,
    pub(crate) part: Part,
}

/// What stands at the place.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A word with the number of bytes or elements that follow.
    Length(Limit),
    /// The first byte of text.
    Text,
    /// The first byte of padding.
    Padding,
    /// A word that is 0 or 1: a `bool`, or whether an optional value is there.
    Flag,
    /// A word that takes only the numbers of a narrow type.
    Narrow { least: i32, greatest: i32, is_char: bool },
    /// A word with the number of an enumerator.
    Enum,
    /// A word that selects a union's arm: a number that selects none, unless the union has a default.
    Discriminant { unknown: Option<u32> },
}

/// Encodes `value`, which must be one of `shape`.
pub(crate) fn encode<'a>(model: Model<'a>, shape: &Shape<'a>, value: &Value) -> Encoded {
    let mut encoder = Encoder { model, out: Encoded::default(), path: String::new() };
    encoder.put(shape, value);
    encoder.out
}

struct Encoder<'a> {
    model: Model<'a>,
    out: Encoded,
    path: String,
}

impl<'a> Encoder<'a> {
    fn put(&mut self, shape: &Shape<'a>, value: &Value) {
        match (shape, value) {
            (Shape::Primitive(primitive), Value::Int(number)) => {
                self.mark_narrow(range(*primitive));
                self.word(*number as u32);
            }
            (Shape::Primitive(primitive), Value::Uint(number)) => {
                self.mark_narrow(range(*primitive));
                self.word(*number);
            }
            (Shape::Primitive(_), Value::Hyper(number)) => self.bytes(&number.to_be_bytes()),
            (Shape::Primitive(_), Value::UnsignedHyper(number)) => self.bytes(&number.to_be_bytes()),
            (Shape::Primitive(_), Value::Float(bits)) => self.bytes(&bits.to_be_bytes()),
            (Shape::Primitive(_), Value::Double(bits)) => self.bytes(&bits.to_be_bytes()),
            (Shape::Primitive(_), Value::Quadruple(bytes)) => self.bytes(bytes),
            (Shape::Primitive(_), Value::Bool(flag)) => {
                self.mark(Part::Flag);
                self.word(u32::from(*flag));
            }
            (Shape::Enum(_), Value::Int(number)) => {
                self.mark(Part::Enum);
                self.word(*number as u32);
            }
            (Shape::Text(limit), Value::Text(text)) => {
                self.length(text.len(), limit);
                if !text.is_empty() {
                    self.mark(Part::Text);
                }
                self.padded(text.as_bytes());
            }
            (Shape::Opaque(limit), Value::Opaque(bytes)) => {
                self.length(bytes.len(), limit);
                self.padded(bytes);
            }
            (Shape::FixedOpaque(length), Value::FixedOpaque(bytes)) => {
                assert_eq!(bytes.len(), *length);
                self.padded(bytes);
            }
            (Shape::Array(ty, limit), Value::Array(values)) => {
                self.length(values.len(), limit);
                self.elements(ty, values);
            }
            (Shape::Array(ty, limit), Value::Repeated(value, count)) => {
                self.length(*count, limit);
                let start = self.out.bytes.len();
                let marks = self.out.marks.len();
                self.put(&self.model.shape(ty), value);
                self.out.marks.truncate(marks);
                let element = self.out.bytes.split_off(start);
                self.out.bytes.extend(element.repeat(*count));
            }
            (Shape::FixedArray(ty, length), Value::FixedArray(values)) => {
                assert_eq!(values.len(), *length);
                self.elements(ty, values);
            }
            (Shape::Optional(ty), Value::Optional(held)) => {
                self.mark(Part::Flag);
                self.word(u32::from(held.is_some()));
                if let Some(value) = held {
                    self.put(&self.model.shape(ty), value);
                }
            }
            (Shape::Struct(fields), Value::Struct(values)) => {
                assert_eq!(fields.len(), values.len());
                for (field, value) in fields.iter().zip(values) {
                    self.within(&field.name, |encoder| encoder.put(&encoder.model.shape(&field.ty), value));
                }
            }
            (Shape::Union(union), Value::Union(word, held)) => self.union(union, *word, held.as_deref()),
            (shape, value) => panic!("{value:?} is not a {shape:?} (at {:?})", self.path),
        }
    }

    fn union(&mut self, union: &'a Union, word: u32, held: Option<&Value>) {
        self.mark(Part::Discriminant { unknown: union.default.is_none().then(|| unknown_label(union)) });
        self.word(word);
        match (selected(union, word), held) {
            (Some(field), Some(value)) => {
                self.within(&field.name, |encoder| encoder.put(&encoder.model.shape(&field.ty), value));
            }
            (None, None) => {}
            (field, value) => panic!("discriminant {word} selects {field:?}, and the value is {value:?}"),
        }
    }

    fn elements(&mut self, ty: &'a Type, values: &[Value]) {
        let shape = self.model.shape(ty);
        for (index, value) in values.iter().enumerate() {
            let outer = self.path.len();
            self.path += &format!("[{index}]");
            self.put(&shape, value);
            self.path.truncate(outer);
        }
    }

    fn within(&mut self, name: &str, put: impl FnOnce(&mut Self)) {
        let outer = self.path.len();
        if outer > 0 {
            self.path += ".";
        }
        self.path += name;
        put(self);
        self.path.truncate(outer);
    }

    fn length(&mut self, length: usize, limit: &Limit) {
        assert!(length as u64 <= u64::from(limit.max), "{length} is over {limit:?}");
        self.mark(Part::Length(limit.clone()));
        self.word(length as u32);
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
        if !bytes.len().is_multiple_of(4) {
            self.mark(Part::Padding);
            self.bytes(&[0; 3][..4 - bytes.len() % 4]);
        }
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.bytes.extend_from_slice(bytes);
    }

    fn mark_narrow(&mut self, (least, greatest): (i128, i128)) {
        if greatest <= i128::from(u16::MAX) {
            let is_char = least == i128::from(i8::MIN);
            self.mark(Part::Narrow { least: least as i32, greatest: greatest as i32, is_char });
        }
    }

    fn mark(&mut self, part: Part) {
        self.out.marks.push(Mark { offset: self.out.bytes.len(), path: self.path.clone(), part });
    }
}

//! Values of the wire types as the definitions describe them, made without the Rust types that the generator
//! writes.

use arbtest::arbitrary::{self, Unstructured};
use libvirt_client_codegen::spec::{DefinitionKind, Enumerator, Field, Primitive, Spec, Type, Union};

/// A value of any wire type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `int`, `short`, `char` and every enum.
    Int(i32),
    /// `unsigned int`, `unsigned short`, `unsigned char`.
    Uint(u32),
    Hyper(i64),
    UnsignedHyper(u64),
    /// By its bits, so that every not-a-number is equal to itself.
    Float(u32),
    /// By its bits.
    Double(u64),
    Quadruple([u8; 16]),
    Bool(bool),
    Text(String),
    Opaque(Vec<u8>),
    FixedOpaque(Vec<u8>),
    Array(Vec<Value>),
    /// An array of so many equal elements.
    Repeated(Box<Value>, usize),
    FixedArray(Vec<Value>),
    Optional(Option<Box<Value>>),
    Struct(Vec<Value>),
    /// The discriminant's word, and what the arm holds.
    Union(u32, Option<Box<Value>>),
}

/// What a type is once the names in it are looked up.
#[derive(Clone, Debug)]
pub(crate) enum Shape<'a> {
    Primitive(Primitive),
    Enum(&'a [Enumerator]),
    Text(Limit),
    Opaque(Limit),
    FixedOpaque(usize),
    Array(&'a Type, Limit),
    FixedArray(&'a Type, usize),
    Optional(&'a Type),
    Struct(&'a [Field]),
    Union(&'a Union),
}

/// The most elements or bytes, and what the definition calls that number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) max: u32,
    pub(crate) name: String,
}

/// The definitions, and the values that they allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<'a> {
    pub(crate) spec: &'a Spec,
}

/// Which of its numbers a value holds throughout.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extreme {
    Least,
    Greatest,
}

/// Recursive types stop here.
const MAX_DEPTH: usize = 12;

impl<'a> Model<'a> {
    /// Looks up what `ty` is.
    pub(crate) fn shape(self, ty: &'a Type) -> Shape<'a> {
        match ty {
            Type::Primitive(primitive) => Shape::Primitive(*primitive),
            Type::Named(name) => self.named_shape(name),
            Type::String(max) => Shape::Text(Limit::of(max.as_ref())),
            Type::Opaque(max) => Shape::Opaque(Limit::of(max.as_ref())),
            Type::OpaqueFixed(length) => Shape::FixedOpaque(length.number() as usize),
            Type::Array(element, max) => Shape::Array(element, Limit::of(max.as_ref())),
            Type::ArrayFixed(element, length) => Shape::FixedArray(element, length.number() as usize),
            Type::Optional(target) => Shape::Optional(target),
            Type::Enum(enumerators) => Shape::Enum(enumerators),
            Type::Struct(fields) => Shape::Struct(fields),
            Type::Union(union) => Shape::Union(union),
        }
    }

    /// Looks up what the definition of `name` is.
    pub(crate) fn named_shape(self, name: &str) -> Shape<'a> {
        let definition = self.spec.find(name).unwrap_or_else(|| panic!("{name} is not defined in protocol/"));
        match &definition.kind {
            DefinitionKind::Typedef(ty) => self.shape(ty),
            DefinitionKind::Enum(enumerators) => Shape::Enum(enumerators),
            DefinitionKind::Struct(fields) => Shape::Struct(fields),
            DefinitionKind::Union(union) => Shape::Union(union),
            DefinitionKind::Const(_) => panic!("{name} is a constant and not a type"),
        }
    }

    /// Returns the value of zeros, empty strings and arrays, and first arms.
    pub(crate) fn minimal(self, shape: &Shape<'a>) -> Value {
        match shape {
            Shape::Primitive(primitive) => number(*primitive, |_, _| 0),
            Shape::Enum(_) => Value::Int(0),
            Shape::Text(_) => Value::Text(String::new()),
            Shape::Opaque(_) => Value::Opaque(Vec::new()),
            Shape::FixedOpaque(length) => Value::FixedOpaque(vec![0; *length]),
            Shape::Array(..) => Value::Array(Vec::new()),
            Shape::FixedArray(element, length) => {
                Value::FixedArray(vec![self.minimal(&self.shape(element)); *length])
            }
            Shape::Optional(_) => Value::Optional(None),
            Shape::Struct(fields) => {
                Value::Struct(fields.iter().map(|field| self.minimal(&self.shape(&field.ty))).collect())
            }
            Shape::Union(union) => self.union(union, 0, |field| self.minimal(&self.shape(&field.ty))),
        }
    }

    /// Returns a value in which nothing is absent: optional values are there, arrays hold one element, strings
    /// and opaque data one byte, and of every union it is the arm number `arm` (counted round).
    pub(crate) fn full(self, shape: &Shape<'a>, arm: usize) -> Value {
        self.full_within(shape, arm, MAX_DEPTH)
    }

    fn full_within(self, shape: &Shape<'a>, arm: usize, depth: usize) -> Value {
        if depth == 0 {
            return self.minimal(shape);
        }
        let inner = |ty: &'a Type| self.full_within(&self.shape(ty), arm, depth - 1);
        match shape {
            Shape::Primitive(primitive) => number(*primitive, |_, greatest| 1.min(greatest)),
            Shape::Enum(enumerators) => {
                Value::Int(enumerators.last().map_or(0, |last| last.value.number() as i32))
            }
            Shape::Text(limit) if limit.max > 0 => Value::Text("t".to_owned()),
            Shape::Opaque(limit) if limit.max > 0 => Value::Opaque(vec![0x0f]),
            Shape::FixedOpaque(length) => Value::FixedOpaque((1..=*length).map(|byte| byte as u8).collect()),
            Shape::Array(element, limit) if limit.max > 0 => Value::Array(vec![inner(element)]),
            Shape::FixedArray(element, length) => Value::FixedArray(vec![inner(element); *length]),
            Shape::Optional(target) => Value::Optional(Some(Box::new(inner(target)))),
            Shape::Struct(fields) => Value::Struct(fields.iter().map(|field| inner(&field.ty)).collect()),
            Shape::Union(union) => self.union(union, arm, |field| inner(&field.ty)),
            Shape::Text(_) | Shape::Opaque(_) | Shape::Array(..) => self.minimal(shape),
        }
    }

    /// Returns how many arms the union in `shape` with the most arms has; 1 without a union.
    pub(crate) fn arms(self, shape: &Shape<'a>) -> usize {
        self.arms_within(shape, MAX_DEPTH)
    }

    fn arms_within(self, shape: &Shape<'a>, depth: usize) -> usize {
        if depth == 0 {
            return 1;
        }
        let inner = |ty: &'a Type| self.arms_within(&self.shape(ty), depth - 1);
        let most = match shape {
            Shape::Array(ty, _) | Shape::FixedArray(ty, _) | Shape::Optional(ty) => inner(ty),
            Shape::Struct(fields) => fields.iter().map(|field| inner(&field.ty)).max().unwrap_or(1),
            Shape::Union(union) => {
                let labels = labels(union).len();
                let fields = union.arms.iter().filter_map(|arm| arm.field.as_ref());
                fields.map(|field| inner(&field.ty)).max().unwrap_or(1).max(labels)
            }
            _ => 1,
        };
        most.max(1)
    }

    /// Returns a full value whose numbers are all the least or all the greatest of their types.
    pub(crate) fn extreme(self, shape: &Shape<'a>, arm: usize, extreme: Extreme) -> Value {
        fn push(value: &mut Value, shape: &Shape<'_>, model: Model<'_>, extreme: Extreme) {
            match (value, shape) {
                (value, Shape::Primitive(primitive)) => {
                    *value = number(*primitive, |least, greatest| match extreme {
                        Extreme::Least => least,
                        Extreme::Greatest => greatest,
                    });
                }
                (Value::Int(word), Shape::Enum(_)) => {
                    *word = if matches!(extreme, Extreme::Least) { i32::MIN } else { i32::MAX };
                }
                (Value::FixedOpaque(bytes), _) => bytes.fill(0xff),
                (
                    Value::Array(values) | Value::FixedArray(values),
                    Shape::Array(ty, _) | Shape::FixedArray(ty, _),
                ) => {
                    for value in values {
                        push(value, &model.shape(ty), model, extreme);
                    }
                }
                (Value::Optional(Some(value)), Shape::Optional(ty)) => {
                    push(value, &model.shape(ty), model, extreme)
                }
                (Value::Struct(values), Shape::Struct(fields)) => {
                    for (value, field) in values.iter_mut().zip(*fields) {
                        push(value, &model.shape(&field.ty), model, extreme);
                    }
                }
                (Value::Union(word, Some(value)), Shape::Union(union)) => {
                    if let Some(field) = selected(union, *word) {
                        push(value, &model.shape(&field.ty), model, extreme);
                    }
                }
                _ => {}
            }
        }
        let mut value = self.full(shape, arm);
        push(&mut value, shape, self, extreme);
        value
    }

    /// Returns a value for each bounded thing of a definition: that one at its bound, the rest minimal. What
    /// stands in another structure or union by name is left to that one.
    pub(crate) fn maxima(self, shape: &Shape<'a>) -> Vec<Value> {
        let inner = |ty: &'a Type| match ty {
            Type::Named(name) => match self.spec.find(name).map(|definition| &definition.kind) {
                Some(DefinitionKind::Typedef(_)) => self.maxima(&self.shape(ty)),
                _ => Vec::new(),
            },
            _ => self.maxima(&self.shape(ty)),
        };
        match shape {
            Shape::Text(limit) => vec![Value::Text("m".repeat(limit.practical()))],
            Shape::Opaque(limit) => vec![Value::Opaque(vec![0x3c; limit.practical()])],
            Shape::Array(ty, limit) => {
                let longest = Value::Repeated(Box::new(self.minimal(&self.shape(ty))), limit.practical());
                let largest = inner(ty).into_iter().map(|value| Value::Array(vec![value]));
                std::iter::once(longest).chain(largest).collect()
            }
            Shape::FixedArray(ty, length) if *length > 0 => {
                let rest = vec![self.minimal(&self.shape(ty)); length - 1];
                let with = |value| Value::FixedArray(std::iter::once(value).chain(rest.clone()).collect());
                inner(ty).into_iter().map(with).collect()
            }
            Shape::Optional(ty) => {
                inner(ty).into_iter().map(|value| Value::Optional(Some(Box::new(value)))).collect()
            }
            Shape::Struct(fields) => {
                let minimal: Vec<Value> =
                    fields.iter().map(|field| self.minimal(&self.shape(&field.ty))).collect();
                let replaced = |(index, field): (usize, &'a Field)| {
                    let minimal = minimal.clone();
                    inner(&field.ty).into_iter().map(move |value| {
                        let mut values = minimal.clone();
                        values[index] = value;
                        Value::Struct(values)
                    })
                };
                fields.iter().enumerate().flat_map(replaced).collect()
            }
            Shape::Union(union) => {
                let arms = labels(union).into_iter();
                let filled = arms.filter_map(|(word, field)| Some((word, field?)));
                filled
                    .flat_map(|(word, field)| {
                        inner(&field.ty)
                            .into_iter()
                            .map(move |value| Value::Union(word, Some(Box::new(value))))
                    })
                    .collect()
            }
            Shape::Primitive(_) | Shape::Enum(_) | Shape::FixedOpaque(_) | Shape::FixedArray(..) => {
                Vec::new()
            }
        }
    }

    /// Returns a value made from random bytes, of some hundred bytes at most for most types.
    pub(crate) fn random(self, shape: &Shape<'a>, u: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
        self.random_within(shape, u, MAX_DEPTH)
    }

    fn random_within(
        self,
        shape: &Shape<'a>,
        u: &mut Unstructured<'_>,
        depth: usize,
    ) -> arbitrary::Result<Value> {
        let elements =
            |u: &mut Unstructured<'_>, ty: &'a Type, length: usize| -> arbitrary::Result<Vec<Value>> {
                let shape = self.shape(ty);
                (0..length).map(|_| self.random_within(&shape, u, depth.saturating_sub(1))).collect()
            };
        Ok(match shape {
            Shape::Primitive(primitive) => random_number(*primitive, u)?,
            Shape::Enum(enumerators) if u.ratio(3, 4)? && !enumerators.is_empty() => {
                Value::Int(u.choose(enumerators)?.value.number() as i32)
            }
            Shape::Enum(_) => Value::Int(u.arbitrary()?),
            Shape::Text(limit) => Value::Text(random_text(limit.max as usize, u)?),
            Shape::Opaque(limit) => {
                let length = u.int_in_range(0..=limit.max.min(40))?;
                Value::Opaque((0..length).map(|_| u.arbitrary()).collect::<Result<_, _>>()?)
            }
            Shape::FixedOpaque(length) => {
                Value::FixedOpaque((0..*length).map(|_| u.arbitrary()).collect::<Result<_, _>>()?)
            }
            Shape::Array(ty, limit) => {
                let most = if depth == 0 { 0 } else { limit.max.min(4) };
                let length = u.int_in_range(0..=most)?;
                Value::Array(elements(u, ty, length as usize)?)
            }
            Shape::FixedArray(ty, length) => Value::FixedArray(elements(u, ty, *length)?),
            Shape::Optional(ty) => Value::Optional(if depth > 0 && u.arbitrary()? {
                elements(u, ty, 1)?.pop().map(Box::new)
            } else {
                None
            }),
            Shape::Struct(fields) => {
                let values = fields.iter().map(|field| self.random_within(&self.shape(&field.ty), u, depth));
                Value::Struct(values.collect::<Result<_, _>>()?)
            }
            Shape::Union(union) => {
                let labels = labels(union);
                let (word, field) = *u.choose(&labels)?;
                let held =
                    field.map(|field| self.random_within(&self.shape(&field.ty), u, depth)).transpose()?;
                Value::Union(word, held.map(Box::new))
            }
        })
    }

    fn union(self, union: &'a Union, arm: usize, hold: impl Fn(&'a Field) -> Value) -> Value {
        let labels = labels(union);
        let (word, field) = labels[arm % labels.len()];
        Value::Union(word, field.map(|field| Box::new(hold(field))))
    }
}

impl Value {
    /// Tells whether a string in it is not ASCII.
    pub(crate) fn has_text_beyond_ascii(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_ascii(),
            Self::Array(values) | Self::FixedArray(values) | Self::Struct(values) => {
                values.iter().any(Self::has_text_beyond_ascii)
            }
            Self::Repeated(value, _) | Self::Optional(Some(value)) | Self::Union(_, Some(value)) => {
                value.has_text_beyond_ascii()
            }
            _ => false,
        }
    }

    /// Tells whether a float in it is not a number, and so not equal to itself in Rust.
    pub(crate) fn has_not_a_number(&self) -> bool {
        self.has_float(f64::is_nan)
    }

    /// Tells whether there is a floating-point number that `is` what is looked for.
    pub(crate) fn has_float(&self, is: fn(f64) -> bool) -> bool {
        match self {
            Self::Float(bits) => is(f32::from_bits(*bits).into()),
            Self::Double(bits) => is(f64::from_bits(*bits)),
            Self::Array(values) | Self::FixedArray(values) | Self::Struct(values) => {
                values.iter().any(|value| value.has_float(is))
            }
            Self::Repeated(value, _) | Self::Optional(Some(value)) | Self::Union(_, Some(value)) => {
                value.has_float(is)
            }
            _ => false,
        }
    }
}

impl Limit {
    fn of(max: Option<&libvirt_client_codegen::spec::Value>) -> Self {
        let unbounded = || Self { max: u32::MAX, name: u32::MAX.to_string() };
        max.map_or_else(unbounded, |max| Self { max: max.number() as u32, name: max.to_string() })
    }

    /// The bound itself, or what stands for one where there is none.
    fn practical(&self) -> usize {
        if self.max == u32::MAX { 100_000 } else { self.max as usize }
    }
}

/// Returns each discriminant that a union knows, as its word, with what it selects; a default arm is one more,
/// with a discriminant that no other arm has.
pub(crate) fn labels(union: &Union) -> Vec<(u32, Option<&Field>)> {
    let mut labels = Vec::new();
    for arm in &union.arms {
        labels.extend(arm.values.iter().map(|value| (value.number() as u32, arm.field.as_ref())));
    }
    if let Some(default) = &union.default {
        labels.push((unknown_label(union), default.as_ref()));
    }
    labels
}

/// Returns a word that is the discriminant of no arm.
pub(crate) fn unknown_label(union: &Union) -> u32 {
    let known = |word: &u32| {
        union.arms.iter().flat_map(|arm| &arm.values).any(|value| value.number() as u32 == *word)
    };
    (0x7000_0000..).find(|word| !known(word)).unwrap()
}

/// Returns what the discriminant `word` selects.
pub(crate) fn selected(union: &Union, word: u32) -> Option<&Field> {
    labels(union).into_iter().find(|(label, _)| *label == word).and_then(|(_, field)| field)
}

/// Returns the least and the greatest number of a type.
pub(crate) fn range(primitive: Primitive) -> (i128, i128) {
    match primitive {
        Primitive::Char => (i8::MIN.into(), i8::MAX.into()),
        Primitive::UnsignedChar => (0, u8::MAX.into()),
        Primitive::Short => (i16::MIN.into(), i16::MAX.into()),
        Primitive::UnsignedShort => (0, u16::MAX.into()),
        Primitive::Int => (i32::MIN.into(), i32::MAX.into()),
        Primitive::UnsignedInt | Primitive::Float => (0, u32::MAX.into()),
        Primitive::Hyper => (i64::MIN.into(), i64::MAX.into()),
        Primitive::UnsignedHyper | Primitive::Double => (0, u64::MAX.into()),
        Primitive::Quadruple => (0, i128::MAX),
        Primitive::Bool => (0, 1),
    }
}

/// Makes the number that `choose` takes out of the type's range; of floats that is the bits.
fn number(primitive: Primitive, choose: impl FnOnce(i128, i128) -> i128) -> Value {
    let (least, greatest) = range(primitive);
    let number = choose(least, greatest);
    match primitive {
        Primitive::Char | Primitive::Short | Primitive::Int => Value::Int(number as i32),
        Primitive::UnsignedChar | Primitive::UnsignedShort | Primitive::UnsignedInt => {
            Value::Uint(number as u32)
        }
        Primitive::Hyper => Value::Hyper(number as i64),
        Primitive::UnsignedHyper => Value::UnsignedHyper(number as u64),
        Primitive::Float => Value::Float(number as u32),
        Primitive::Double => Value::Double(number as u64),
        Primitive::Quadruple => Value::Quadruple(number.to_be_bytes()),
        Primitive::Bool => Value::Bool(number == 1),
    }
}

fn random_number(primitive: Primitive, u: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    let (least, greatest) = range(primitive);
    let choice: u64 = u.arbitrary()?;
    Ok(number(primitive, |_, _| match greatest.checked_sub(least) {
        Some(span) if span < i128::MAX => least + i128::from(choice) % (span + 1),
        _ => i128::from(choice) << 60,
    }))
}

fn random_text(max: usize, u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    const CHARS: [char; 12] = ['a', 'Z', '0', '-', '/', ' ', '\0', '<', '\u{7f}', 'é', '鯨', '🐳'];
    let length = u.int_in_range(0..=12)?;
    // Half of the strings are plain, so that what only takes ASCII has enough of them.
    let plain: bool = u.arbitrary()?;
    let chars = if plain { &CHARS[..9] } else { &CHARS[..] };
    let mut text = String::new();
    for _ in 0..length {
        let char = *u.choose(chars)?;
        if text.len() + char.len_utf8() <= max {
            text.push(char);
        }
    }
    Ok(text)
}

//! Bytes to values.

use std::fmt;

use bytes::Bytes;

use super::{Bound, Path, Step, padding};

/// How deep recursive types may nest before decoding refuses them, so that a few bytes cannot overflow the
/// stack.
const MAX_DEPTH: u8 = 64;

/// A value that can be read from external data representation.
pub trait Decode: Sized {
    /// Takes the value off the front of what `reader` holds.
    ///
    /// # Errors
    /// Too few bytes, a length over its bound, a value that the type does not have, text that is not UTF-8,
    /// or padding that is not zero.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Reads a `T` that fills `bytes` exactly. Opaque data in it shares the memory of `bytes`.
///
/// # Errors
/// Whatever [`Decode::decode`] refuses, and bytes that are left over.
pub fn from_bytes<T: Decode>(bytes: &Bytes) -> Result<T, DecodeError> {
    let mut reader = Reader::sharing(bytes);
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// A position in bytes that values are read from.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
    source: Option<&'a Bytes>,
    depth: u8,
    lossy: bool,
}

impl<'a> Reader<'a> {
    /// Reads from a slice; opaque data is copied out of it.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len(), source: None, depth: 0, lossy: false }
    }

    /// Reads from shared bytes; opaque data is a slice of them.
    #[must_use]
    pub fn sharing(bytes: &'a Bytes) -> Self {
        Self { source: Some(bytes), ..Self::new(bytes) }
    }

    /// Reads from a slice, and replaces what is not UTF-8 in its strings instead of refusing it: for messages to people.
    #[must_use]
    pub fn lossy(bytes: &'a [u8]) -> Self {
        Self { lossy: true, ..Self::new(bytes) }
    }

    /// Returns how many bytes have been read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.length - self.rest.len()
    }

    /// Returns the bytes that have not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends reading.
    ///
    /// # Errors
    /// Bytes that nobody read.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error(DecodeErrorKind::Leftover { bytes: self.rest.len() }))
        }
    }

    /// Reads `opaque[N]`.
    #[inline]
    pub fn opaque_fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let value = self.take_array()?;
        self.skip_padding(N)?;
        Ok(value)
    }

    /// Reads `opaque<bound>`.
    pub fn opaque(&mut self, bound: Bound) -> Result<Bytes, DecodeError> {
        let slice = self.counted(bound)?;
        Ok(self.source.map_or_else(|| Bytes::copy_from_slice(slice), |source| source.slice_ref(slice)))
    }

    /// Reads `string<bound>`, which must be UTF-8. The protocol does not promise that, but libvirt's documents are XML, and
    /// what is replaced in a name could not be looked up again.
    #[inline]
    pub fn string(&mut self, bound: Bound) -> Result<String, DecodeError> {
        let start = self.rest.len();
        let slice = self.counted(bound)?;
        match std::str::from_utf8(slice) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) if self.lossy => Ok(String::from_utf8_lossy(slice).into_owned()),
            Err(cause) => {
                Err(DecodeError::new(self.length - start + 4 + cause.valid_up_to(), DecodeErrorKind::NotUtf8))
            }
        }
    }

    /// Reads `char name<bound>`, a word for each byte.
    pub fn chars(&mut self, bound: Bound) -> Result<Vec<u8>, DecodeError> {
        self.array_with(bound, |reader| i8::decode(reader).map(|value| value as u8))
    }

    /// Reads `char name[N]`, a word for each byte.
    pub fn chars_fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.elements(|reader| i8::decode(reader).map(|value| value as u8))
    }

    /// Reads `T name<bound>`.
    pub fn array<T: Decode>(&mut self, bound: Bound) -> Result<Vec<T>, DecodeError> {
        self.array_with(bound, T::decode)
    }

    /// Reads `T name<bound>` where an element needs more than its [`Decode`]: a bound of its own, say.
    pub fn array_with<T>(
        &mut self,
        bound: Bound,
        decode: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.length(bound)?;
        // Every element takes at least one word, except those of empty structures, which grow the vector one
        // by one: what is reserved here is never more than a small multiple of the bytes received.
        let mut values = Vec::with_capacity(count.min(self.rest.len() / 4));
        for index in 0..count {
            values.push(decode(self).map_err(|error| error.at(Step::Index(index)))?);
        }
        Ok(values)
    }

    /// Reads `T name[N]`.
    pub fn elements<T, const N: usize>(
        &mut self,
        decode: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<[T; N], DecodeError> {
        let mut values = Vec::with_capacity(N);
        for index in 0..N {
            values.push(decode(self).map_err(|error| error.at(Step::Index(index)))?);
        }
        <[T; N]>::try_from(values).map_err(|_| self.error(DecodeErrorKind::Truncated { needed: N }))
    }

    /// Reads `T *name`.
    #[inline]
    pub fn optional<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if bool::decode(self)? { decode(self).map(Some) } else { Ok(None) }
    }

    /// Reads one field of a structure; an error from inside says the field's name.
    #[inline]
    pub fn field<T: Decode>(&mut self, name: &'static str) -> Result<T, DecodeError> {
        T::decode(self).map_err(|error| error.in_field(name))
    }

    /// Reads a part of a recursive type, within the limit on nesting.
    pub fn nested<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(DecodeErrorKind::TooDeep { limit: MAX_DEPTH }));
        }
        self.depth += 1;
        let value = decode(self);
        self.depth -= 1;
        value
    }

    /// Makes the error for a discriminant that `union` does not have. The position is that of the
    /// discriminant, which has just been read.
    #[cold]
    #[must_use]
    pub fn unknown_discriminant(&self, union: &'static str, value: i32) -> DecodeError {
        DecodeError::new(
            self.offset().saturating_sub(4),
            DecodeErrorKind::UnknownDiscriminant { union, value },
        )
    }

    #[inline]
    fn word(&mut self) -> Result<u32, DecodeError> {
        self.take_array().map(u32::from_be_bytes)
    }

    /// Reads a length, and refuses one that is over its bound.
    #[inline]
    fn length(&mut self, bound: Bound) -> Result<usize, DecodeError> {
        let length = self.word()?;
        if length > bound.max {
            return Err(self.too_long(length, bound));
        }
        Ok(length as usize)
    }

    /// Reads the length, the bytes and the padding of a string or opaque value.
    #[inline]
    fn counted(&mut self, bound: Bound) -> Result<&'a [u8], DecodeError> {
        let length = self.length(bound)?;
        let padded = length.saturating_add(padding(length));
        let Some((padded, rest)) = self.rest.split_at_checked(padded) else {
            return Err(self.truncated(if self.rest.len() < length { length } else { padded }));
        };
        let Some((slice, zeroes)) = padded.split_at_checked(length) else {
            return Err(self.truncated(length));
        };
        if zeroes.iter().any(|&byte| byte != 0) {
            return Err(DecodeError::new(self.offset() + length, DecodeErrorKind::Padding));
        }
        self.rest = rest;
        Ok(slice)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((array, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(N));
        };
        self.rest = rest;
        Ok(*array)
    }

    #[inline]
    fn skip_padding(&mut self, length: usize) -> Result<(), DecodeError> {
        let padding = padding(length);
        let Some((zeroes, rest)) = self.rest.split_at_checked(padding) else {
            return Err(self.truncated(padding));
        };
        if zeroes.iter().any(|&byte| byte != 0) {
            return Err(self.error(DecodeErrorKind::Padding));
        }
        self.rest = rest;
        Ok(())
    }

    #[cold]
    fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(self.offset(), kind)
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        self.error(DecodeErrorKind::Truncated { needed: needed - self.rest.len().min(needed) })
    }

    #[cold]
    fn too_long(&self, length: u32, bound: Bound) -> DecodeError {
        DecodeError::new(self.offset().saturating_sub(4), DecodeErrorKind::TooLong { length, bound })
    }
}

macro_rules! decode_from_bytes {
    ($($type:ty),*) => {$(
        impl Decode for $type {
            #[inline]
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.take_array().map(<$type>::from_be_bytes)
            }
        }
    )*};
}
decode_from_bytes!(i32, u32, i64, u64, f32, f64);

macro_rules! decode_from_word {
    ($($type:ty: $word:ty),*) => {$(
        impl Decode for $type {
            #[inline]
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let word = <$word>::decode(reader)?;
                <$type>::try_from(word).map_err(|_| reader.out_of_range(i64::from(word), stringify!($type)))
            }
        }
    )*};
}
decode_from_word!(i16: i32, u8: u32, u16: u32);

impl Reader<'_> {
    #[cold]
    fn out_of_range(&self, value: i64, expected: &'static str) -> DecodeError {
        DecodeError::new(self.offset().saturating_sub(4), DecodeErrorKind::OutOfRange { value, expected })
    }
}

/// `char`: the sender's C compiler decides whether it is signed, so both words of a byte over 127 are taken.
impl Decode for i8 {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let word = i32::decode(reader)?;
        i8::try_from(word)
            .or_else(|_| u8::try_from(word).map(|byte| byte as i8))
            .map_err(|_| reader.out_of_range(i64::from(word), "char"))
    }
}

impl Decode for bool {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.word()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(reader.out_of_range(i64::from(other), "bool")),
        }
    }
}

impl Decode for () {
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// `quadruple` is carried as its sixteen bytes: Rust has no stable type that computes with it.
impl<const N: usize> Decode for [u8; N] {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.opaque_fixed()
    }
}

impl<T: Decode> Decode for Option<T> {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.optional(T::decode)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.nested(T::decode).map(Box::new)
    }
}

/// Everything that is left, undecoded.
impl Decode for Bytes {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let rest = std::mem::take(&mut reader.rest);
        Ok(reader.source.map_or_else(|| Bytes::copy_from_slice(rest), |source| source.slice_ref(rest)))
    }
}

/// Bytes that are not what their type says.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<DecodeErrorInner>);

#[derive(Clone, PartialEq, Eq)]
struct DecodeErrorInner {
    offset: usize,
    kind: DecodeErrorKind,
    path: Path,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The value goes on after the last byte.
    Truncated {
        /// How many bytes more were needed at least.
        needed: usize,
    },
    /// A length is over the limit of its definition.
    TooLong {
        /// The length on the wire, in elements or bytes.
        length: u32,
        /// The limit.
        bound: Bound,
    },
    /// Bytes are left after the value.
    Leftover {
        /// How many.
        bytes: usize,
    },
    /// A number is not one of its type.
    OutOfRange {
        /// The number on the wire.
        value: i64,
        /// The type that was expected.
        expected: &'static str,
    },
    /// A union has no arm for its discriminant.
    UnknownDiscriminant {
        /// The union's name.
        union: &'static str,
        /// The discriminant on the wire.
        value: i32,
    },
    /// A string is not UTF-8.
    NotUtf8,
    /// Padding is not zero.
    Padding,
    /// A recursive type nests too deep.
    TooDeep {
        /// The most levels allowed.
        limit: u8,
    },
}

impl DecodeError {
    #[cold]
    fn new(offset: usize, kind: DecodeErrorKind) -> Self {
        Self(Box::new(DecodeErrorInner { offset, kind, path: Path::default() }))
    }

    /// Makes the error for a number at `offset` that its type can carry, but that means nothing there.
    #[cold]
    #[must_use]
    pub fn out_of_range(offset: usize, value: i64, expected: &'static str) -> Self {
        Self::new(offset, DecodeErrorKind::OutOfRange { value, expected })
    }

    /// Returns where the bad bytes start, counted in bytes from the start of what was decoded.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// Returns what is wrong.
    #[must_use]
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// Adds the name of the field that the error came out of.
    #[cold]
    #[must_use]
    pub fn in_field(self, name: &'static str) -> Self {
        self.at(Step::Field(name))
    }

    #[cold]
    fn at(mut self, step: Step) -> Self {
        self.0.path.0.push(step);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DecodeErrorInner { offset, kind, path } = &*self.0;
        if !path.0.is_empty() {
            write!(f, "{path}: ")?;
        }
        match kind {
            DecodeErrorKind::Truncated { needed } => write!(f, "{needed} more bytes expected")?,
            DecodeErrorKind::TooLong { length, bound } => {
                write!(f, "length {length} exceeds the protocol's limit of {} ({})", bound.max, bound.name)?;
            }
            DecodeErrorKind::Leftover { bytes } => write!(f, "{bytes} bytes left after the value")?,
            DecodeErrorKind::OutOfRange { value, expected } => write!(f, "{value} is not a {expected}")?,
            DecodeErrorKind::UnknownDiscriminant { union, value } => {
                write!(f, "{union} has no arm for discriminant {value}")?;
            }
            DecodeErrorKind::NotUtf8 => write!(f, "text is not UTF-8")?,
            DecodeErrorKind::Padding => write!(f, "padding is not zero")?,
            DecodeErrorKind::TooDeep { limit } => write!(f, "nested deeper than {limit} levels")?,
        }
        write!(f, " (at byte {offset})")
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({self})")
    }
}

impl std::error::Error for DecodeError {}

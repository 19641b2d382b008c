//! Values to bytes.

use std::fmt;

use bytes::Bytes;

use super::{Bound, Path, Step, padding};

/// A value that can be written in external data representation.
pub trait Encode {
    /// Appends the value to `writer`.
    ///
    /// # Errors
    /// A string, array or opaque value that is longer than its bound; what was written before it stays in the
    /// writer.
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError>;
}

/// Returns the encoded bytes of `value`.
///
/// # Errors
/// A string, array or opaque value that is longer than its bound.
pub fn to_vec<T: Encode + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::append_to(Vec::with_capacity(128));
    value.encode(&mut writer)?;
    Ok(writer.into_inner())
}

/// The growing buffer that values are written to.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes after what `bytes` holds already.
    #[must_use]
    pub fn append_to(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Returns the bytes written.
    #[must_use]
    pub fn into_inner(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes `opaque[N]`: the bytes and their padding, without a length.
    #[inline]
    pub fn opaque_fixed<const N: usize>(&mut self, value: &[u8; N]) {
        self.bytes.extend_from_slice(value);
        self.pad(N);
    }

    /// Writes `opaque<bound>`: length, bytes, padding.
    ///
    /// # Errors
    /// More bytes than `bound` allows.
    #[inline]
    pub fn opaque(&mut self, value: &[u8], bound: Bound) -> Result<(), EncodeError> {
        self.length(value.len(), bound)?;
        self.bytes.extend_from_slice(value);
        self.pad(value.len());
        Ok(())
    }

    /// Writes `string<bound>`: length, bytes, padding.
    ///
    /// # Errors
    /// More bytes than `bound` allows.
    #[inline]
    pub fn string(&mut self, value: &str, bound: Bound) -> Result<(), EncodeError> {
        self.opaque(value.as_bytes(), bound)
    }

    /// Writes `char name<bound>`: length, then a word for each byte, sign-extended.
    ///
    /// # Errors
    /// More bytes than `bound` allows.
    pub fn chars(&mut self, value: &[u8], bound: Bound) -> Result<(), EncodeError> {
        self.length(value.len(), bound)?;
        self.chars_fixed(value);
        Ok(())
    }

    /// Writes `char name[N]`: a word for each byte, sign-extended, without a length.
    pub fn chars_fixed(&mut self, value: &[u8]) {
        for &byte in value {
            self.word(i32::from(byte as i8) as u32);
        }
    }

    /// Writes `T name<bound>`: length, then each element.
    ///
    /// # Errors
    /// More elements than `bound` allows, or an element that does not encode.
    pub fn array<T: Encode>(&mut self, values: &[T], bound: Bound) -> Result<(), EncodeError> {
        self.array_with(values, bound, |writer, value| value.encode(writer))
    }

    /// Writes `T name<bound>` where an element needs more than its [`Encode`]: a bound of its own, say.
    ///
    /// # Errors
    /// More elements than `bound` allows, or an element that does not encode.
    pub fn array_with<T>(
        &mut self,
        values: &[T],
        bound: Bound,
        encode: impl Fn(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.length(values.len(), bound)?;
        self.elements(values, encode)
    }

    /// Writes `T name[N]`: each element, without a length.
    ///
    /// # Errors
    /// An element that does not encode.
    pub fn elements<T>(
        &mut self,
        values: &[T],
        encode: impl Fn(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        for (index, value) in values.iter().enumerate() {
            encode(self, value).map_err(|error| error.at(Step::Index(index)))?;
        }
        Ok(())
    }

    /// Writes `T *name`: whether there is a value, then the value.
    ///
    /// # Errors
    /// A value that does not encode.
    #[inline]
    pub fn optional<T: ?Sized>(
        &mut self,
        value: Option<&T>,
        encode: impl FnOnce(&mut Self, &T) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.word(u32::from(value.is_some()));
        value.map_or(Ok(()), |value| encode(self, value))
    }

    /// Writes one field of a structure; an error from inside says the field's name.
    #[inline]
    pub fn field<T: Encode + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        value.encode(self).map_err(|error| error.in_field(name))
    }

    #[inline]
    fn word(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn length(&mut self, length: usize, bound: Bound) -> Result<(), EncodeError> {
        match u32::try_from(length) {
            Ok(count) if count <= bound.max => {
                self.word(count);
                Ok(())
            }
            _ => Err(EncodeError::too_long(length, bound)),
        }
    }

    #[inline]
    fn pad(&mut self, length: usize) {
        match padding(length) {
            1 => self.bytes.extend_from_slice(&[0]),
            2 => self.bytes.extend_from_slice(&[0; 2]),
            3 => self.bytes.extend_from_slice(&[0; 3]),
            _ => {}
        }
    }
}

macro_rules! encode_as_bytes {
    ($($type:ty),*) => {$(
        impl Encode for $type {
            #[inline]
            fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
                writer.bytes.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}
encode_as_bytes!(i32, u32, i64, u64, f32, f64);

/// `char`, `short` and their unsigned forms fill a whole word, sign-extended as C compilers do.
macro_rules! encode_as_word {
    ($($type:ty => $word:ty),*) => {$(
        impl Encode for $type {
            #[inline]
            fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
                <$word>::from(*self).encode(writer)
            }
        }
    )*};
}
encode_as_word!(i8 => i32, i16 => i32, u8 => u32, u16 => u32, bool => u32);

impl Encode for () {
    fn encode(&self, _: &mut Writer) -> Result<(), EncodeError> {
        Ok(())
    }
}

/// `quadruple` is carried as its sixteen bytes: Rust has no stable type that computes with it.
impl<const N: usize> Encode for [u8; N] {
    #[inline]
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.opaque_fixed(self);
        Ok(())
    }
}

impl<T: Encode> Encode for Option<T> {
    #[inline]
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.optional(self.as_ref(), |writer, value| value.encode(writer))
    }
}

impl<T: Encode + ?Sized> Encode for Box<T> {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        (**self).encode(writer)
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    #[inline]
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        (**self).encode(writer)
    }
}

/// Bytes that are encoded already are written as they are.
impl Encode for Bytes {
    fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.bytes.extend_from_slice(self);
        Ok(())
    }
}

/// A value that does not fit into its protocol definition.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodeError(Box<EncodeErrorInner>);

#[derive(Clone, PartialEq, Eq)]
struct EncodeErrorInner {
    length: usize,
    bound: Bound,
    path: Path,
}

impl EncodeError {
    /// Returns the length that was asked for, in elements or bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.length
    }

    /// Returns the limit that it exceeds.
    #[must_use]
    pub fn bound(&self) -> Bound {
        self.0.bound
    }

    #[cold]
    pub(crate) fn too_long(length: usize, bound: Bound) -> Self {
        Self(Box::new(EncodeErrorInner { length, bound, path: Path::default() }))
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

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EncodeErrorInner { length, bound, path } = &*self.0;
        if !path.0.is_empty() {
            write!(f, "{path}: ")?;
        }
        write!(f, "length {length} exceeds the protocol's limit of {} ({})", bound.max, bound.name)
    }
}

impl fmt::Debug for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodeError({self})")
    }
}

impl std::error::Error for EncodeError {}

//! External data representation (RFC 4506): how values become bytes and bytes values.
//!
//! Everything is big-endian and a multiple of four bytes. The generator writes [`Encode`] and [`Decode`] for
//! each wire type out of the calls here; this module knows nothing of libvirt.
//!
//! Bounds hold in both directions. A length from the wire is compared with its bound and with the bytes that
//! are really there before anything is allocated for it, and [`from_bytes`] refuses what a value leaves over.

mod decode;
mod encode;

pub use decode::{Decode, DecodeError, DecodeErrorKind, Reader, from_bytes};
pub use encode::{Encode, EncodeError, Writer, to_vec};

/// A limit on the number of elements or bytes of a variable-length value, with the name that the protocol
/// definition gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The most elements (arrays) or bytes (strings, opaque data) allowed.
    pub max: u32,
    /// The constant's name in the definition, or the number itself.
    pub name: &'static str,
}

impl Bound {
    /// What an unbounded declaration (`<>`) means: any 32-bit length.
    pub const NONE: Self = Self::new(u32::MAX, "4294967295");

    /// Names a limit.
    #[must_use]
    pub const fn new(max: u32, name: &'static str) -> Self {
        Self { max, name }
    }
}

/// The bytes that follow a value of `length` bytes so that the next one starts at a multiple of four.
const fn padding(length: usize) -> usize {
    length.wrapping_neg() & 3
}

/// The path to a field inside a value, collected while an error travels outwards, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(&'static str),
    Index(usize),
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, step) in self.0.iter().rev().enumerate() {
            match step {
                Step::Field(name) if position == 0 => write!(f, "{name}")?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

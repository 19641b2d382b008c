//! The enums and flags of libvirt's public API.
//!
//! All of them are open: a number or bit that a newer daemon sends is kept, and printed as a number.
//!
//! What is done with flags every day are methods of their types; the rest (iterating, parsing) is in the trait
//! [`Flags`].
//!
//! With the feature `serde`, JSON and other formats that people read have names: `"RUNNING"`, or the number where it
//! has none; `"PAUSED | AUTODESTROY | 0x40"` for flags. Both are read back, and so are plain numbers.

use std::fmt;

pub use bitflags::Flags;

pub use crate::error::ConnectCloseReason;

/// Defines a set of bits. `bitflags!` itself writes some hundred functions for each type, which doubles the time
/// that this crate takes to check; here are those that are used.
macro_rules! flags {
    (
        $(#[$attribute:meta])*
        $name:ident {
            $($(#[$constant_attribute:meta])* $constant:ident = $bits:expr,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name(u32);

        impl $name {
            $($(#[$constant_attribute])* pub const $constant: Self = Self($bits);)*

            /// Returns a value without any bit.
            #[must_use]
            pub const fn empty() -> Self {
                Self(0)
            }

            /// Returns the bits as they go over the wire.
            #[must_use]
            pub const fn bits(self) -> u32 {
                self.0
            }

            /// Takes bits as they come over the wire, with those that have no name.
            #[must_use]
            pub const fn from_bits_retain(bits: u32) -> Self {
                Self(bits)
            }

            /// Tells whether there is no bit.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Tells whether all bits of `other` are here.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Tells whether any bit of `other` is here.
            #[must_use]
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Returns the bits of both; what `|` does, in constants too.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Returns the bits that are not in `other`.
            #[must_use]
            pub const fn difference(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }

        impl Flags for $name {
            const FLAGS: &'static [bitflags::Flag<Self>] =
                &[$(bitflags::Flag::new(stringify!($constant), Self::$constant),)*];
            type Bits = u32;

            fn bits(&self) -> u32 {
                self.0
            }

            fn from_bits_retain(bits: u32) -> Self {
                Self(bits)
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl std::ops::BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                *self = self.union(other);
            }
        }

        impl std::ops::BitAnd for $name {
            type Output = Self;

            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }

        impl std::ops::Sub for $name {
            type Output = Self;

            fn sub(self, other: Self) -> Self {
                self.difference(other)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                debug(stringify!($name), self, f)
            }
        }

        #[cfg(feature = "serde")]
        flags_with_serde!($name);
    };
}

include!(concat!(env!("OUT_DIR"), "/enums.rs"));

/// Writes `DomainCreateFlags(PAUSED | 0x40)`.
fn debug<F: Flags<Bits = u32>>(name: &str, flags: &F, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{name}(")?;
    if flags.bits() == 0 {
        f.write_str("0x0")?;
    }
    bitflags::parser::to_writer(flags, &mut *f)?;
    f.write_str(")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_combine_and_unknown_bits_survive() {
        let mut flags = DomainCreateFlags::PAUSED | DomainCreateFlags::AUTODESTROY;
        assert_eq!(flags.bits(), 3);
        assert!(flags.contains(DomainCreateFlags::PAUSED) && !flags.contains(DomainCreateFlags::FORCE_BOOT));
        flags |= DomainCreateFlags::from_bits_retain(1 << 30);
        assert_eq!(format!("{flags:?}"), "DomainCreateFlags(PAUSED | AUTODESTROY | 0x40000000)");
        assert_eq!((flags - DomainCreateFlags::PAUSED).bits(), 2 | 1 << 30);
        assert_eq!(flags & DomainCreateFlags::PAUSED, DomainCreateFlags::PAUSED);
        assert!(flags.intersects(DomainCreateFlags::AUTODESTROY | DomainCreateFlags::FORCE_BOOT));
        assert_eq!(flags.iter_names().count(), 2);
    }

    #[test]
    fn a_value_of_zero_is_no_bit() {
        assert!(DomainCreateFlags::NONE.is_empty());
        assert_eq!(DomainCreateFlags::default(), DomainCreateFlags::empty());
        assert_eq!(format!("{:?}", DomainCreateFlags::NONE), "DomainCreateFlags(0x0)");
    }

    #[test]
    fn values_have_names_and_unknown_ones_survive() {
        assert_eq!(DomainState::RUNNING, DomainState(1));
        assert_eq!(DomainState::RUNNING.name(), Some("RUNNING"));
        assert_eq!(
            format!("{:?} {:?}", DomainState::RUNNING, DomainState(99)),
            "DomainState::RUNNING DomainState(99)"
        );
        assert_eq!(format!("[{:<9}] [{:>3}]", DomainState::RUNNING, DomainState(99)), "[running  ] [ 99]");
        assert_eq!(DomainPausedReason::SHUTTING_DOWN.to_string(), "shutting down");
        assert_eq!(DomainAgentResponseTimeoutValues::BLOCK.0, -2);
    }

    #[test]
    fn ends_of_enums_are_no_values() {
        assert_eq!(DomainMemoryStatTags(13).name(), None, "VIR_DOMAIN_MEMORY_STAT_NR");
        assert_eq!(DomainState(8).name(), None, "VIR_DOMAIN_LAST");
        assert_eq!(NetworkUpdateCommand::ADD_LAST, NetworkUpdateCommand(3), "it only is called so");
    }
}

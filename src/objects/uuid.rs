//! UUIDs, which most objects are known by.

use std::{fmt, str::FromStr};

/// A universally unique identifier (RFC 9562), as libvirt gives one to domains and most other objects.
///
/// With the feature `uuid` it is made of the `Uuid` of the crate uuid and becomes one; methods that look something up take
/// either.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid([u8; 16]);

impl From<[u8; 16]> for Uuid {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl From<Uuid> for [u8; 16] {
    fn from(uuid: Uuid) -> Self {
        uuid.0
    }
}

#[cfg(feature = "uuid")]
impl From<uuid::Uuid> for Uuid {
    fn from(uuid: uuid::Uuid) -> Self {
        Self(uuid.into_bytes())
    }
}

#[cfg(feature = "uuid")]
impl From<Uuid> for uuid::Uuid {
    fn from(uuid: Uuid) -> Self {
        Self::from_bytes(uuid.0)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no UUID: 32 hexadecimal digits, with or without hyphens between.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no UUID: 32 hexadecimal digits are expected, hyphens between them are allowed")]
pub struct UuidError(String);

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let digits: Option<Vec<u32>> = text.chars().filter(|&c| c != '-').map(|c| c.to_digit(16)).collect();
        let bytes: Vec<u8> = digits
            .unwrap_or_default()
            .chunks_exact(2)
            .filter_map(|pair| Some((pair.first()? * 16 + pair.last()?) as u8))
            .collect();
        let exact = text.chars().filter(|&c| c != '-').count() == 32;
        bytes.try_into().ok().filter(|_| exact).map(Self).ok_or_else(|| UuidError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "uuid")]
    #[test]
    fn the_other_uuid_is_the_same() {
        let text = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0";
        let theirs: uuid::Uuid = text.parse().unwrap();
        let ours = Uuid::from(theirs);
        assert_eq!(ours.to_string(), text);
        assert_eq!(uuid::Uuid::from(ours), theirs);
        // Lookups take it as it is.
        let _ = |connection: crate::Connection| async move { connection.domain_by_uuid(theirs).await };
    }

    #[test]
    fn uuids_are_read_and_written() {
        let text = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.replace('-', "").to_uppercase().parse(), Ok(uuid));
        for bad in [
            "",
            "4dea22b3",
            "4dea22b3-1d52-d8f3-2516-782e98ab3fa",
            "4dea22b3-1d52-d8f3-2516-782e98ab3fa01",
            "zzea22b3-1d52-d8f3-2516-782e98ab3fa0",
        ] {
            assert!(bad.parse::<Uuid>().unwrap_err().to_string().contains("32 hexadecimal digits"), "{bad}");
        }
    }
}

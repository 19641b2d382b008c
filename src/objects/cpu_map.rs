//! Sets of CPUs, which virtual ones are pinned to.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use bytes::Bytes;

use crate::protocol::remote;

/// How many CPUs a map on the wire has at most.
const CPUS_MAX: u32 = remote::CPUMAP_MAX * 8;

/// A set of CPUs of the host, by their numbers.
///
/// ```
/// use libvirt_client::CpuMap;
///
/// let map = CpuMap::from_iter([0, 1, 9]);
/// assert!(map.contains(9) && !map.contains(2));
/// assert_eq!(map.to_string(), "0-1,9");
/// assert_eq!("0-1,9".parse(), Ok(map));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CpuMap {
    /// Without zeros at the end, so that equal sets are equal.
    pub(super) bytes: Vec<u8>,
}

impl CpuMap {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let length = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        Self { bytes: bytes.get(..length).unwrap_or_default().to_vec() }
    }

    /// Tells whether a CPU is in the set.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.bytes.get(cpu as usize / 8).is_some_and(|byte| byte & (1 << (cpu % 8)) != 0)
    }

    /// Returns the numbers of the CPUs, from the lowest.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..u32::try_from(self.bytes.len() * 8).unwrap_or(u32::MAX)).filter(|&cpu| self.contains(cpu))
    }

    /// Returns how many CPUs are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.bytes.iter().map(|byte| byte.count_ones()).sum()
    }
}

impl FromIterator<u32> for CpuMap {
    /// Makes a set of the numbers of its CPUs, of which a protocol message holds those below 16,384.
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        let mut bytes = Vec::new();
        for cpu in cpus {
            let at = cpu as usize / 8;
            if bytes.len() <= at {
                bytes.resize(at + 1, 0);
            }
            if let Some(byte) = bytes.get_mut(at) {
                *byte |= 1 << (cpu % 8);
            }
        }
        Self { bytes }
    }
}

impl<const COUNT: usize> From<[u32; COUNT]> for CpuMap {
    fn from(cpus: [u32; COUNT]) -> Self {
        cpus.into_iter().collect()
    }
}

/// As the methods take it that pin something to CPUs.
impl From<CpuMap> for Bytes {
    fn from(map: CpuMap) -> Self {
        map.bytes.into()
    }
}

/// Takes a map as the daemon gives it: the lowest bit of the first byte is CPU 0.
impl From<&[u8]> for CpuMap {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

/// Writes ranges, as libvirt's XML has them: `0-3,7`.
impl fmt::Display for CpuMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

/// Text that is no set of CPUs: numbers and ranges with commas between are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no set of CPUs: numbers below {CPUS_MAX} and ranges, as in 0-3,7, are expected")]
pub struct CpuMapError {
    text: String,
}

/// Reads ranges, as they are written.
impl FromStr for CpuMap {
    type Err = CpuMapError;

    fn from_str(text: &str) -> Result<Self, CpuMapError> {
        let mut cpus = Vec::new();
        for part in text.split(',').filter(|_| !text.trim().is_empty()) {
            cpus.extend(range(part).ok_or_else(|| CpuMapError { text: text.to_owned() })?);
        }
        Ok(cpus.into_iter().collect())
    }
}

/// Reads a number, or a range of them.
fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|&cpu| cpu < CPUS_MAX);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

impl fmt::Debug for CpuMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuMap({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_sets() {
        let map = CpuMap::from_iter([0, 1, 2, 9, 17, 18]);
        assert_eq!(Bytes::from(map.clone()), &[0b111, 0b10, 0b110][..]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [0, 1, 2, 9, 17, 18]);
        assert_eq!(
            (map.count(), map.contains(9), map.contains(8), map.contains(4000)),
            (6, true, false, false)
        );
        assert_eq!(
            format!("{map} {map:?} {:?}", CpuMap::default()),
            "0-2,9,17-18 CpuMap(0-2,9,17-18) CpuMap()"
        );
        assert_eq!(CpuMap::from(&[0b111, 0b10, 0b110, 0, 0][..]), map, "zeros at the end are nothing");
    }

    #[test]
    fn maps_are_read_as_they_are_written() {
        for text in ["", "0", "0-3,7", "2,16383"] {
            assert_eq!(text.parse::<CpuMap>().unwrap().to_string(), text);
        }
        assert_eq!(" 3 - 4, 1,2 ".parse(), Ok(CpuMap::from([1, 2, 3, 4])));
        for bad in ["x", "1,", "3-1", "1-2-3", "-1", "16384", "0-4294967295", "0-3,^2"] {
            let error = bad.parse::<CpuMap>().unwrap_err().to_string();
            assert!(error.contains("below 16384"), "{error}");
        }
    }
}

//! Versions, as libvirt counts them.

use std::{fmt, str::FromStr};

/// A version of libvirt or of a hypervisor, as in `9.0.0`.
///
/// ```
/// use libvirt_client::Version;
///
/// let version = Version::from(9_000_000);
/// assert_eq!(version.to_string(), "9.0.0");
/// assert!(version < Version::new(9, 7, 0));
/// assert_eq!("9.7.0".parse(), Ok(Version::new(9, 7, 0)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_structs, reason = "libvirt's numbers have three parts")]
pub struct Version {
    /// The first number, which counts most.
    pub major: u32,
    /// The second, below 1,000.
    pub minor: u32,
    /// The third, below 1,000.
    pub release: u32,
}

impl Version {
    /// Makes a version of its three numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, release: u32) -> Self {
        Self { major, minor, release }
    }
}

/// Takes apart what libvirt puts into one number: major × 1,000,000 + minor × 1,000 + release.
impl From<u64> for Version {
    fn from(number: u64) -> Self {
        let part = |part: u64| u32::try_from(part).unwrap_or(u32::MAX);
        Self::new(part(number / 1_000_000), part(number / 1_000 % 1_000), part(number % 1_000))
    }
}

impl From<Version> for u64 {
    fn from(version: Version) -> Self {
        let Version { major, minor, release } = version;
        Self::from(major) * 1_000_000 + Self::from(minor) * 1_000 + Self::from(release)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.release))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no version: two or three numbers with full stops between.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version: two or three numbers are expected, as in 9.0.0")]
pub struct VersionError(String);

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        // `parse` alone would take a sign.
        let number =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
        let parts: Option<Vec<u32>> = text.split('.').map(number).collect();
        match parts.as_deref() {
            Some(&[major, minor]) => Ok(Self::new(major, minor, 0)),
            Some(&[major, minor, release]) => Ok(Self::new(major, minor, release)),
            _ => Err(VersionError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_taken_apart_and_written() {
        for (number, text) in
            [(9_000_000, "9.0.0"), (7_002_017, "7.2.17"), (12_006_000, "12.6.0"), (3, "0.0.3")]
        {
            let version = Version::from(number);
            assert_eq!((version.to_string().as_str(), u64::from(version)), (text, number));
            assert_eq!(text.parse(), Ok(version));
        }
        assert_eq!("9.7".parse(), Ok(Version::new(9, 7, 0)));
        assert_eq!(format!("{:>8}|{:?}", Version::new(9, 7, 0), Version::new(9, 7, 1)), "   9.7.0|9.7.1");
        assert_eq!(Version::from(u64::MAX).major, u32::MAX);
    }

    #[test]
    fn later_versions_are_greater() {
        let versions = ["0.10.2", "1.3.3", "9.0.0", "9.0.1", "9.7.0", "10.0.0"].map(str::parse::<Version>);
        assert!(
            versions.iter().all(Result::is_ok) && versions.is_sorted_by_key(|version| version.clone().ok())
        );
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for bad in ["", "9", "9.", "9.0.", "9.0.0.1", "v9.0", "9.+1.0", "9.0.0-rc1", "9.0.4294967296"] {
            let error = bad.parse::<Version>().unwrap_err().to_string();
            assert!(error.contains("two or three numbers"), "{bad}: {error}");
        }
    }
}

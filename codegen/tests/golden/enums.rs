// Written from enums.tsv by libvirt-client-codegen.

/// `virSampleState`. Numbers without a name are kept.
#[doc(alias = "virSampleState")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleState(pub i32);

impl SampleState {
    /// `VIR_SAMPLE_UNKNOWN`, since libvirt 1.2.3.
    #[doc(alias = "VIR_SAMPLE_UNKNOWN")]
    pub const UNKNOWN: Self = Self(-1);
    /// `VIR_SAMPLE_NOSTATE`, since libvirt 0.0.1.
    #[doc(alias = "VIR_SAMPLE_NOSTATE")]
    pub const NOSTATE: Self = Self(0);
    /// `VIR_SAMPLE_RUNNING`, since libvirt 0.0.1.
    #[doc(alias = "VIR_SAMPLE_RUNNING")]
    pub const RUNNING: Self = Self(1);
    /// `VIR_SAMPLE_ACTIVE`, since libvirt 1.2.3.
    #[doc(alias = "VIR_SAMPLE_ACTIVE")]
    pub const ACTIVE: Self = Self(1);
    /// `VIR_SAMPLE_SHUT_OFF`.
    #[doc(alias = "VIR_SAMPLE_SHUT_OFF")]
    pub const SHUT_OFF: Self = Self(2);

    /// Returns the name of the constant with this number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            -1 => Some("UNKNOWN"),
            0 => Some("NOSTATE"),
            1 => Some("RUNNING"),
            2 => Some("SHUT_OFF"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for SampleState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "SampleState::{name}"),
            None => write!(f, "SampleState({})", self.0),
        }
    }
}

#[cfg(feature = "serde")]
open_enum! {
    SampleState: UNKNOWN NOSTATE RUNNING ACTIVE SHUT_OFF
}

impl std::fmt::Display for SampleState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self.0 {
            -1 => "unknown",
            0 => "nostate",
            1 => "running",
            2 => "shut off",
            other => return std::fmt::Display::fmt(&other, f),
        })
    }
}

flags! {
    /// `virSampleReadFlagValues`. Bits without a name are kept.
    #[doc(alias = "virSampleReadFlagValues")]
    SampleReadFlags {
        /// `SAMPLE_READ_NOTHING`, since libvirt 1.0.0.
        #[doc(alias = "SAMPLE_READ_NOTHING")]
        NOTHING = 0x0,
        /// `SAMPLE_READ_SPARSE`, since libvirt 1.0.0.
        #[doc(alias = "SAMPLE_READ_SPARSE")]
        SPARSE = 1 << 3,
        /// `SAMPLE_READ_HIGHEST`, since libvirt 9.0.0.
        #[doc(alias = "SAMPLE_READ_HIGHEST")]
        HIGHEST = 1 << 31,
        /// `SAMPLE_READ_BOTH`.
        #[doc(alias = "SAMPLE_READ_BOTH")]
        BOTH = 0x80000008,
    }
}

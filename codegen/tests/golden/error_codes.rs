// Written from enums.tsv by libvirt-client-codegen.

/// `virErrorNumber`. Numbers without a name are kept.
#[doc(alias = "virErrorNumber")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub i32);

impl ErrorCode {
    /// `VIR_ERR_OK`, since libvirt 0.1.0.
    #[doc(alias = "VIR_ERR_OK")]
    pub const OK: Self = Self(0);
    /// `VIR_ERR_NO_DOMAIN`, since libvirt 0.1.0.
    #[doc(alias = "VIR_ERR_NO_DOMAIN")]
    pub const NO_DOMAIN: Self = Self(42);
    /// `VIR_WAR_NO_DOMAIN`, since libvirt 0.1.0.
    #[doc(alias = "VIR_WAR_NO_DOMAIN")]
    pub const WAR_NO_DOMAIN: Self = Self(43);

    /// Returns the name of the constant with this number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("OK"),
            42 => Some("NO_DOMAIN"),
            43 => Some("WAR_NO_DOMAIN"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "ErrorCode::{name}"),
            None => write!(f, "ErrorCode({})", self.0),
        }
    }
}

#[cfg(feature = "serde")]
open_enum! {
    ErrorCode: OK NO_DOMAIN WAR_NO_DOMAIN
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// `virErrorDomain`. Numbers without a name are kept.
#[doc(alias = "virErrorDomain")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorDomain(pub i32);

impl ErrorDomain {
    /// `VIR_FROM_NONE`, since libvirt 0.1.0.
    #[doc(alias = "VIR_FROM_NONE")]
    pub const NONE: Self = Self(0);
    /// `VIR_FROM_QEMU`, since libvirt 0.1.0.
    #[doc(alias = "VIR_FROM_QEMU")]
    pub const QEMU: Self = Self(10);

    /// Returns the name of the constant with this number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("NONE"),
            10 => Some("QEMU"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for ErrorDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "ErrorDomain::{name}"),
            None => write!(f, "ErrorDomain({})", self.0),
        }
    }
}

#[cfg(feature = "serde")]
open_enum! {
    ErrorDomain: NONE QEMU
}

impl std::fmt::Display for ErrorDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self.0 {
            0 => "none",
            10 => "qemu",
            other => return std::fmt::Display::fmt(&other, f),
        })
    }
}

/// `virErrorLevel`. Numbers without a name are kept.
#[doc(alias = "virErrorLevel")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorLevel(pub i32);

impl ErrorLevel {
    /// `VIR_ERR_NONE`, since libvirt 0.1.0.
    #[doc(alias = "VIR_ERR_NONE")]
    pub const NONE: Self = Self(0);
    /// `VIR_ERR_ERROR`, since libvirt 0.1.0.
    #[doc(alias = "VIR_ERR_ERROR")]
    pub const ERROR: Self = Self(2);

    /// Returns the name of the constant with this number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("NONE"),
            2 => Some("ERROR"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for ErrorLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "ErrorLevel::{name}"),
            None => write!(f, "ErrorLevel({})", self.0),
        }
    }
}

#[cfg(feature = "serde")]
open_enum! {
    ErrorLevel: NONE ERROR
}

impl std::fmt::Display for ErrorLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self.0 {
            0 => "none",
            2 => "error",
            other => return std::fmt::Display::fmt(&other, f),
        })
    }
}

/// `virConnectCloseReason`. Numbers without a name are kept.
#[doc(alias = "virConnectCloseReason")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectCloseReason(pub i32);

impl ConnectCloseReason {
    /// `VIR_CONNECT_CLOSE_REASON_EOF`, since libvirt 0.10.0.
    #[doc(alias = "VIR_CONNECT_CLOSE_REASON_EOF")]
    pub const EOF: Self = Self(1);
    /// `VIR_CONNECT_CLOSE_REASON_CLIENT`, since libvirt 0.10.0.
    #[doc(alias = "VIR_CONNECT_CLOSE_REASON_CLIENT")]
    pub const CLIENT: Self = Self(3);

    /// Returns the name of the constant with this number.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            1 => Some("EOF"),
            3 => Some("CLIENT"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for ConnectCloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "ConnectCloseReason::{name}"),
            None => write!(f, "ConnectCloseReason({})", self.0),
        }
    }
}

#[cfg(feature = "serde")]
open_enum! {
    ConnectCloseReason: EOF CLIENT
}

impl std::fmt::Display for ConnectCloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self.0 {
            1 => "eof",
            3 => "client",
            other => return std::fmt::Display::fmt(&other, f),
        })
    }
}

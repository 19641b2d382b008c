//! Numbers that mean something else for each value of another: why a domain is in its state, and what exactly an event
//! of its life was.

use std::fmt;

use super::enums::{self, DomainEventType, DomainState};

/// Defines such a number: an enum with a variant for each value of the other, and one for values that are not known.
macro_rules! told_by {
    (
        $(#[$attribute:meta])*
        $name:ident($kind:ident) { $($variant:ident = $constant:ident: $reason:ident,)* }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
        #[non_exhaustive]
        pub enum $name {
            $(
                #[doc = concat!("With [`", stringify!($kind), "::", stringify!($constant), "`].")]
                $variant(enums::$reason),
            )*
            /// With a value that this version does not know.
            Unknown(i32),
        }

        impl $name {
            pub(super) fn new(kind: i32, number: i32) -> Self {
                match $kind(kind) {
                    $($kind::$constant => Self::$variant(enums::$reason(number)),)*
                    _ => Self::Unknown(number),
                }
            }

            /// Returns the number as it goes over the wire.
            #[must_use]
            pub fn number(self) -> i32 {
                match self {
                    $(Self::$variant(reason) => reason.0,)*
                    Self::Unknown(number) => number,
                }
            }
        }

        /// Says it in words: `paused`, `from snapshot`; or the number.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(reason) => reason.fmt(f),)*
                    Self::Unknown(number) => number.fmt(f),
                }
            }
        }
    };
}

told_by! {
    /// Why a domain is in its state.
    DomainStateReason(DomainState) {
        Nostate = NOSTATE: DomainNostateReason,
        Running = RUNNING: DomainRunningReason,
        Blocked = BLOCKED: DomainBlockedReason,
        Paused = PAUSED: DomainPausedReason,
        Shutdown = SHUTDOWN: DomainShutdownReason,
        Shutoff = SHUTOFF: DomainShutoffReason,
        Crashed = CRASHED: DomainCrashedReason,
        PmSuspended = PMSUSPENDED: DomainPmSuspendedReason,
    }
}

told_by! {
    /// What exactly a lifecycle event of a domain was: how it was started, why it was stopped.
    DomainEventDetail(DomainEventType) {
        Defined = DEFINED: DomainEventDefinedDetailType,
        Undefined = UNDEFINED: DomainEventUndefinedDetailType,
        Started = STARTED: DomainEventStartedDetailType,
        Suspended = SUSPENDED: DomainEventSuspendedDetailType,
        Resumed = RESUMED: DomainEventResumedDetailType,
        Stopped = STOPPED: DomainEventStoppedDetailType,
        Shutdown = SHUTDOWN: DomainEventShutdownDetailType,
        PmSuspended = PMSUSPENDED: DomainEventPmSuspendedDetailType,
        Crashed = CRASHED: DomainEventCrashedDetailType,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_said_by_what_it_belongs_to() {
        let said = |kind, number| DomainEventDetail::new(kind, number).to_string();
        assert_eq!(
            (said(2, 1).as_str(), said(3, 1).as_str(), said(0, 1).as_str()),
            ("migrated", "migrated", "updated")
        );
        assert_eq!(said(5, 1), "destroyed");
        assert_eq!(
            DomainStateReason::new(5, 4),
            DomainStateReason::Shutoff(enums::DomainShutoffReason::MIGRATED)
        );
    }

    #[test]
    fn unknown_numbers_survive() {
        for (kind, number) in [(77, 3), (2, 99)] {
            let detail = DomainEventDetail::new(kind, number);
            assert_eq!((detail.number(), detail.to_string()), (number, number.to_string()));
        }
        assert_eq!(DomainEventDetail::new(77, 3), DomainEventDetail::Unknown(3));
    }
}

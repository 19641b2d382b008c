//! How a connection behaves, as those who open it say.

use std::time::Duration;

use super::ErrorHook;

/// How a connection behaves.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Config {
    /// How many calls may be without a reply at once; more wait their turn. The default of 4 is one less than
    /// the daemon's default `max_client_requests`: at its limit a daemon stops reading, keepalive included,
    /// and then takes its own silence for ours.
    pub in_flight: usize,
    /// How long a call may take, unless [`Client::with_timeout`](super::Client::with_timeout) says otherwise. Without one (the default), it
    /// may take as long as the connection lives, as saving or migrating a domain does.
    pub call_timeout: Option<Duration>,
    /// How many events may wait in each subscription before some are dropped, which is reported. 1,024 by
    /// default.
    pub event_queue: usize,
    /// How many bytes of data streams may wait for their readers, of all streams together, before nothing more is read;
    /// three times as many as long as others wait. 4 MiB by default.
    pub stream_buffer: usize,
    /// Who is told of every error that calls and subscriptions give; nobody by default.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub on_error: Option<ErrorHook>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight: 4,
            call_timeout: None,
            event_queue: 1024,
            stream_buffer: 4 * 1024 * 1024,
            on_error: None,
        }
    }
}

/// When a silent daemon is given up: after `interval` × (`count` + 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KeepaliveConfig {
    /// How long the daemon may be silent before it is asked for a sign of life.
    pub interval: Duration,
    /// How many such questions in a row may go without an answer.
    pub count: u32,
}

impl KeepaliveConfig {
    /// Returns how long the daemon may be silent before it is given up. An interval of zero is for ever.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        let patience = self.interval.saturating_mul(self.count.saturating_add(1));
        Some(patience).filter(|patience| !patience.is_zero())
    }
}

impl Default for KeepaliveConfig {
    /// Five seconds, five times: half a minute, as the daemon itself does by default.
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), count: 5 }
    }
}

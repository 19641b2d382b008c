//! What is in a guest: its addresses, its agent's readiness, its file systems at rest, programs and files.
//!
//! ```no_run
//! # async fn example(domain: libvirt_client::Domain) -> libvirt_client::Result<()> {
//! use std::time::Duration;
//!
//! let address = domain.wait_for_address(Duration::from_secs(60)).ipv4().await?;
//! println!("{} at {}", domain.name(), address.address);
//!
//! let guest = domain.guest();
//! guest.wait_until_ready(Duration::from_secs(60)).await?;
//! let frozen = guest.freeze().await?; // thawed when dropped, too
//! // … take the snapshot …
//! frozen.thaw().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Programs and files (`Guest::exec`, `Guest::read_file`, `Guest::write_file`) need the feature `serde`, since the agent speaks
//! JSON.
//!
//! What the agent does for libvirt's own methods stays with them: [`Domain::hostname_with`], [`Domain::time`],
//! [`Domain::set_time`], [`Domain::guest_info`] (system, users, time zone, disks), [`Domain::fs_info`],
//! [`Domain::set_user_password`].

mod addresses;
mod agent;
#[cfg(feature = "serde")]
mod exec;
#[cfg(feature = "serde")]
mod files;
mod freeze;
mod interfaces;

use std::time::Duration;

use super::Domain;
use crate::error::{Error, Result};

pub use addresses::{GuestAddress, WaitForAddress};
#[cfg(feature = "serde")]
pub use agent::{AgentCommand, AgentInfo};
#[cfg(feature = "serde")]
pub use exec::{Exec, ExecOutput, ExecStatus, GuestProcess};
#[cfg(feature = "serde")]
pub use files::GuestFile;
pub use freeze::Frozen;

#[cfg(feature = "serde")]
pub(super) use agent::ask_agent;

/// How long the agent may take to answer, unless [`Guest::with_agent_timeout`] says otherwise.
const AGENT_TIMEOUT: Duration = Duration::from_secs(20);

/// A running guest, by way of QEMU's agent in it: see [`Domain::guest`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guest {
    domain: Domain,
    agent_timeout: Duration,
}

impl Domain {
    /// Returns what asks the agent in this guest. It needs `qemu-guest-agent` in the guest, and a channel
    /// `org.qemu.guest_agent.0` in the domain's XML.
    #[must_use]
    pub fn guest(&self) -> Guest {
        Guest { domain: self.clone(), agent_timeout: AGENT_TIMEOUT }
    }
}

impl Guest {
    /// Returns the domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Returns the same guest, whose agent may take so long to answer one command, in whole seconds and at least one; 20
    /// seconds by default. A command that fails for that may still be carried out.
    #[must_use]
    pub fn with_agent_timeout(&self, timeout: Duration) -> Self {
        Self { agent_timeout: timeout, ..self.clone() }
    }
}

/// How long to wait before asking again: at first little, then longer.
#[derive(Debug)]
struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    fn up_to(longest: Duration) -> Self {
        Self { next: Duration::from_millis(20), longest }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.longest);
    }
}

/// Tells whether it is worth asking a domain again that has answered with this error; fails where it has stopped or gone,
/// or the connection has.
async fn goes_on(domain: &Domain, error: &Error) -> Result<bool> {
    if matches!(error, Error::Closed(_) | Error::Interrupted { .. }) || error.is_not_found() {
        return Err(error.clone());
    }
    if error.is_unsupported() || error.is_read_only() || error.is_auth() {
        return Ok(false);
    }
    // A paused domain is told so, too, and may be resumed.
    if error.is_invalid_state() && !domain.is_active().await? {
        return Err(error.clone());
    }
    Ok(true)
}

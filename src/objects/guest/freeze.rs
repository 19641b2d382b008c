//! File systems at rest, for a snapshot, and in use again whatever happens.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Guest;
use crate::{
    error::{Error, ErrorCode, Result},
    objects::Domain,
};

/// File systems of a guest that are frozen: what is written in the guest waits. They are thawed when this is dropped.
///
/// [`thaw`](Self::thaw) says whether that worked; dropping this has it done by a task on the connection's runtime, which
/// nobody hears of. Neither works once the connection has ended or the runtime is shut down: then the guest stays frozen until
/// somebody calls [`Domain::fs_thaw`].
#[derive(Debug)]
#[must_use = "the file systems are thawed as soon as this is dropped"]
pub struct Frozen {
    /// None once somebody thaws them.
    domain: Option<Domain>,
    count: u32,
}

impl Guest {
    /// Freezes all file systems of the guest, by its agent, until the guard that this returns is dropped. Writes in the guest
    /// wait all that time: keep it short.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_FSFREEZE` (335) and later `REMOTE_PROC_DOMAIN_FSTHAW` (336), C: `virDomainFSFreeze`, since
    /// libvirt 1.2.5. Needs `domain:fs_freeze`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. If it may have been carried out all the same, the file
    /// systems are thawed.
    ///
    /// # Cancel safety
    /// If the future is dropped, the file systems are thawed as soon as they are frozen.
    pub async fn freeze(&self) -> Result<Frozen> {
        self.freeze_only([] as [&str; 0]).await
    }

    /// Does what [`freeze`](Self::freeze) does, with the file systems at these mount points. All that are frozen are thawed
    /// together.
    ///
    /// # Errors
    /// As [`freeze`](Self::freeze).
    ///
    /// # Cancel safety
    /// As [`freeze`](Self::freeze).
    pub async fn freeze_only(
        &self,
        mount_points: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Frozen> {
        let mount_points: Vec<String> = mount_points.into_iter().map(Into::into).collect();
        let domain = self.domain.clone();
        // On a task of its own, since the daemon goes on with it when nobody waits any more.
        let (done, result) = oneshot::channel();
        self.domain.connection.client().runtime().spawn(async move {
            let frozen = freeze(domain, mount_points).await;
            // What nobody takes is dropped, and so thawed.
            let _ = done.send(frozen);
        });
        ended(&self.domain, result).await
    }
}

async fn freeze(domain: Domain, mount_points: Vec<String>) -> Result<Frozen> {
    match domain.fs_freeze(mount_points).await {
        Ok(count) => Ok(Frozen { domain: Some(domain), count: u32::try_from(count).unwrap_or(0) }),
        Err(error) => {
            if may_be_carried_out(&error) {
                drop(Frozen { domain: Some(domain), count: 0 });
            }
            Err(error)
        }
    }
}

/// What the daemon says when it has asked the agent and had no answer, or has not come so far in time.
const UNANSWERED: [ErrorCode; 3] =
    [ErrorCode::AGENT_UNRESPONSIVE, ErrorCode::AGENT_COMMAND_TIMEOUT, ErrorCode::OPERATION_TIMEOUT];

/// Tells whether the agent may carry out a command that there was no answer to.
fn may_be_carried_out(error: &Error) -> bool {
    error.may_have_run() || error.code().is_some_and(|code| UNANSWERED.contains(&code))
}

impl Frozen {
    /// Returns how many file systems were frozen.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Thaws the file systems, and returns how many the agent thawed.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_FSTHAW` (336), C: `virDomainFSThaw`, since libvirt 1.2.5. Needs `domain:fs_freeze`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer; the guest may be frozen still.
    ///
    /// # Cancel safety
    /// They are thawed also if the future is dropped.
    #[doc(alias = "virDomainFSThaw")]
    pub async fn thaw(mut self) -> Result<u32> {
        let Some(domain) = self.domain.take() else { return Ok(0) };
        let (done, result) = oneshot::channel();
        let thawing = domain.clone();
        domain.connection.client().runtime().spawn(async move {
            let _ = done.send(thaw(&thawing).await);
        });
        ended(&domain, result).await
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let Some(domain) = self.domain.take() else { return };
        let runtime = domain.connection.client().runtime().clone();
        // The deadline of the program's calls is not for what nobody waits for.
        let domain = domain.with_timeout(None);
        runtime.spawn(async move {
            if let Err(error) = thaw_in_the_end(&domain).await {
                tracing::warn!(domain = domain.name(), %error, "file systems are not thawed");
            }
        });
    }
}

/// How often a thaw is tried again: the daemon, or a supervised connection, lets each attempt wait for half a minute.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_secs(1);

/// Thaws also where the daemon is still busy with the freezing, or away.
async fn thaw_in_the_end(domain: &Domain) -> Result<u32> {
    for _ in 1..ATTEMPTS {
        match thaw(domain).await {
            Err(error) if may_work_later(&error) => tracing::debug!(%error, "not thawed yet"),
            thawed => return thawed,
        }
        tokio::time::sleep(PAUSE).await;
    }
    thaw(domain).await
}

fn may_work_later(error: &Error) -> bool {
    matches!(error, Error::Interrupted { .. }) || error.code() == Some(ErrorCode::OPERATION_TIMEOUT)
}

async fn thaw(domain: &Domain) -> Result<u32> {
    let count = domain.fs_thaw([] as [&str; 0]).await?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// Waits for what a task has made.
async fn ended<T>(domain: &Domain, result: oneshot::Receiver<Result<T>>) -> Result<T> {
    match result.await {
        Ok(result) => result,
        // The task goes with the runtime only, and that ends the connection.
        Err(_) => Err(Error::Closed(domain.connection.client().closed().await)),
    }
}

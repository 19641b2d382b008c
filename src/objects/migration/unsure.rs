//! What is done where a connection ends in a moment at which only the daemon knows what has become of the domain.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    error::{MigrateWhereabouts, Result},
    objects::{
        Connection, Domain, DomainStateReason,
        enums::{DomainJobType, DomainPausedReason, DomainState},
    },
};

/// How long a daemon may be out of reach.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one attempt to reach it may take.
const ATTEMPT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// What a destination says over another connection.
#[derive(Debug)]
pub(super) enum Said {
    /// The domain is there. The source must not let it run any more.
    Moved(Domain),
    /// The domain is not there, and will not be.
    NotMoved,
    /// It has the domain, and has not let it run yet.
    Undecided,
    /// It cannot be reached.
    Nothing,
}

/// Asks the destination over new connections whether it has let the domain run.
pub(super) async fn ask_again(source: &Domain, destination: &Connection, is_offline: bool) -> Said {
    let end = Instant::now() + PATIENCE;
    let mut last = Said::Nothing;
    while Instant::now() < end {
        let Some(opened) = destination.open_another(ATTEMPT).await else { break };
        let told = match opened {
            Ok(another) => ask(source, &another, is_offline).await,
            Err(error) => Err(error),
        };
        match told {
            Ok(Some(said)) => return said,
            Ok(None) => {
                tracing::debug!("the destination is not done with the domain yet");
                last = Said::Undecided;
            }
            Err(error) => tracing::debug!(%error, "the destination does not say what became of the domain"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    last
}

/// Asks the destination. It says nothing yet while it is still about to let the domain run, or to throw it away.
async fn ask(source: &Domain, another: &Connection, is_offline: bool) -> Result<Option<Said>> {
    let quick = another.with_timeout(ATTEMPT);
    let Some(found) = quick.find_domain_by_uuid(source.uuid()).await? else {
        return Ok(Some(Said::NotMoved));
    };
    let moved = Said::Moved(Domain::new(found.to_wire(), another));
    if is_offline {
        return Ok(Some(moved));
    }
    let state = found.state().await?;
    Ok(match (state.state, state.reason) {
        (DomainState::SHUTOFF, _) => Some(Said::NotMoved),
        (_, DomainStateReason::Paused(DomainPausedReason::MIGRATION | DomainPausedReason::STARTING_UP)) => {
            None
        }
        _ => Some(moved),
    })
}

/// Sees to it over new connections that the source lets the domain run on, once its job has ended. Only for where the
/// destination will not let it run.
pub(super) async fn bring_back(source: &Domain, was_paused: bool) -> MigrateWhereabouts {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let Some(opened) = source.connection.open_another(ATTEMPT).await else { break };
        let brought = match opened {
            Ok(another) => resume(source, &another, was_paused).await,
            Err(error) => Err(error),
        };
        match brought {
            Ok(Some(whereabouts)) => return whereabouts,
            Ok(None) => tracing::debug!("the source is not done with the migration yet"),
            Err(error) if error.is_not_found() => break,
            Err(error) => tracing::debug!(%error, "the source does not say what became of the domain"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    MigrateWhereabouts::Unknown
}

/// Resumes the domain if the migration has left it paused. Nothing while the migration's job goes on.
async fn resume(
    source: &Domain,
    another: &Connection,
    was_paused: bool,
) -> Result<Option<MigrateWhereabouts>> {
    let domain = Domain::new(source.to_wire(), &another.with_timeout(ATTEMPT));
    let state = domain.state().await?;
    if state.state == DomainState::SHUTOFF {
        return Ok(Some(MigrateWhereabouts::Source));
    }
    if domain.job_info().await?.kind != DomainJobType::NONE {
        return Ok(None);
    }
    // Again, since the end of the job may have resumed it.
    match domain.state().await?.reason {
        DomainStateReason::Paused(DomainPausedReason::POSTCOPY | DomainPausedReason::POSTCOPY_FAILED) => {
            return Ok(Some(MigrateWhereabouts::PostCopy));
        }
        DomainStateReason::Paused(DomainPausedReason::MIGRATION) if !was_paused => domain.resume().await?,
        _ => {}
    }
    Ok(Some(MigrateWhereabouts::Source))
}

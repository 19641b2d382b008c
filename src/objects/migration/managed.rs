//! A migration that this client orchestrates: it talks to both daemons, so that exactly one of them runs the domain in the
//! end.

use std::future::pending;

use super::{
    MigrateOptions,
    calls::{Calls, Cookie},
    check::{self, Lacking},
    control::{Control, Never, Why, beside},
    unsure::{self, Said},
};
use crate::{
    error::{Error, ErrorCode, MigrateError, MigrateFault, MigratePhase, MigrateSide, MigrateWhereabouts},
    objects::{
        Connection, Domain, DomainStateReason,
        enums::{DomainPausedReason, DomainShutoffReason},
    },
    protocol::{Call, remote},
    rpc::Client,
};

/// What a destination answers when it has thrown away what came: that, since libvirt 1.2.18; that the hypervisor has ended
/// before and nothing is left; and old ones nothing, which their RPC layer complains about.
const THROWN_AWAY: [ErrorCode; 3] = [ErrorCode::MIGRATE_FINISH_OK, ErrorCode::NO_DOMAIN, ErrorCode::RPC];

/// A migration that failed.
pub(super) type Failed = Box<MigrateError>;

/// A conversation with both sides.
pub(super) struct Managed<'a> {
    domain: &'a Domain,
    destination: &'a Connection,
    control: &'a Control,
    calls: Calls,
}

impl<'a> Managed<'a> {
    /// Asks both sides what they are able to do.
    pub(super) async fn check(
        domain: &'a Domain,
        destination: &'a Connection,
        options: MigrateOptions,
        control: &'a Control,
    ) -> Result<Self, Failed> {
        // The domain that is returned has the connection's deadline for calls; the phases take as long as they take.
        let (source, client) = (domain.connection.client(), destination.client().with_timeout(None));
        let lacks = |(side, error): Lacking| failed(domain, MigratePhase::Check, side, error);
        // The daemons end a migration with the connection that it was begun on, and so does this side.
        let perform = remote::DomainMigratePerform3ParamsArgs::PROCEDURE;
        let pinned =
            async |client: &Client, side| client.pinned(perform).await.map_err(|error| lacks((side, error)));
        let source = &pinned(source, MigrateSide::Source).await?;
        let client = pinned(&client, MigrateSide::Destination).await?;
        let version = check::version(source, &client, &options).await.map_err(lacks)?;
        let protects = check::protection(source, &options).await.map_err(lacks)?;
        tracing::debug!(?version, protects, "migration is possible");
        let calls = Calls::new(version, domain.clone(), source.clone(), client, options, protects);
        Ok(Self { domain, destination, control, calls })
    }

    /// Migrates the domain, and returns it as it is on the destination.
    pub(super) async fn migrate(mut self) -> Result<Domain, Failed> {
        self.stop_if_cancelled(MigratePhase::Check, MigrateSide::Source)?;
        let (definition, cookie) = self.begin().await?;
        let cookie = self.prepare(definition, cookie).await?;
        let cookie = self.perform(cookie).await?;
        self.finish(cookie).await
    }

    async fn begin(&self) -> Result<(String, Cookie), Failed> {
        self.control.enter(MigratePhase::Begin);
        match self.calls.begin().await {
            Ok(begun) => Ok(begun),
            Err(error) => {
                let is_done = is_done(&error);
                let failed = self.failed(MigratePhase::Begin, MigrateSide::Source, error);
                Err(if is_done { self.call_off_begin(failed).await } else { failed })
            }
        }
    }

    async fn prepare(&mut self, definition: String, cookie: Cookie) -> Result<Cookie, Failed> {
        let (phase, side) = (MigratePhase::Prepare, MigrateSide::Destination);
        if let Err(cancelled) = self.stop_if_cancelled(MigratePhase::Begin, MigrateSide::Source) {
            return Err(self.call_off_begin(cancelled).await);
        }
        self.calls.keep_paused().await;
        self.control.enter(phase);
        let cookie = match self.calls.prepare(definition, cookie).await {
            Ok(cookie) => cookie,
            Err(error) if is_done(&error) => {
                return Err(self.call_off(self.failed(phase, side, error), Cookie::new()).await);
            }
            Err(error) => return Err(self.call_off_begin(self.failed(phase, side, error)).await),
        };
        let goes_on = match self.calls.uri() {
            Ok(_) => self.stop_if_cancelled(phase, side),
            Err(error) => Err(self.failed(phase, side, error)),
        };
        match goes_on {
            Ok(()) => Ok(cookie),
            Err(error) => Err(self.call_off(error, cookie).await),
        }
    }

    async fn perform(&mut self, cookie: Cookie) -> Result<Cookie, Failed> {
        if self.calls.is_offline() {
            return Ok(Cookie::new());
        }
        self.control.enter(MigratePhase::Perform);
        let sending = self.control.watched(self.domain, self.calls.perform(cookie));
        match beside(sending, self.cancel_without_destination()).await {
            Ok(cookie) => Ok(cookie),
            Err(error) => Err(self.call_off_perform(error).await),
        }
    }

    /// Without its daemon nobody can let the domain run there; the sooner it goes on at the source, the better.
    async fn cancel_without_destination(&self) -> Never {
        let reason = self.calls.destination.closed().await;
        self.control.cancel.request(Why::DestinationIsGone(reason));
        pending().await
    }

    async fn finish(&mut self, cookie: Cookie) -> Result<Domain, Failed> {
        let (phase, side) = (MigratePhase::Finish, MigrateSide::Destination);
        self.control.enter(phase);
        let is_sent = self.calls.destination.close_reason().is_none();
        let error = match self.calls.finish(cookie, false).await {
            Ok((moved, cookie)) => {
                return Ok(self.confirm(Domain::new(moved, self.destination), cookie).await);
            }
            Err(error) => error,
        };
        let mut is_known = !is_sent || matches!(error, Error::Remote(_) | Error::Encode { .. });
        if !is_known {
            match unsure::ask_again(self.domain, self.destination, self.calls.is_offline()).await {
                Said::Moved(moved) => return Ok(self.confirm(moved, Cookie::new()).await),
                Said::NotMoved => is_known = true,
                // It may run there any moment: the source must not. One that is paused can be resumed, two that run cannot be
                // made one.
                Said::Undecided => {
                    let mut failed = self.failed(phase, side, error);
                    failed.whereabouts = MigrateWhereabouts::Unknown;
                    return Err(failed);
                }
                Said::Nothing => {}
            }
        }
        let mut failed = self.failed(phase, side, error);
        self.call_off_source(&mut failed, Cookie::new()).await;
        failed.whereabouts = match is_known && self.calls.version.confirms() {
            // The destination will not let it run, and nobody could tell the source.
            true if self.calls.source.close_reason().is_some() => {
                unsure::bring_back(self.domain, self.calls.was_paused()).await
            }
            true => whereabouts(self.domain).await,
            false => MigrateWhereabouts::Unknown,
        };
        Err(failed)
    }

    /// The domain is on the destination now, whatever becomes of this.
    async fn confirm(&self, moved: Domain, cookie: Cookie) -> Domain {
        self.control.enter(MigratePhase::Confirm);
        match self.calls.confirm(cookie, false).await {
            Ok(()) => self.domain.set_id(-1),
            Err(error) => {
                let mut left = self.failed(MigratePhase::Confirm, MigrateSide::Source, error);
                left.whereabouts = MigrateWhereabouts::Destination;
                let left = Error::from(*left);
                tracing::warn!(%left, "the source does not confirm that the domain has moved");
                let _ = self.calls.source.observed(Err::<(), _>(left));
            }
        }
        moved
    }

    /// Has the destination throw away what has come, and the source go on.
    async fn call_off(&mut self, mut failed: Failed, cookie: Cookie) -> Failed {
        self.call_off_destination(&mut failed, cookie).await;
        self.call_off_source(&mut failed, Cookie::new()).await;
        failed
    }

    /// Before the second phase only the source knows of it, and only where it protects the domain.
    async fn call_off_begin(&self, mut failed: Failed) -> Failed {
        if self.calls.is_protected() {
            self.call_off_source(&mut failed, Cookie::new()).await;
        }
        failed
    }

    /// A source that cannot send the domain has called it off for itself, if it says so.
    async fn call_off_perform(&mut self, error: Error) -> Failed {
        let source_knows = matches!(error, Error::Remote(_));
        let cause = self.control.reason_of(error);
        let side = match cause {
            Error::Closed(_) if source_knows => MigrateSide::Destination,
            _ => MigrateSide::Source,
        };
        let mut failed = self.failed(MigratePhase::Perform, side, cause);
        self.call_off_destination(&mut failed, Cookie::new()).await;
        let is_cut_off = self.calls.source.close_reason().is_some();
        if !source_knows && !is_cut_off {
            self.call_off_source(&mut failed, Cookie::new()).await;
        }
        failed.whereabouts = match is_cut_off {
            // All of it may have been sent: then the source waits, and nobody would tell it.
            true => unsure::bring_back(self.domain, self.calls.was_paused()).await,
            false => whereabouts(self.domain).await,
        };
        failed
    }

    async fn call_off_destination(&mut self, failed: &mut MigrateError, cookie: Cookie) {
        if !self.calls.version.hears_of_failures() {
            return;
        }
        let error = match self.calls.finish(cookie, true).await {
            Err(error) if error.code().is_some_and(|code| THROWN_AWAY.contains(&code)) => return,
            // Its hypervisor may have missed the end of what it received before it was told.
            Err(Error::Remote(_)) if self.control.cancel.reason().is_some() => return,
            Err(error) => error,
            Ok((kept, _)) => Error::Unsupported(format!(
                "the destination keeps {}, although it was told not to",
                kept.name
            )),
        };
        failed.also.push(MigrateFault { phase: MigratePhase::Finish, side: MigrateSide::Destination, error });
    }

    async fn call_off_source(&self, failed: &mut MigrateError, cookie: Cookie) {
        if let Err(error) = self.calls.confirm(cookie, true).await {
            failed.also.push(MigrateFault { phase: MigratePhase::Confirm, side: MigrateSide::Source, error });
        }
    }

    fn stop_if_cancelled(&self, phase: MigratePhase, side: MigrateSide) -> Result<(), Failed> {
        match self.control.cancel.reason() {
            Some(why) => Err(self.failed(phase, side, why.error())),
            None => Ok(()),
        }
    }

    fn failed(&self, phase: MigratePhase, side: MigrateSide, cause: Error) -> Failed {
        failed(self.domain, phase, side, cause)
    }
}

/// Tells whether a daemon has done what it was asked to, and only its answer was not understood.
fn is_done(error: &Error) -> bool {
    matches!(error, Error::Decode { .. })
}

/// Says that a migration failed, as one that left the domain where it was.
pub(super) fn failed(domain: &Domain, phase: MigratePhase, side: MigrateSide, cause: Error) -> Failed {
    Box::new(MigrateError {
        domain: domain.name().to_owned(),
        phase,
        side,
        cause,
        also: Vec::new(),
        whereabouts: MigrateWhereabouts::Source,
    })
}

/// Asks the source where the domain is, after a migration that failed.
pub(super) async fn whereabouts(domain: &Domain) -> MigrateWhereabouts {
    let is_half_way = |reason| {
        let half_way = [DomainPausedReason::POSTCOPY, DomainPausedReason::POSTCOPY_FAILED];
        matches!(reason, DomainStateReason::Paused(reason) if half_way.contains(&reason))
    };
    let has_moved = DomainStateReason::Shutoff(DomainShutoffReason::MIGRATED);
    match domain.state().await {
        Ok(state) if is_half_way(state.reason) => MigrateWhereabouts::PostCopy,
        Ok(state) if state.reason == has_moved => MigrateWhereabouts::Destination,
        Ok(_) => MigrateWhereabouts::Source,
        Err(_) => MigrateWhereabouts::Unknown,
    }
}

//! Moving a domain to another host, running or not.
//!
//! ```no_run
//! # async fn example() -> libvirt_client::Result<()> {
//! use libvirt_client::{Connection, MigrateOptions};
//!
//! let here = Connection::open("qemu:///system").await?;
//! let there = Connection::open("qemu:///system?socket=/run/forwarded").await?;
//! let web = here.domain_by_name("web").await?;
//! let options = MigrateOptions::live().persist_destination().undefine_source();
//! match web.migrate_to(&there, options).await {
//!     Ok(moved) => println!("{} runs on {}", moved.name(), there.hostname().await?),
//!     Err(error) if error.is_cancelled() => println!("cancelled: {error}"),
//!     Err(error) => match error.migration() {
//!         Some(why) => println!("{} failed on the {}: {}; {}", why.phase, why.side, why.cause, why.whereabouts),
//!         None => println!("{error}"),
//!     },
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Who does it
//!
//! | method | who orchestrates | what has to reach the destination |
//! |---|---|---|
//! | [`Domain::migrate_to`] | this client, over a connection to each daemon | this client, and the source's hypervisor |
//! | [`Domain::migrate_to_uri`] | the source's daemon | the source's daemon and its hypervisor |
//! | the same, [`tunnelled`](MigrateOptions::tunnelled) | the source's daemon | the source's daemon |
//! | [`Domain::migrate_directly_to`] | the source's hypervisor (not QEMU) | the source's hypervisor |
//!
//! All return a [`Migration`]: awaited as it is, or [started](Migration::start) to watch it, to cancel it, to switch it to
//! post-copy.
//!
//! # The phases, and what a failure leaves behind
//!
//! | phase | where | what is done | where it fails, or is cancelled after it |
//! |---|---|---|---|
//! | check | both | both daemons are asked what they are able to do | nothing was begun |
//! | begin | source | it tells what the destination has to know, and protects the domain from changes | it ends the protection |
//! | prepare | destination | it starts a hypervisor that waits for the domain | the destination throws that away, the source ends the protection |
//! | perform | source | it sends the domain, and stops it in the end | it lets the domain run on, the destination throws away what came |
//! | finish | destination | it lets the domain run | it throws the domain away, then the source lets it run on |
//! | confirm | source | it removes the domain | the domain runs on the destination, and the source may have it still, paused |
//!
//! Between perform and finish the domain runs on neither side, so it never runs on both. The error, [`MigrateError`], says in
//! which phase it failed, on which side, what else failed on the way back, and [where the domain is](MigrateError::whereabouts).
//!
//! - **Confirm** is for the source alone: where it fails the migration has succeeded, and it is told to
//!   [`on_error`](crate::Builder::on_error) of the source's connection and to `tracing`.
//! - **The destination's connection ends** while the domain is sent: it is cancelled at once, and runs on at the source.
//! - **It ends while finish is under way**: only the destination knows whether it has let the domain run, so it is asked over
//!   new connections, for up to 20 seconds. Where it has, the migration has succeeded, and the domain that is returned belongs
//!   to the new connection. Where it has the domain and does not make up its mind, the source is
//!   left paused, and `whereabouts` is [`Unknown`](MigrateWhereabouts::Unknown). Where it cannot be asked, the source is told to let the domain run on, as libvirt's C library
//!   does at once; the error's `whereabouts` is [`Unknown`](MigrateWhereabouts::Unknown), and locks on the disks have to
//!   keep two from running. So it is with connections that were [opened over](crate::Builder::open_over) the program's own stream.
//! - **The source's connection ends** while the domain is sent: the destination throws away what came, and the source lets the
//!   domain run on. Where all of it had been sent, the source keeps it paused, and is told over a new connection, in the same way,
//!   to resume it.
//! - **Post-copy** is the exception to “never on both”: the domain runs on the destination and needs the source. Where that
//!   breaks it stops, in [parts on both sides](MigrateWhereabouts::PostCopy), until the migration is
//!   [resumed](MigrateOptions::resume_post_copy).
//! - **Daemons older than libvirt 0.9.2** know neither begin nor confirm: their source removes the domain as soon as it is
//!   sent. Where finish fails then, nobody has it running.
//!
//! # Deadlines, and many at once
//!
//! Neither the connections' deadlines for calls nor those of handles are for migrations, which take as long as they take:
//! [`Migration::timeout`] is. One that goes on takes one of the [calls at once](crate::Builder::max_in_flight) of the source's
//! connection for as long. Cancelling needs another: of the default four, leave one free, or open more connections.

mod calls;
mod check;
mod control;
mod managed;
mod options;
mod running;
mod unmanaged;
mod unsure;

use self::{
    check::Way,
    managed::{Managed, failed},
};
use super::{Connection, Domain};

pub use self::{
    options::MigrateOptions,
    running::{MigrateProgress, MigrateUpdates, Migration, RunningMigration},
};
pub use crate::error::{MigrateError, MigrateFault, MigratePhase, MigrateSide, MigrateWhereabouts};

impl Domain {
    /// Moves the domain to the daemon that `destination` is connected to, and returns it as it is there. This client
    /// orchestrates: see the [phases](crate::migration).
    ///
    /// Calls `REMOTE_PROC_DOMAIN_MIGRATE_BEGIN3_PARAMS` (302), `REMOTE_PROC_DOMAIN_MIGRATE_PREPARE3_PARAMS` (303),
    /// `REMOTE_PROC_DOMAIN_MIGRATE_PERFORM3_PARAMS` (305), `REMOTE_PROC_DOMAIN_MIGRATE_FINISH3_PARAMS` (306) and
    /// `REMOTE_PROC_DOMAIN_MIGRATE_CONFIRM3_PARAMS` (307), or what older daemons have instead, C: `virDomainMigrate3`, since
    /// libvirt 1.1.0. Needs `domain:migrate` on the source, and `domain:migrate`, `domain:start` and, for
    /// [`persist_destination`](MigrateOptions::persist_destination), `domain:save` on the destination.
    ///
    /// # Errors
    /// [`Error::Migrate`](crate::Error::Migrate) with what one of the daemons refuses or why there was no answer. It
    /// [is unsupported](crate::Error::is_unsupported) where options contradict each other, or ask for what a daemon lacks:
    /// nothing was begun then.
    ///
    /// # Cancel safety
    /// Once it has begun, dropping the future cancels the migration as [`RunningMigration::cancel`] does: a task of its own
    /// sees to it that the domain stays on the source, and that nothing of it is left on the destination.
    #[doc(alias = "virDomainMigrate")]
    #[doc(alias = "virDomainMigrate2")]
    #[doc(alias = "virDomainMigrate3")]
    pub fn migrate_to(&self, destination: &Connection, options: impl Into<MigrateOptions>) -> Migration {
        let (domain, destination) = (self.with_timeout(None), destination.clone());
        let options = options.into();
        Migration::new(domain.clone(), async move |control| {
            check::fit_together(&options, Way::Managed)
                .map_err(|error| failed(&domain, MigratePhase::Check, MigrateSide::Source, error))?;
            Managed::check(&domain, &destination, options, &control).await?.migrate().await
        })
    }

    /// Has the source's daemon move the domain to the daemon that `destination`, a connection URI as the source sees it, leads
    /// to. This client talks to the source alone.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_MIGRATE_PERFORM3_PARAMS` (305), or what older daemons have instead, C:
    /// `virDomainMigrateToURI3` with `VIR_MIGRATE_PEER2PEER`, since libvirt 1.1.0. Needs `domain:migrate`.
    ///
    /// # Errors
    /// As [`migrate_to`](Self::migrate_to). A URI that leads the source to itself is refused.
    ///
    /// # Cancel safety
    /// As [`migrate_to`](Self::migrate_to).
    #[doc(alias = "virDomainMigrateToURI")]
    #[doc(alias = "virDomainMigrateToURI2")]
    #[doc(alias = "virDomainMigrateToURI3")]
    pub fn migrate_to_uri(
        &self,
        destination: impl Into<String>,
        options: impl Into<MigrateOptions>,
    ) -> Migration<()> {
        self.migrate_unmanaged(Way::PeerToPeer, destination.into(), options.into())
    }

    /// Has the source's hypervisor move the domain to another hypervisor, at a URI of its own kind, such as `xenmigr://host`.
    /// No daemon is needed there. QEMU's driver does not do this.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_MIGRATE_PERFORM3` (216), or what older daemons have instead, C: `virDomainMigrateToURI3`
    /// without `VIR_MIGRATE_PEER2PEER`, since libvirt 0.7.2. Needs `domain:migrate`.
    ///
    /// # Errors
    /// As [`migrate_to`](Self::migrate_to).
    ///
    /// # Cancel safety
    /// As [`migrate_to`](Self::migrate_to).
    pub fn migrate_directly_to(
        &self,
        uri: impl Into<String>,
        options: impl Into<MigrateOptions>,
    ) -> Migration<()> {
        self.migrate_unmanaged(Way::Direct, uri.into(), options.into())
    }

    fn migrate_unmanaged(&self, way: Way, uri: String, options: MigrateOptions) -> Migration<()> {
        let domain = self.with_timeout(None);
        Migration::new(domain.clone(), async move |control| {
            let fits = check::fit_together(&options, way).and_then(|()| match way {
                Way::PeerToPeer => check::leads_elsewhere(&uri),
                _ => Ok(()),
            });
            fits.map_err(|error| failed(&domain, MigratePhase::Check, MigrateSide::Source, error))?;
            unmanaged::migrate(&domain, way, uri, options, &control).await
        })
    }
}

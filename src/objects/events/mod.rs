//! Events: what happens to domains, networks, storage pools, devices and secrets, as it happens.
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! use libvirt_client::events::{DomainEvent, Event};
//!
//! let mut events = connection.events().domain_lifecycle().domain_block_job2().network_lifecycle().subscribe().await?;
//! while let Some(event) = events.next().await {
//!     match event? {
//!         Event::Domain(DomainEvent::Lifecycle { domain, event, detail }) => {
//!             println!("{} {event} ({detail})", domain.name());
//!         }
//!         Event::Lagged { missed } => println!("{missed} events missed: look at everything again"),
//!         other => println!("{other:?}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Events of one kind of object come in the order in which they happened. Between the reply to a call and the event that
//! tells of it there is no order: either may come first.
//!
//! A subscription holds a bounded number of events that were not read yet ([`Builder::event_queue`]). What does not fit
//! is dropped and counted, and [`Event::Lagged`] says so at its place. Where a supervised connection was lost and restored,
//! [`Event::Gap`] says so.
//!
//! [`Builder::event_queue`]: crate::Builder::event_queue

mod builder;
mod kinds;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use futures_core::Stream;

use super::{Connection, Uuid};
use crate::{
    error::{Error, Result},
    protocol::{qemu, remote},
    rpc::{Notice, RawEvent, Subscription},
};

pub use self::{
    builder::EventsBuilder,
    kinds::{
        ConnectionEvent, DomainEvent, NetworkEvent, NodeDeviceEvent, QemuEvent, SecretEvent, StoragePoolEvent,
    },
};
pub use super::reasons::DomainEventDetail;

pub(in crate::objects) use self::builder::connection_closed;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Event {
    /// It happened to a domain.
    Domain(DomainEvent),
    /// It happened to a network.
    Network(NetworkEvent),
    /// It happened to a storage pool.
    StoragePool(StoragePoolEvent),
    /// It happened to a device of the host.
    NodeDevice(NodeDeviceEvent),
    /// It happened to a secret.
    Secret(SecretEvent),
    /// QEMU reports it.
    Qemu(QemuEvent),
    /// It happened to the daemon's own connection to the hypervisor.
    Connection(ConnectionEvent),
    /// The daemon is newer than this version, which does not know what it means. It was asked for by its number.
    Unknown(RawEvent),
    /// This stream was not read fast enough, and events had to be dropped here: look at everything anew.
    Lagged {
        /// How many events are missing.
        missed: u64,
    },
    /// The [supervised](crate::supervision) connection was lost, and is back with all registrations: what happened in between
    /// was not reported. Look at everything anew; nothing is missing from here on.
    Gap {
        /// When something was last heard of the daemon, as far as is known. If a registration was refused after the gap before,
        /// that gap's time: nothing was reported of it since then.
        since: SystemTime,
    },
}

/// Events as a stream. Dropping it cancels the subscription. It ends after an error that says why the connection was
/// closed. Over a [supervised](crate::supervision) connection it goes on after [`Event::Gap`], and after an error that may
/// follow it: of a registration that the daemon refuses now, or dies of.
#[derive(Debug)]
#[must_use = "dropping the stream cancels the subscription"]
pub struct Events {
    connection: Connection,
    subscription: Subscription,
    /// The domains to tell of, where the daemon does not choose them.
    only: Option<Vec<Uuid>>,
}

impl Events {
    /// Waits for the next event. `None` after the error that ended the stream.
    ///
    /// # Errors
    /// The connection ended, or the daemon sent an event that cannot be understood, after which the stream goes on.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn read(&self, raw: RawEvent) -> Result<Event> {
        match kinds::read(raw.program, raw.procedure, &raw.payload, &self.connection) {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Ok(Event::Unknown(raw)),
            Err(error) => Err(Error::Decode { what: name_of(&raw), cause: Arc::new(error) }),
        }
    }

    fn is_wanted(&self, event: &Event) -> bool {
        match (&self.only, event) {
            (Some(only), Event::Domain(event)) => only.contains(&event.domain().uuid()),
            _ => true,
        }
    }
}

impl Stream for Events {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(notice) = ready!(Pin::new(&mut self.subscription).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            let event = notice.and_then(|notice| match notice {
                Notice::Event(raw) => self.connection.client().observed(self.read(raw)),
                Notice::Lagged { missed } => Ok(Event::Lagged { missed }),
                Notice::Gap { since } => Ok(Event::Gap { since }),
            });
            if event.as_ref().map_or(true, |event| self.is_wanted(event)) {
                return Poll::Ready(Some(event));
            }
        }
    }
}

fn name_of(event: &RawEvent) -> &'static str {
    let known = match event.program == qemu::PROGRAM.number {
        true => qemu::Procedure(event.procedure).info(),
        false => remote::Procedure(event.procedure).info(),
    };
    known.map_or("an event", |procedure| procedure.name)
}

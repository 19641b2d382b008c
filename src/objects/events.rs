//! Events of domains.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::{
    Connection, Domain,
    enums::{DomainEventId, DomainEventType},
};
use crate::{
    error::{Error, Result},
    protocol::{Call, EventMessage, remote},
    rpc::{Family, Notice, RawEvent, Subscription},
    xdr::from_bytes,
};
use std::sync::Arc;

/// What happened to a domain.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DomainEvent {
    /// It was defined, started, suspended, stopped, ….
    Lifecycle {
        /// Which domain.
        domain: Domain,
        /// What happened.
        event: DomainEventType,
        /// Why, by a number that means something else for each kind of event.
        detail: i32,
    },
    /// This stream was not read fast enough, and events had to be dropped here: look at the domains anew.
    Lagged {
        /// How many events are missing.
        missed: u64,
    },
}

/// Events of domains as a stream. Dropping it cancels the subscription. It ends after an error that says why the
/// connection was closed.
#[derive(Debug)]
#[must_use = "dropping the stream cancels the subscription"]
pub struct DomainEvents {
    connection: Connection,
    subscription: Subscription,
}

pub(super) async fn subscribe_lifecycle(connection: &Connection) -> Result<DomainEvents> {
    if !connection.features().event_callback {
        let reason = "the daemon is too old for event subscriptions by callback (libvirt 1.3.3 has them)";
        return Err(Error::Unsupported(reason.to_owned()));
    }
    let arguments =
        remote::ConnectDomainEventCallbackRegisterAnyArgs { event_id: DomainEventId::LIFECYCLE.0, dom: None };
    let cancel = remote::ConnectDomainEventCallbackDeregisterAnyArgs::PROCEDURE;
    let subscription = connection.client().subscribe(arguments, Family::Domain, cancel).await?;
    Ok(DomainEvents { connection: connection.clone(), subscription })
}

impl DomainEvents {
    /// Waits for the next event. `None` after the error that ended the stream.
    ///
    /// # Errors
    /// The connection ended, or the daemon sent an event that cannot be understood, after which the stream goes on.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<DomainEvent>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn event(&self, raw: &RawEvent) -> Result<DomainEvent> {
        let what = remote::DomainEventCallbackLifecycleMsg::PROCEDURE.name;
        let message: remote::DomainEventCallbackLifecycleMsg =
            from_bytes(&raw.payload).map_err(|error| Error::Decode { what, cause: Arc::new(error) })?;
        Ok(DomainEvent::Lifecycle {
            domain: Domain::new(message.msg.dom, &self.connection),
            event: DomainEventType(message.msg.event),
            detail: message.msg.detail,
        })
    }
}

impl Stream for DomainEvents {
    type Item = Result<DomainEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(notice) = ready!(Pin::new(&mut self.subscription).poll_next(cx)) else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(notice.and_then(|notice| match notice {
            Notice::Event(raw) => self.event(&raw),
            Notice::Lagged { missed } => Ok(DomainEvent::Lagged { missed }),
        })))
    }
}

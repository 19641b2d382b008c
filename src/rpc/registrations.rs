//! Registrations for events at the daemon, shared by those who ask for the same events.
//!
//! A daemon refuses a second registration for the same events on one connection, so there is one, and each reader gets
//! copies. It also carries out calls in any order, so a registration waits until the one before it is cancelled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Client,
    client::encode_call,
    events::{Family, Key, Queue},
};
use crate::{
    error::{Error, Result},
    protocol::{Call, ProcedureInfo},
    xdr,
};

/// What to register for: the call that does it, how its events are known, and the call that cancels it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    pub(super) procedure: &'static ProcedureInfo,
    pub(super) frame: Vec<u8>,
    pub(super) family: Family,
    /// What the events are known by, where that is no callback id.
    pub(super) number: Option<i32>,
    cancel: &'static ProcedureInfo,
    /// The arguments of the call that cancels, where that is no callback id.
    cancel_arguments: Option<Bytes>,
}

impl EventSource {
    /// Events that are known by the callback id which the call `arguments` has as its reply. `cancel` is the procedure
    /// that ends the registration; its only argument is the callback id.
    ///
    /// # Errors
    /// The arguments do not fit into the protocol.
    pub fn new<C: Call>(arguments: &C, family: Family, cancel: &'static ProcedureInfo) -> Result<Self> {
        let frame = encode_call(C::PROCEDURE, arguments, 0)?;
        Ok(Self { procedure: C::PROCEDURE, frame, family, number: None, cancel, cancel_arguments: None })
    }

    /// Events that carry no callback id, and are known by the number of their own procedure, `event`. The call `cancel`
    /// ends the registration.
    ///
    /// # Errors
    /// The arguments do not fit into the protocol.
    pub fn without_callback_id<C: Call, D: Call>(
        arguments: &C,
        family: Family,
        event: i32,
        cancel: &D,
    ) -> Result<Self> {
        let encoded = xdr::to_vec(cancel)
            .map_err(|error| Error::Encode { what: D::PROCEDURE.name, cause: Arc::new(error) })?;
        let source = Self::new(arguments, family, D::PROCEDURE)?;
        Ok(Self { number: Some(event), cancel_arguments: Some(encoded.into()), ..source })
    }
}

/// One reader's share in a registration, which is cancelled when the last one is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    client: Client,
    slot: Arc<Slot>,
    key: Key,
    queue: Arc<Queue>,
    cancel: &'static ProcedureInfo,
    cancel_arguments: Bytes,
}

/// What a call registers for. The lock is held while the daemon registers or cancels.
type Slot = tokio::sync::Mutex<State>;

#[derive(Debug, Default)]
struct State {
    /// The callback id, or what the events are known by instead.
    number: Option<i32>,
    readers: usize,
}

impl Registration {
    /// Registers, or takes a share in the registration that is there.
    pub(super) async fn begin(client: Client, source: EventSource, queue: Arc<Queue>) -> Result<Self> {
        let EventSource { family, cancel, cancel_arguments, .. } = source.clone();
        let slot = client.registrations().slot(&source.frame);
        let mut state = slot.lock().await;
        let number = match state.number {
            Some(number) => {
                client.join((family, number), queue.clone()).await?;
                number
            }
            None => client.register(source, queue.clone()).await?,
        };
        *state = State { number: Some(number), readers: state.readers + 1 };
        drop(state);
        let cancel_arguments = match cancel_arguments {
            Some(arguments) => arguments,
            None => Bytes::copy_from_slice(&number.to_be_bytes()),
        };
        Ok(Self { client, slot, key: (family, number), queue, cancel, cancel_arguments })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.client.leave(self.key, self.queue.clone());
        let (unsettled, slot) = (Unsettled::begin(&self.client), self.slot.clone());
        let (cancel, arguments) = (self.cancel, self.cancel_arguments.clone());
        // On a task of its own, so that it waits its turn like every call, whoever drops this and wherever.
        let runtime = self.client.runtime().clone();
        runtime.spawn(async move {
            let mut state = slot.lock().await;
            state.readers = state.readers.saturating_sub(1);
            if state.readers == 0 {
                state.number = None;
                unsettled.client.cancel_registration(cancel, arguments).await;
            }
        });
    }
}

/// A registering or cancelling that is on its way until this is dropped.
pub(super) struct Unsettled {
    client: Client,
}

impl Unsettled {
    pub(super) fn begin(client: &Client) -> Self {
        client.registrations().unsettled.send_modify(|count| *count += 1);
        Self { client: client.clone() }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.client.registrations().unsettled.send_modify(|count| *count -= 1);
    }
}

/// The registrations of a connection, by the bytes of the calls that ask for them.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    slots: Mutex<HashMap<Vec<u8>, Weak<Slot>>>,
    /// How many are on their way, there or back.
    unsettled: watch::Sender<usize>,
}

impl Registrations {
    /// Waits until nothing is being registered or cancelled.
    pub(super) async fn settle(&self) {
        // The sender is ours, so there is always somebody to wait for.
        let _ = self.unsettled.subscribe().wait_for(|count| *count == 0).await;
    }

    fn slot(&self, call: &[u8]) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.strong_count() > 0);
        if let Some(slot) = slots.get(call).and_then(Weak::upgrade) {
            return slot;
        }
        let slot = Arc::default();
        slots.insert(call.to_vec(), Arc::downgrade(&slot));
        slot
    }
}

//! Registrations for events at the daemon, shared by those who ask for the same events.
//!
//! A daemon refuses a second registration for the same events on one connection, so there is one, and each reader gets
//! copies. It also carries out calls in any order, so a registration waits until the one before it is cancelled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{
    Client,
    events::{Family, Key, Queue},
};
use crate::{error::Result, protocol::ProcedureInfo};

/// One reader's share in a registration, which is cancelled when the last one is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    client: Client,
    slot: Arc<Slot>,
    key: Key,
    queue: Arc<Queue>,
    cancel: &'static ProcedureInfo,
}

/// What a call registers for. The lock is held while the daemon registers or cancels.
type Slot = tokio::sync::Mutex<State>;

#[derive(Debug, Default)]
struct State {
    callback: Option<i32>,
    readers: usize,
}

impl Registration {
    /// Registers by the call `frame`, or takes a share in the registration that is there.
    pub(super) async fn begin(
        client: Client,
        procedure: &'static ProcedureInfo,
        frame: Vec<u8>,
        family: Family,
        queue: Arc<Queue>,
        cancel: &'static ProcedureInfo,
    ) -> Result<Self> {
        let slot = client.registrations().slot(&frame);
        let mut state = slot.lock().await;
        let callback = match state.callback {
            Some(callback) => {
                client.join((family, callback), queue.clone()).await?;
                callback
            }
            None => client.register(procedure, frame, family, queue.clone()).await?,
        };
        *state = State { callback: Some(callback), readers: state.readers + 1 };
        drop(state);
        Ok(Self { client, slot, key: (family, callback), queue, cancel })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.client.leave(self.key, self.queue.clone());
        let (client, slot, callback, cancel) =
            (self.client.clone(), self.slot.clone(), self.key.1, self.cancel);
        // On a task of its own, so that it waits its turn like every call, whoever drops this and wherever.
        let runtime = self.client.runtime().clone();
        runtime.spawn(async move {
            let mut state = slot.lock().await;
            state.readers = state.readers.saturating_sub(1);
            if state.readers == 0 {
                state.callback = None;
                client.cancel_registration(cancel, callback).await;
            }
        });
    }
}

/// The registrations of a connection, by the bytes of the calls that ask for them.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    slots: Mutex<HashMap<Vec<u8>, Weak<Slot>>>,
}

impl Registrations {
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

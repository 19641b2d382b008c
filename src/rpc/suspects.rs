//! Registrations that are made again, and that conversations have ended in the middle of: the daemon may die of one of them.
//!
//! Which one it is shows when they are made one by one. It is then left out, so that the others, and calls, have a connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{registrations::EventSource, supervised::MOST_REPEATS};
use crate::error::{CloseReason, Error};

/// The suspects, by the bytes of the calls that register for them.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    losses: Mutex<HashMap<Vec<u8>, Losses>>,
}

#[derive(Debug)]
struct Losses {
    count: u32,
    last: CloseReason,
}

impl Suspects {
    /// Returns how many registrations may be on their way at once.
    pub(super) fn at_once(&self) -> usize {
        if self.lock().is_empty() { usize::MAX } else { 1 }
    }

    /// Takes note that a conversation has ended while `source` was being registered for.
    pub(super) fn add(&self, source: &EventSource, reason: &CloseReason) {
        let mut losses = self.lock();
        let count = losses.get(&source.frame).map_or(0, |losses| losses.count);
        losses.insert(source.frame.clone(), Losses { count: count + 1, last: reason.clone() });
    }

    /// Returns why `source` is not registered for now, if so.
    pub(super) fn refusal(&self, source: &EventSource) -> Option<Error> {
        let losses = self.lock();
        let Losses { last, .. } = losses.get(&source.frame).filter(|losses| losses.is_too_many())?;
        Some(Error::Interrupted {
            what: source.procedure.name,
            may_have_run: true,
            cause: Arc::new(Error::Closed(last.clone())),
        })
    }

    /// Says that everything is registered for that was not left out. What was is tried once more the next time.
    pub(super) fn settle(&self) {
        self.lock().retain(|_, losses| {
            let left_out = losses.is_too_many();
            losses.count = MOST_REPEATS;
            left_out
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Losses>> {
        // Nothing that holds the lock can panic; a poisoned map would still be whole.
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Losses {
    fn is_too_many(&self) -> bool {
        self.count > MOST_REPEATS
    }
}

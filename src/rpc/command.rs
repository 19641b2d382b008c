//! What handles ask the driver for, and what it tells them.

use std::{fmt, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    KeepaliveConfig, Reply,
    events::{Family, Key},
    link::Link,
    queue::Queue,
    secrets::Encoded,
    stream::Outgoing,
};
use crate::{
    error::{CloseReason, Error},
    protocol::{ProcedureInfo, frame::Descriptor},
};

/// What handles ask the driver for.
pub(super) enum Command {
    Call(CallCommand),
    Keepalive(KeepaliveConfig),
    /// One more reader of a registration's events.
    Join {
        key: Key,
        queue: Arc<Queue>,
        joined: oneshot::Sender<()>,
    },
    /// One less.
    Leave {
        key: Key,
        queue: Arc<Queue>,
    },
    /// Something to write in a data stream.
    Send {
        link: Arc<Link>,
        outgoing: Outgoing,
    },
    /// Nobody holds a data stream any more.
    Abandon(Arc<Link>),
    /// There is room for data again, or somebody waits for it.
    Resume,
    /// Write what was handed over before, then end.
    Close,
    /// End at once, for this reason.
    Abort(CloseReason),
}

/// A call that waits for its turn.
pub(super) struct Request {
    pub(super) procedure: &'static ProcedureInfo,
    pub(super) frame: Encoded,
    pub(super) descriptors: Vec<Descriptor>,
    /// Where the events go, if it is a registration.
    pub(super) subscribe: Option<Subscriber>,
    /// The data stream that it opens.
    pub(super) stream: Option<Arc<Link>>,
    /// It goes before all that wait for their turn.
    pub(super) out_of_turn: bool,
}

/// Where the events of a registration go, and what they are known by.
pub(super) struct Subscriber {
    pub(super) family: Family,
    /// None for the callback id that the reply has.
    pub(super) number: Option<i32>,
    pub(super) queue: Arc<Queue>,
}

impl Request {
    pub(super) fn new(procedure: &'static ProcedureInfo, frame: Vec<u8>) -> Self {
        let frame = Encoded::new(procedure, frame);
        Self { procedure, frame, descriptors: Vec::new(), subscribe: None, stream: None, out_of_turn: false }
    }
}

/// A call on its way to the driver.
pub(super) struct CallCommand {
    pub(super) procedure: &'static ProcedureInfo,
    pub(super) frame: Encoded,
    pub(super) descriptors: Vec<Descriptor>,
    pub(super) waiter: Waiter,
}

/// Who waits for a reply. It holds the permit until the reply is there, even when the caller has gone: the daemon
/// is busy with the call all the same.
pub(super) struct Waiter {
    pub(super) reply: oneshot::Sender<Result<Reply, Failure>>,
    pub(super) subscribe: Option<Subscriber>,
    pub(super) stream: Option<Arc<Link>>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Waiter {
    /// Tells whether anybody waits for the reply: whoever has made the call, or those whose turn comes after it.
    pub(super) fn is_awaited(&self) -> bool {
        let is_last_permit = |permit: &OwnedSemaphorePermit| permit.semaphore().available_permits() == 0;
        !self.reply.is_closed()
            || self.subscribe.is_some()
            || self.permit.as_ref().is_some_and(is_last_permit)
    }

    /// Says that the connection has ended.
    pub(super) fn fail(self, reason: &CloseReason, sent: Sent) {
        let _ = self.reply.send(Err(Failure::Lost { reason: reason.clone(), sent }));
    }
}

/// How much of a call was written before the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sent {
    /// Nothing.
    Nothing,
    /// A part. The daemon has not carried it out, but it may be what it has ended the connection for.
    Partly,
    /// All of it. The daemon may have carried it out.
    Wholly,
}

/// Why a call has no reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// The daemon said so, or it was found here.
    Error(Error),
    /// The connection ended before there was one.
    Lost {
        /// Why.
        reason: CloseReason,
        /// What the daemon may have of the call.
        sent: Sent,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Lost { reason, .. } => Error::Closed(reason.clone()).fmt(f),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Error(error) => error,
            Failure::Lost { reason, .. } => Self::Closed(reason),
        }
    }
}

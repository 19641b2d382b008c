//! How a connection is closed.

use std::time::Duration;

use tracing::{Instrument, Span};

use crate::{
    error::{CloseReason, Error, Result},
    protocol::Call,
    rpc::{Client, expecting},
};

/// How long the daemon may take to answer to goodbye, and before that to what is being subscribed to or cancelled.
const GOODBYE: Duration = Duration::from_secs(5);

/// Calls what says goodbye to the daemon, and ends the connection whether it answers or not.
pub(super) async fn goodbye<C: Call<Reply = ()> + 'static>(client: &Client, call: C) -> Result<()> {
    // On a task of its own: a connection that has begun to leave must get to the end of it.
    let leaving = leave(client.clone(), call).instrument(Span::current());
    client.runtime().spawn(leaving).await.unwrap_or_else(|_| Err(Error::Closed(CloseReason::Runtime)))
}

async fn leave<C: Call<Reply = ()>>(client: Client, call: C) -> Result<()> {
    let is_ours = |error: &Error| matches!(error, Error::Closed(CloseReason::Client) | Error::Timeout { .. });
    client.begin_leaving();
    // A libvirtd 9.0.0 that cancels and closes at the same time has been seen to crash.
    let _ = tokio::time::timeout(GOODBYE, client.settle()).await;
    let said = expecting(is_ours, client.with_timeout(GOODBYE).call_out_of_turn(call)).await;
    client.close().await;
    match said {
        Err(error) if !is_ours(&error) => Err(error),
        _ => Ok(()),
    }
}

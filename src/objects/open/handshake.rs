//! What is said first over a new connection: who we are, and the opening calls.

use std::{future::poll_fn, task::Poll};

use tracing::Span;

use super::{Deadline, login::Login};
use crate::{
    error::{Error, Result},
    objects::{
        connection::{Builder, Connection, Feature, Features},
        events::connection_closed,
    },
    protocol::remote,
    rpc::{Client, expecting},
};

/// `VIR_CONNECT_RO`.
const READ_ONLY: u32 = 1;

/// Says hello: authentication, keepalive, open, features, in the order that libvirt's own client keeps.
pub(super) async fn handshake(
    builder: &Builder,
    client: Client,
    name: Option<String>,
    uri: Option<String>,
    login: &Login<'_>,
    deadline: Deadline,
) -> Result<Connection> {
    // The deadline for opening is for all of this; the one for calls is for the user's.
    let (user, client) = (client.clone(), client.with_timeout(None));
    // In boxes: a future that waits for another has room for it twice, and here are many in each other.
    let offers = Box::pin(login.offers(&client));
    let offered = deadline.limit_silence("asking how to authenticate", offers).await?;
    deadline.limit("authentication", Box::pin(login.authenticate(&client, &offered, deadline))).await?;
    deadline.limit(OPENING, Box::pin(introduce(builder, user, client, name, uri, deadline))).await
}

const OPENING: &str = "opening the connection";

async fn introduce(
    builder: &Builder,
    user: Client,
    client: Client,
    name: Option<String>,
    uri: Option<String>,
    deadline: Deadline,
) -> Result<Connection> {
    let flags = if builder.read_only { READ_ONLY } else { 0 };
    // Both at once: the daemon itself answers the first, whatever becomes of the second. An empty name lets it choose its
    // driver; without one it refuses to open.
    let name = Some(name.unwrap_or_default());
    let opening = client.call(remote::ConnectOpenArgs { name, flags });
    both(watch(builder, &client, deadline), opening).await?;

    let ((event_callback, typed_param_string), (close_callback, ())) = both(
        both(
            has_feature(&client, Feature::REMOTE_EVENT_CALLBACK),
            has_feature(&client, Feature::TYPED_PARAM_STRING),
        ),
        both(has_feature(&client, Feature::REMOTE_CLOSE_CALLBACK), ask_for_its_end(&client)),
    )
    .await?;
    let features = Features { event_callback, typed_param_string, close_callback };
    let uri = match uri {
        Some(uri) => uri,
        None => {
            let uri = client.call(remote::ConnectGetUriArgs).await?.uri;
            Span::current().record("uri", &uri);
            uri
        }
    };
    tracing::debug!(?features, "connection opened");
    Ok(Connection::new(user, uri, features))
}

/// Watches whether the daemon lives, if it and the builder are for it. While the connection is still being opened: the
/// driver may take its time, and nothing else may limit that.
async fn watch(builder: &Builder, client: &Client, deadline: Deadline) -> Result<()> {
    // The question alone makes the daemon ask for ours, which it would not get while reading is stopped.
    let Some(config) = builder.keepalive.filter(|config| !config.interval.is_zero()) else { return Ok(()) };
    let asking = has_feature(client, Feature::PROGRAM_KEEPALIVE);
    if deadline.limit_silence(OPENING, asking).await? {
        client.start_keepalive(config);
    }
    Ok(())
}

/// Asks the daemon to tell of the end of its own connection to the hypervisor, which then is the end of ours. Without
/// waiting for its answer whether it can: if not, it refuses.
async fn ask_for_its_end(client: &Client) -> Result<()> {
    match client.keep_registered(connection_closed()?).await {
        Err(Error::Remote(error)) => {
            tracing::debug!(%error, "the daemon will not tell of the end of its connection to the hypervisor");
            Ok(())
        }
        other => other,
    }
}

/// Waits for two calls that are on their way at the same time, until both have succeeded or one has failed. (tokio has a macro
/// for it, behind a feature that brings five more crates.)
async fn both<A, B>(
    first: impl Future<Output = Result<A>>,
    second: impl Future<Output = Result<B>>,
) -> Result<(A, B)> {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    let (mut left, mut right) = (None, None);
    poll_fn(|cx| {
        if left.is_none() {
            left = ready_value(first.as_mut().poll(cx)).transpose()?;
        }
        if right.is_none() {
            right = ready_value(second.as_mut().poll(cx)).transpose()?;
        }
        match (left.take(), right.take()) {
            (Some(left), Some(right)) => Poll::Ready(Ok((left, right))),
            (one, other) => {
                (left, right) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

fn ready_value<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Asks whether the daemon, or the driver behind it, has a feature. Old ones do not know the question.
pub(in crate::objects) async fn supports(client: &Client, feature: Feature) -> Result<bool> {
    expecting(Error::is_unsupported, has_feature(client, feature)).await
}

async fn has_feature(client: &Client, feature: Feature) -> Result<bool> {
    match client.call(remote::ConnectSupportsFeatureArgs { feature: feature.0 }).await {
        Ok(answer) => Ok(answer.supported != 0),
        Err(error) if error.is_unsupported() => Ok(false),
        Err(error) => Err(error),
    }
}

//! The agent, which signs with keys that it does not give away.

use std::{io, path::Path};

use russh::keys::{
    Certificate, HashAlg, PublicKey,
    agent::{AgentIdentity, AgentSessionBinding, client::AgentClient},
};

/// A connection to an agent.
pub(super) struct Agent {
    client: AgentClient<Stream>,
}

/// One type, and not a trait object of russh's, which could not be shared between threads, and with it no login.
#[cfg(unix)]
type Stream = tokio::net::UnixStream;
#[cfg(not(unix))]
type Stream = tokio::io::DuplexStream;

/// A key that an agent holds.
#[derive(Clone, Debug)]
pub(super) struct AgentKey {
    pub(super) public: PublicKey,
    pub(super) certificate: Option<Certificate>,
    pub(super) comment: String,
}

impl Agent {
    /// Connects to the agent's socket.
    #[cfg(unix)]
    pub(super) async fn connect(socket: &Path) -> io::Result<Self> {
        let stream = tokio::net::UnixStream::connect(socket).await?;
        Ok(Self { client: AgentClient::connect(stream) })
    }

    #[cfg(not(unix))]
    pub(super) async fn connect(_: &Path) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no sockets for agents"))
    }

    /// Tells the agent whom its keys will be used with: some of them may be for certain hosts only. Old agents do not know
    /// the question.
    pub(super) async fn bind(&mut self, session: Option<&AgentSessionBinding>) {
        if let Some(session) = session
            && let Err(error) = self.client.bind_session(session, false).await
        {
            tracing::debug!(%error, "the agent does not know about sessions");
        }
    }

    /// Lists the keys.
    pub(super) async fn keys(&mut self) -> Result<Vec<AgentKey>, String> {
        let identities = self.client.request_identities().await.map_err(|error| error.to_string())?;
        let keys = identities.into_iter().map(|identity| match identity {
            AgentIdentity::PublicKey { key, comment } => AgentKey { public: key, certificate: None, comment },
            AgentIdentity::Certificate { certificate, comment } => AgentKey {
                public: PublicKey::new(certificate.public_key().clone(), ""),
                certificate: Some(certificate),
                comment,
            },
        });
        Ok(keys.collect())
    }

    /// Returns the message with the signature of one of the keys after it.
    pub(super) async fn sign(
        &mut self,
        key: &AgentKey,
        hash: Option<HashAlg>,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        let comment = String::new();
        // An agent knows what it holds by the whole of it.
        let identity = match key.certificate.clone() {
            Some(certificate) => AgentIdentity::Certificate { certificate, comment },
            None => AgentIdentity::PublicKey { key: key.public.clone(), comment },
        };
        let signed = self.client.sign_request(&identity, hash, message).await;
        signed.map_err(|error| format!("the agent does not sign with it: {error}"))
    }
}

//! What only the user knows: names, passwords, passphrases, and whether a host key is the right one.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use zeroize::Zeroizing;

use crate::error::phase;

/// Something that is asked of the user while a connection is opened: see
/// [`Builder::credentials`](crate::Builder::credentials).
///
/// What the URI or libvirt's `auth.conf` tells is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CredentialRequest {
    /// What is asked for.
    pub kind: CredentialKind,
    /// What it is for: `libvirt` for the daemon's own authentication (SASL), `ssh` for the way to it.
    pub service: &'static str,
    /// The host that it is for, as the URI has it; `localhost` where it has none.
    pub host: String,
    /// The user that it is for, where that is known already.
    pub user: Option<String>,
    /// A question to show, in English or in the server's own words.
    pub prompt: String,
    /// Whether the answer may be seen while it is typed.
    pub echo: bool,
    /// How often this was asked before, in vain, while the same connection was opened: 0 the first time.
    pub attempt: u32,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CredentialKind {
    /// The name of the user to act as (SASL's authorization identity).
    Username,
    /// The name that the password belongs to (SASL's authentication identity). Most often the only name there is.
    AuthorizationName,
    /// A password.
    Password,
    /// The realm of the name.
    Realm,
    /// What a private key's file is encrypted with.
    Passphrase,
    /// The answer to a question of the server, as of keyboard-interactive authentication.
    Challenge,
    /// Whether a host key is the host's: `y` or `yes` accepts it.
    HostKey,
}

impl CredentialRequest {
    /// Makes a request for something that is to stay hidden, with a prompt that names the host; for tests of a program's
    /// callback, too.
    #[must_use]
    pub fn new(kind: CredentialKind, service: &'static str, host: impl Into<String>) -> Self {
        let host = host.into();
        Self {
            kind,
            service,
            user: None,
            prompt: format!("{kind} for {service} on {host}"),
            echo: matches!(
                kind,
                CredentialKind::Username | CredentialKind::AuthorizationName | CredentialKind::Realm
            ),
            attempt: 0,
            host,
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Username => "user name",
            Self::AuthorizationName => "authentication name",
            Self::Password => "password",
            Self::Realm => "realm",
            Self::Passphrase => "passphrase",
            Self::Challenge => "answer",
            Self::HostKey => "host key",
        })
    }
}

/// A text that is not shown and is overwritten in memory when it is dropped: the answer to a [`CredentialRequest`].
///
/// ```
/// use libvirt_client::auth::Secret;
///
/// let secret = Secret::from("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where credentials come from: what is known, and then a function of the user's, or nobody. Cheap to clone.
#[derive(Clone, Default)]
pub struct Credentials {
    known: Option<Arc<Know>>,
    ask: Option<Arc<Ask>>,
}

type Know = dyn Fn(&CredentialRequest) -> Option<Secret> + Send + Sync;
type Ask = dyn Fn(CredentialRequest) -> Answer + Send + Sync;
type Answer = Pin<Box<dyn Future<Output = Option<Secret>> + Send>>;

impl Credentials {
    /// Asks `ask`, which answers with `None` where it has no answer.
    pub fn new<F>(ask: impl Fn(CredentialRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Secret>> + Send + 'static,
    {
        Self { known: None, ask: Some(Arc::new(move |request| Box::pin(ask(request)))) }
    }

    /// Asks nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Looks `known` up before anybody is asked: what a file tells. What turned out to be wrong is not looked up again.
    #[must_use]
    pub fn with_known(
        self,
        known: impl Fn(&CredentialRequest) -> Option<Secret> + Send + Sync + 'static,
    ) -> Self {
        Self { known: Some(Arc::new(known)), ..self }
    }

    /// Asks nobody any more; what is known stays.
    #[must_use]
    pub fn without_asking(self) -> Self {
        Self { ask: None, ..self }
    }

    /// Returns the answer to what is known, without asking anybody.
    #[must_use]
    pub fn known(&self, request: &CredentialRequest) -> Option<Secret> {
        let known = self.known.as_ref().filter(|_| request.attempt == 0)?;
        known(request)
    }

    /// Returns what is known, or asks; `None` if there is nobody to ask, or no answer.
    pub async fn ask(&self, request: CredentialRequest) -> Option<Secret> {
        if let Some(known) = self.known(&request) {
            return Some(known);
        }
        let ask = self.ask.as_ref()?;
        tracing::debug!(kind = %request.kind, service = request.service, host = request.host, "asking for credentials");
        phase::during("asking the user for credentials", ask(request)).await
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("known", &self.known.is_some())
            .field("ask", &self.ask.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_there_is_asked() {
        let asked = Credentials::new(|request| async move {
            (request.kind == CredentialKind::Password).then(|| Secret::from(request.host))
        });
        let password = CredentialRequest::new(CredentialKind::Password, "libvirt", "example.com");
        assert_eq!(password.prompt, "password for libvirt on example.com");
        assert!(!password.echo);
        assert_eq!(asked.ask(password.clone()).await.unwrap().expose(), "example.com");
        let realm = CredentialRequest::new(CredentialKind::Realm, "libvirt", "example.com");
        assert!(asked.clone().ask(realm).await.is_none());
        assert!(Credentials::none().ask(password).await.is_none());
    }

    #[tokio::test]
    async fn what_is_known_is_not_asked_unless_it_was_wrong() {
        let credentials = Credentials::new(async |_| Some("asked".into()))
            .with_known(|request| (request.kind == CredentialKind::Password).then(|| "known".into()));
        let mut request = CredentialRequest::new(CredentialKind::Password, "libvirt", "localhost");
        assert_eq!(credentials.ask(request.clone()).await.unwrap().expose(), "known");
        request.attempt = 1;
        assert!(credentials.known(&request).is_none());
        assert_eq!(credentials.ask(request).await.unwrap().expose(), "asked");
        let name = CredentialRequest::new(CredentialKind::Username, "libvirt", "localhost");
        assert!(credentials.known(&name).is_none());
        assert_eq!(credentials.ask(name).await.unwrap().expose(), "asked");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let secret = Secret::from("hunter2");
        let held = Credentials::new(move |_| std::future::ready(Some(secret.clone())));
        let shown = format!("{:?} {held:?} {:?}", Secret::from("hunter2"), Credentials::none());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

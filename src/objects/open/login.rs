//! Who we are: the authentication that a daemon asks for.

use super::Deadline;
use crate::{
    auth::{self, Channel, Credentials, Method},
    error::{Error, ErrorCode, Result, phase},
    protocol::remote,
    rpc::Client,
    uri::{Plan, Route, Transport, Uri},
};

/// What authentication needs to know.
pub(super) struct Login<'a> {
    /// What the URI's `auth` parameter asks for.
    asked: Option<&'a str>,
    /// The host that the URI names.
    host: &'a str,
    /// The user that the URI names.
    user: Option<&'a str>,
    channel: Channel,
    credentials: &'a Credentials,
}

impl<'a> Login<'a> {
    pub(super) fn new(plan: &'a Plan, credentials: &'a Credentials) -> Self {
        let uri = plan.uri.as_ref();
        Self {
            asked: plan.auth.as_deref(),
            host: uri.and_then(|uri| uri.host.as_deref()).unwrap_or(LOCALHOST),
            user: uri.and_then(|uri| uri.user.as_deref()).filter(|_| !is_for_the_way(&plan.route)),
            channel: match (&plan.route, uri.map(Uri::effective_transport)) {
                // What a program of the user's does with the bytes nobody knows. libvirt's own client does not trust it, either.
                (Route::Tcp(_), _) | (_, Some(Transport::Ext)) => Channel::Open,
                _ => Channel::Private,
            },
            credentials,
        }
    }

    /// Over a stream that the program has made.
    pub(super) fn over_stream(credentials: &'a Credentials) -> Self {
        Self { asked: None, host: LOCALHOST, user: None, channel: Channel::Private, credentials }
    }

    /// Asks what authentication the daemon takes. Never left out: one that uses polkit lets root in by this very call.
    pub(super) async fn offers(&self, client: &Client) -> Result<Vec<Method>> {
        match client.call(remote::AuthListArgs).await {
            Ok(list) => Ok(list.types.iter().map(|kind| Method::from(kind.0)).collect()),
            Err(error) if error.code() == Some(ErrorCode::NO_SUPPORT) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Proves to the daemon who we are, as far as it asks. People may take their time; the daemon may not.
    pub(super) async fn authenticate(
        &self,
        client: &Client,
        offered: &[Method],
        deadline: Deadline,
    ) -> Result<()> {
        let method = auth::choose(offered, self.asked)?;
        let Self { host, user, channel, credentials, .. } = self;
        tracing::debug!(%method, host, user, ?channel, ?credentials, "authenticating");
        match method {
            Method::Sasl => self.sasl(client, deadline).await,
            Method::Polkit => {
                match phase::during(POLKIT, client.call(remote::AuthPolkitArgs)).await?.complete {
                    0 => Err(Error::Auth("polkit did not finish the authentication".to_owned())),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// The daemon may ask somebody there.
const POLKIT: &str = "the authentication by polkit";

/// The host of URIs that name none.
const LOCALHOST: &str = "localhost";

/// Tells whether the URI's user is the one who logs in to the host, and not the daemon's.
fn is_for_the_way(route: &Route) -> bool {
    matches!(route, Route::Ssh(_) | Route::Command(_))
}

#[cfg(not(feature = "sasl"))]
impl Login<'_> {
    async fn sasl(&self, _: &Client, _: Deadline) -> Result<()> {
        // It is not chosen.
        Err(Error::Auth("this client was built without its feature sasl".to_owned()))
    }
}

#[cfg(feature = "sasl")]
mod sasl {
    use zeroize::Zeroize;

    use super::{Deadline, Login};
    use crate::{
        auth::{
            CredentialKind, CredentialRequest, Secret,
            sasl::{Exchange, Identity, Mechanism, Next},
        },
        error::{Error, ErrorCode, Result, phase},
        protocol::{Call, ProcedureInfo, remote},
        rpc::Client,
        xdr::{Encode, EncodeError, Writer},
    };

    /// The service that credentials are for, as in `[auth-libvirt-HOST]` of auth.conf.
    const SERVICE: &str = "libvirt";

    const INIT: &str = "asking for the mechanisms of SASL";
    const START: &str = "the first step of the authentication by SASL";
    const STEP: &str = "a further step of the authentication by SASL";
    const ANSWER: &str = "our answer to the daemon's step of the authentication by SASL";

    impl Login<'_> {
        /// Has the exchange of RFC 4422 with the daemon (`AUTH_SASL_INIT`, `AUTH_SASL_START`, `AUTH_SASL_STEP`).
        pub(super) async fn sasl(&self, client: &Client, deadline: Deadline) -> Result<()> {
            let asking = client.call(remote::AuthSaslInitArgs);
            let offered = deadline.limit_silence(INIT, asking).await?.mechlist;
            let asked = self.asked.and_then(|asked| asked.split_once('.')).map(|(_, mechanism)| mechanism);
            let mechanism = Mechanism::choose(&offered, asked, self.channel)?;
            let identity = self.identity(mechanism).await?;
            tracing::debug!(%mechanism, offered, name = identity.name, "the exchange begins");
            let who = Who { mechanism, name: identity.name.clone() };

            let (mut exchange, first) = Exchange::begin(mechanism, identity)?;
            let (nil, data) = to_wire(first);
            let call = remote::AuthSaslStartArgs { mech: mechanism.name().to_owned(), nil, data };
            let started = deadline.limit_silence(START, client.call(Overwritten(call))).await;
            let started = started.map_err(|error| who.refused(error, Stage::Name))?;
            let mut answer = (started.complete, started.nil, started.data);
            loop {
                let (complete, nil, data) = answer;
                let message = (nil == 0).then_some(data);
                let next;
                (exchange, next) = answered(exchange, complete != 0, message).await?;
                let Next::Send(message) = next else { return Ok(()) };
                let (nil, data) = to_wire(message);
                let call = remote::AuthSaslStepArgs { nil, data };
                let stepped = deadline.limit_silence(STEP, client.call(Overwritten(call))).await;
                let stepped = stepped.map_err(|error| who.refused(error, Stage::Password))?;
                answer = (stepped.complete, stepped.nil, stepped.data);
            }
        }

        /// Finds out who we are, from what is known, from the URI, and from the user.
        async fn identity(&self, mechanism: Mechanism) -> Result<Identity> {
            let known = |kind| self.credentials.known(&self.request(kind));
            let user = known(CredentialKind::Username).map(|user| user.expose().to_owned());
            let mut identity = Identity::default();
            if !mechanism.needs_password() {
                identity.acting_as = user;
                return Ok(identity);
            }
            let name = match (known(CredentialKind::AuthorizationName), user, self.user) {
                (Some(name), user, _) => {
                    identity.acting_as = user.filter(|user| user != name.expose());
                    name
                }
                // Files that name only a user mean the one whose password is there.
                (None, Some(user), _) => user.into(),
                (None, None, Some(user)) => user.into(),
                (None, None, None) => self.ask(CredentialKind::AuthorizationName, mechanism, None).await?,
            };
            identity.name = Some(name.expose().to_owned());
            identity.password =
                Some(self.ask(CredentialKind::Password, mechanism, identity.name.clone()).await?);
            Ok(identity)
        }

        async fn ask(
            &self,
            kind: CredentialKind,
            mechanism: Mechanism,
            user: Option<String>,
        ) -> Result<Secret> {
            let mut request = self.request(kind);
            if let Some(user) = &user {
                request.prompt = format!("password of {user} for libvirt on {}", self.host);
            }
            request.user = user;
            self.credentials.ask(request).await.ok_or_else(|| {
                Error::Auth(format!(
                    "the daemon asks for {mechanism}, and there is no {kind}: put one into auth.conf for                      [auth-{SERVICE}-{}], or answer to Builder::credentials",
                    self.host
                ))
            })
        }

        fn request(&self, kind: CredentialKind) -> CredentialRequest {
            CredentialRequest::new(kind, SERVICE, self.host)
        }
    }

    /// Whom the daemon refuses.
    struct Who {
        mechanism: Mechanism,
        name: Option<String>,
    }

    /// What the daemon has seen when it refuses.
    enum Stage {
        /// The first message: by SCRAM nothing but the name.
        Name,
        Password,
    }

    impl Who {
        /// Daemons refuse whatever it is by the same words, so that nobody can try out names. How far it went tells more.
        fn refused(&self, error: Error, stage: Stage) -> Error {
            let (Some(ErrorCode::AUTH_FAILED), Some(remote)) = (error.code(), error.remote()) else {
                return error;
            };
            let mechanism = self.mechanism;
            let said = remote.message.as_deref().unwrap_or("no reason given");
            let reason = match (&self.name, stage) {
                (Some(name), Stage::Name) if mechanism != Mechanism::Plain => format!(
                    "the daemon has no user {name:?} with a password for {mechanism}, or does not let it in"
                ),
                (Some(name), Stage::Name) => {
                    format!("the daemon refuses the name {name:?} or its password, by {mechanism}")
                }
                (Some(name), Stage::Password) => {
                    format!("the daemon refuses the password of {name:?}, by {mechanism}")
                }
                (None, _) => format!("the daemon refuses us by {mechanism}"),
            };
            Error::Auth(format!("{reason} ({said})"))
        }
    }

    /// Goes on with the exchange beside the runtime's tasks: with SCRAM the daemon may ask for half a second's work.
    async fn answered(
        mut exchange: Exchange,
        complete: bool,
        message: Option<Vec<u8>>,
    ) -> Result<(Exchange, Next)> {
        let working = move || {
            let next = exchange.answered(complete, message.as_deref())?;
            Ok((exchange, next))
        };
        phase::aside(ANSWER, working).await?
    }

    /// A call whose message is overwritten in memory once it was handed over.
    struct Overwritten<C: Said>(C);

    /// A call that carries a message of the exchange.
    trait Said: Call {
        fn message(&mut self) -> &mut [u8];
    }

    impl Said for remote::AuthSaslStartArgs {
        fn message(&mut self) -> &mut [u8] {
            &mut self.data
        }
    }

    impl Said for remote::AuthSaslStepArgs {
        fn message(&mut self) -> &mut [u8] {
            &mut self.data
        }
    }

    impl<C: Said> Call for Overwritten<C> {
        type Reply = C::Reply;
        const PROCEDURE: &'static ProcedureInfo = C::PROCEDURE;
    }

    impl<C: Said> Encode for Overwritten<C> {
        fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
            self.0.encode(writer)
        }
    }

    impl<C: Said> Drop for Overwritten<C> {
        fn drop(&mut self) {
            self.0.message().zeroize();
        }
    }

    /// A message that is missing is marked, since it is not the same as an empty one.
    fn to_wire(message: Option<Vec<u8>>) -> (i32, Vec<u8>) {
        match message {
            Some(data) => (0, data),
            None => (1, Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::{Environment, NoFiles, Options, System};

    #[test]
    fn passwords_are_for_ways_that_are_known_to_hide_them() {
        let (files, credentials) = (NoFiles, Credentials::none());
        let environment = Environment::new(System::Linux, 0, &files);
        for (uri, expected) in [
            ("qemu:///system", Channel::Private),
            ("qemu+ssh://host/system?command=/bin/ssh", Channel::Private),
            ("qemu+tcp://host/system", Channel::Open),
            ("qemu+ext:///system?command=/bin/tunnel", Channel::Open),
        ] {
            let plan = Plan::new(uri, Options::default(), &environment).unwrap();
            assert_eq!(Login::new(&plan, &credentials).channel, expected, "{uri}");
        }
    }
}

//! The exchange of messages by one mechanism.

use std::fmt;

use rsasl::{
    callback::{Context, Request, SessionCallback, SessionData},
    mechanisms::anonymous::AnonymousToken,
    prelude::{Mechname, SASLClient, SASLConfig, Session, SessionError, State},
    property::{AuthId, AuthzId, Password},
};
use zeroize::Zeroize;

use super::Mechanism;
use crate::{
    auth::Secret,
    error::{Error, Result},
};

/// More messages than this need no mechanism of ours: SCRAM has two after the first.
const MOST_ROUNDS: u32 = 8;

/// More work than this is not done for a daemon, or for who pretends to be one. It is some half a second's.
const MOST_ITERATIONS: u32 = 1_000_000;

/// As much as the protocol lets us say at once (`REMOTE_AUTH_SASL_DATA_MAX`).
const MOST_SAID: usize = 65_536;

/// Who we are.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Identity {
    /// The name that the password belongs to.
    pub name: Option<String>,
    /// The name of the user to act as, if it is another.
    pub acting_as: Option<String>,
    /// The password.
    pub password: Option<Secret>,
}

/// The exchange: give it what the daemon answers, send what it says, until it is done.
///
/// A message may be missing (`None`), which is not the same as an empty one.
pub struct Exchange {
    mechanism: Mechanism,
    /// `None` once our side has all it wants, or has failed.
    session: Option<Session>,
    failed: bool,
    rounds: u32,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Send this message, and hand over the answer.
    Send(Option<Vec<u8>>),
    /// Nothing: each side is content with the other.
    Done,
}

impl Exchange {
    /// Starts the exchange. Returns it with the message to start with.
    ///
    /// # Errors
    /// [`Error::Auth`] for names and passwords that the mechanism has no form for.
    pub fn begin(mechanism: Mechanism, identity: Identity) -> Result<(Self, Option<Vec<u8>>)> {
        let config = SASLConfig::builder().with_defaults().with_callback(Answers(identity));
        let name = Mechname::parse(mechanism.name().as_bytes());
        let session = match (config, name) {
            (Ok(config), Ok(name)) => SASLClient::new(config).start_suggested(&[name]),
            (Err(error), _) => Err(error),
            (_, Err(error)) => return Err(failed(mechanism, &error)),
        };
        let session = session.map_err(|error| failed(mechanism, &error))?;
        let mut exchange = Self { mechanism, session: Some(session), failed: false, rounds: 0 };
        let first = exchange.step(None)?;
        Ok((exchange, first))
    }

    /// Takes the daemon's answer: whether it holds us for who we say we are, and its message.
    ///
    /// # Errors
    /// [`Error::Auth`] if the daemon does not prove that it knows the password where it has to, or if the message is not what
    /// the mechanism says.
    pub fn answered(&mut self, complete: bool, message: Option<&[u8]>) -> Result<Next> {
        self.rounds += 1;
        if self.failed || self.rounds > MOST_ROUNDS {
            return Err(Error::Auth(format!("the exchange by {} does not end", self.mechanism)));
        }
        if self.session.is_none() {
            return match message {
                Some([_, ..]) => Err(self.fail("the daemon goes on though all has been said")),
                _ if complete => Ok(Next::Done),
                _ => Ok(Next::Send(None)),
            };
        }
        if complete && message.is_none() {
            return Err(self.fail(UNPROVEN));
        }
        if let Some(message) = message.filter(|_| self.mechanism.is_scram()) {
            check_scram(message).map_err(|reason| self.fail(&reason))?;
        }
        let answer = self.step(message)?;
        match (complete, self.session.is_none()) {
            (true, true) => Ok(Next::Done),
            (true, false) => Err(self.fail(UNPROVEN)),
            (false, _) => Ok(Next::Send(answer)),
        }
    }

    fn step(&mut self, message: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        // After an error it must not be asked again.
        let Some(mut session) = self.session.take() else { return Ok(None) };
        // It never has to grow, which would leave a copy of it behind.
        let mut answer = Vec::with_capacity(MOST_SAID);
        match session.step(message, &mut answer) {
            Ok(state) => {
                let says_something = state.has_sent_message();
                if matches!(state, State::Running) {
                    self.session = Some(session);
                }
                Ok(says_something.then_some(answer))
            }
            Err(error) => {
                answer.as_mut_slice().zeroize();
                Err(match error {
                    SessionError::MutualAuthenticationFailed => self.fail(UNPROVEN),
                    error => self.fail(&error.to_string()),
                })
            }
        }
    }

    fn fail(&mut self, reason: &str) -> Error {
        self.failed = true;
        self.session = None;
        failed(self.mechanism, &reason)
    }
}

/// Refuses a message of SCRAM that rsasl must not get: it panics where attributes are too short, and does all work that it is
/// asked to do.
fn check_scram(message: &[u8]) -> Result<(), String> {
    for attribute in message.split(|byte| *byte == b',') {
        let [name, b'=', value @ ..] = attribute else {
            return Err("the daemon's message is none of SCRAM's".to_owned());
        };
        if *name != b'i' {
            continue;
        }
        // What is no number, or is longer than one, is not taken for a small one.
        let iterations: Option<u32> = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        if iterations.is_none_or(|iterations| iterations > MOST_ITERATIONS) {
            return Err(format!(
                "the daemon asks for {} iterations; {MOST_ITERATIONS} are done at most",
                String::from_utf8_lossy(value)
            ));
        }
    }
    Ok(())
}

const UNPROVEN: &str =
    "the daemon has not proved that it knows the password: it may be another than it says it is";

fn failed(mechanism: Mechanism, reason: &dyn fmt::Display) -> Error {
    Error::Auth(format!("{mechanism}: {reason}"))
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("mechanism", &self.mechanism)
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send(Some(_)) => "Send(..)",
            Self::Send(None) => "Send(None)",
            Self::Done => "Done",
        })
    }
}

/// What the mechanisms ask for.
struct Answers(Identity);

impl SessionCallback for Answers {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        let Identity { name, acting_as, password } = &self.0;
        if let Some(name) = name {
            request.satisfy::<AuthId>(name)?;
        }
        if let Some(user) = acting_as {
            request.satisfy::<AuthzId>(user)?;
        }
        if let Some(password) = password {
            request.satisfy::<Password>(password.expose().as_bytes())?;
        }
        // Something that the daemon may write into its log.
        request.satisfy::<AnonymousToken>("libvirt-client")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fred() -> Identity {
        Identity { name: Some("fred".into()), acting_as: None, password: Some("secret".into()) }
    }

    fn begin(mechanism: Mechanism) -> (Exchange, String) {
        let (exchange, first) = Exchange::begin(mechanism, fred()).unwrap();
        (exchange, String::from_utf8(first.unwrap()).unwrap())
    }

    #[test]
    fn simple_mechanisms_say_all_at_once() {
        for (mechanism, acting_as, expected) in [
            (Mechanism::Plain, None, "\0fred\0secret"),
            (Mechanism::Plain, Some("root"), "root\0fred\0secret"),
            (Mechanism::External, None, ""),
            (Mechanism::External, Some("root"), "root"),
            (Mechanism::Anonymous, None, "libvirt-client"),
        ] {
            let identity = Identity { acting_as: acting_as.map(str::to_owned), ..fred() };
            let (mut exchange, first) = Exchange::begin(mechanism, identity).unwrap();
            assert_eq!(first.as_deref(), Some(expected.as_bytes()), "{mechanism}");
            // A daemon may want an empty step more.
            assert_eq!(exchange.answered(false, None).unwrap(), Next::Send(None));
            assert_eq!(exchange.answered(true, Some(b"")).unwrap(), Next::Done);
        }
    }

    /// Answers SCRAM's first message, with more of its nonce, salt and a number of iterations.
    fn challenge(first: &str, iterations: &str) -> String {
        let (_, nonce) = first.split_once(",r=").unwrap();
        format!("r={nonce}daemon,s=QSXCR+Q6sek8bf92,i={iterations}")
    }

    #[test]
    fn scram_does_not_send_the_password_and_wants_a_proof() {
        for mechanism in [Mechanism::ScramSha512, Mechanism::ScramSha256, Mechanism::ScramSha1] {
            for (complete, last, reason) in [
                (true, Some("v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), "proved"),
                (true, None, "proved"),
                (true, Some("e=invalid-proof"), "proof"),
                (false, Some("nonsense"), mechanism.name()),
            ] {
                let (mut exchange, first) = begin(mechanism);
                assert!(first.starts_with("n,,n=fred,r=") && !first.contains("secret"), "{first}");
                let challenge = challenge(&first, "1");
                let Next::Send(Some(proof)) = exchange.answered(false, Some(challenge.as_bytes())).unwrap()
                else {
                    panic!("{mechanism} sends no proof")
                };
                let proof = String::from_utf8(proof).unwrap();
                assert!(proof.starts_with("c=biws,r=") && proof.contains(",p="), "{proof}");
                let error = exchange.answered(complete, last.map(str::as_bytes)).unwrap_err();
                assert!(error.is_auth() && error.to_string().contains(reason), "{error}");
                assert!(exchange.answered(true, None).is_err(), "it has failed");
            }
        }
    }

    #[test]
    fn a_daemon_that_lies_or_asks_for_too_much_is_refused() {
        let (mut exchange, first) = begin(Mechanism::ScramSha256);
        assert!(exchange.answered(true, Some(challenge(&first, "1").as_bytes())).is_err(), "no proof yet");
        for iterations in ["0", "-1", "many", "1000001", "4294967295", "99999999999999999999"] {
            let (mut exchange, first) = begin(Mechanism::ScramSha256);
            assert!(
                exchange.answered(false, Some(challenge(&first, iterations).as_bytes())).is_err(),
                "{iterations}"
            );
        }
        for challenge in [
            "r=other,s=QSXCR+Q6sek8bf92,i=1",
            "",
            "r=",
            "m=x",
            "\u{7f}",
            "i=1,r=,s=",
            "r=a,",
            "r=a,s",
            "r=a,s=,i",
            ",,,",
        ] {
            let (mut exchange, _) = begin(Mechanism::ScramSha1);
            assert!(exchange.answered(false, Some(challenge.as_bytes())).is_err(), "{challenge}");
        }
        let (mut exchange, _) = begin(Mechanism::Plain);
        assert!(exchange.answered(true, Some(b"more")).is_err(), "there is nothing more to say");
    }

    #[test]
    fn a_daemon_that_never_ends_is_left() {
        let (mut exchange, _) = begin(Mechanism::Plain);
        let rounds = (0..100).take_while(|_| exchange.answered(false, None).is_ok()).count();
        assert!(rounds < 10, "{rounds}");
    }

    #[test]
    fn what_a_mechanism_has_no_form_for_is_refused() {
        for (name, password) in
            [(None, Some("secret")), (Some("fred"), None), (Some("fr\0ed"), Some("secret"))]
        {
            let identity = Identity {
                name: name.map(str::to_owned),
                acting_as: None,
                password: password.map(Secret::from),
            };
            assert!(Exchange::begin(Mechanism::Plain, identity).unwrap_err().is_auth());
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let (exchange, _) = begin(Mechanism::Plain);
        let shown = format!("{exchange:?} {:?} {:?}", fred(), Next::Send(Some(b"secret".to_vec())));
        assert!(!shown.contains("secret"), "{shown}");
    }
}

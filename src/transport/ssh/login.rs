//! How a user proves who they are.

use std::{io, sync::Arc};

use russh::{
    MethodKind, MethodSet, SendError,
    client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt},
    keys::{Algorithm, Certificate, HashAlg, PublicKey, agent::AgentIdentity},
};
use tokio::sync::watch;

use super::{
    agent::{Agent, AgentKey},
    destination::{Method, Settings},
    handler::Handler,
    key_files::KeyFiles,
    keys::{Asking, Found, KeyFile, describe},
    line::{End, Fate},
};
use crate::{
    auth::{CredentialKind, CredentialRequest, Secret},
    error::{Error, Result},
};

/// Logs in, in the ways that the settings allow and the server wants.
pub(super) async fn login(
    handle: &mut Handle<Handler>,
    settings: &Settings,
    fate: &Fate,
    alive: &mut watch::Receiver<()>,
) -> Result<()> {
    let mut login = Login {
        handle,
        settings,
        fate,
        alive,
        allowed: MethodSet::empty(),
        tried: Vec::new(),
        keys: Keys::default(),
    };
    login.run().await
}

struct Login<'a> {
    handle: &'a mut Handle<Handler>,
    settings: &'a Settings,
    fate: &'a Fate,
    alive: &'a mut watch::Receiver<()>,
    /// What the server said last that it takes.
    allowed: MethodSet,
    /// What was tried and what became of it, for people.
    tried: Vec<String>,
    keys: Keys,
}

/// The keys that are left to try.
#[derive(Default)]
struct Keys {
    agent: Option<Agent>,
    stated: Option<Found>,
    in_agent: Vec<AgentKey>,
    in_files: Vec<Found>,
    certificates: Vec<Certificate>,
    gathered: bool,
}

/// What the server makes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    In,
    /// That was right, and something else is asked for in addition.
    Further,
    Refused,
}

impl Login<'_> {
    async fn run(&mut self) -> Result<()> {
        // Tells what is allowed, and lets in where nothing is asked for.
        let answer = self.handle.authenticate_none(&self.settings.user).await;
        if self.step(answer).await? == Step::In {
            return Ok(());
        }
        loop {
            match self.round().await? {
                Step::In => return Ok(()),
                Step::Further => {}
                Step::Refused => return Err(self.refused()),
            }
        }
    }

    /// Tries all that is left, until something is right.
    async fn round(&mut self) -> Result<Step> {
        if self.allowed.contains(&MethodKind::PublicKey) {
            let step = self.try_stated().await?;
            if step != Step::Refused {
                return Ok(step);
            }
        }
        for (index, method) in self.settings.methods.iter().enumerate() {
            if !self.allowed.contains(&kind(*method)) {
                continue;
            }
            let step = match method {
                Method::Agent => self.try_agent().await?,
                Method::PrivateKey => self.try_files().await?,
                Method::Password => self.try_password().await?,
                Method::KeyboardInteractive => {
                    let rest = self.settings.methods.get(index + 1..).unwrap_or_default();
                    let is_last = !rest.iter().any(|method| self.allowed.contains(&kind(*method)));
                    self.try_questions(is_last).await?
                }
            };
            if step != Step::Refused {
                return Ok(step);
            }
        }
        Ok(Step::Refused)
    }

    /// Tries the key that the user named, before an agent's others use up the attempts.
    async fn try_stated(&mut self) -> Result<Step> {
        self.gather().await?;
        let Some(file) = self.keys.stated.take() else { return Ok(Step::Refused) };
        let public = match &file {
            Found::Key(file) => Some(file.public.key_data().clone()),
            _ => None,
        };
        let held = self.keys.in_agent.iter().position(|key| Some(key.public.key_data()) == public.as_ref());
        match held {
            Some(held) => {
                let key = self.keys.in_agent.remove(held);
                self.try_agent_key(key).await
            }
            None if self.settings.methods.contains(&Method::PrivateKey) => self.try_file(file).await,
            None => Ok(Step::Refused),
        }
    }

    async fn try_agent(&mut self) -> Result<Step> {
        self.gather().await?;
        while !self.keys.in_agent.is_empty() {
            let key = self.keys.in_agent.remove(0);
            let step = self.try_agent_key(key).await?;
            if step != Step::Refused {
                return Ok(step);
            }
        }
        Ok(Step::Refused)
    }

    async fn try_agent_key(&mut self, key: AgentKey) -> Result<Step> {
        let name = match key.comment.is_empty() {
            true => format!("the agent's key {}", describe(&key.public)),
            false => format!("the agent's key {} ({})", describe(&key.public), key.comment),
        };
        let certificates = match &key.certificate {
            Some(certificate) => vec![certificate.clone()],
            None => self.certificates_for(&key.public),
        };
        let held_as_certificate = key.certificate.is_some();
        let public = key.public.clone();
        let mut by = By::Agent(Box::new(key));
        for certificate in certificates {
            let step = self.try_certificate(certificate, &mut by, &name).await?;
            if step != Step::Refused {
                return Ok(step);
            }
        }
        match held_as_certificate {
            true => Ok(Step::Refused),
            false => self.try_key(public, &mut by, &name).await,
        }
    }

    async fn try_files(&mut self) -> Result<Step> {
        self.gather().await?;
        while !self.keys.in_files.is_empty() {
            let file = self.keys.in_files.remove(0);
            let step = self.try_file(file).await?;
            if step != Step::Refused {
                return Ok(step);
            }
        }
        Ok(Step::Refused)
    }

    async fn try_file(&mut self, found: Found) -> Result<Step> {
        let mut file = match found {
            Found::Key(file) => *file,
            Found::Locked(path, text) => match KeyFile::unlock(path.clone(), text, &self.asking()).await {
                Ok(file) => file,
                Err(why) => {
                    self.tried.push(format!("the key {}: {why}", path.display()));
                    return Ok(Step::Refused);
                }
            },
            Found::Missing | Found::Useless(_) => return Ok(Step::Refused),
        };
        let name = format!("the key {} ({})", file.path.display(), describe(&file.public));
        let public = file.public.clone();
        // That of a key that was locked is known only now.
        self.keys.certificates.extend(file.certificate.take());
        let certificates = self.certificates_for(&public);
        let mut by = By::File(Box::new(file));
        for certificate in certificates {
            let step = self.try_certificate(certificate, &mut by, &name).await?;
            if step != Step::Refused {
                return Ok(step);
            }
        }
        self.try_key(public, &mut by, &name).await
    }

    /// Returns the certificates for a key.
    fn certificates_for(&self, key: &PublicKey) -> Vec<Certificate> {
        let mut certificates: Vec<Certificate> = Vec::new();
        for certificate in &self.keys.certificates {
            if certificate.public_key() == key.key_data() && !certificates.contains(certificate) {
                certificates.push(certificate.clone());
            }
        }
        certificates
    }

    async fn try_key(&mut self, key: PublicKey, by: &mut By, name: &str) -> Result<Step> {
        let hash = self.hash(&key.algorithm()).await;
        let (user, mut signer) =
            (self.settings.user.clone(), Signer::new(by, &mut self.keys.agent, self.settings));
        let answer = self.handle.authenticate_publickey_with(user, key, hash, &mut signer).await;
        self.conclude(name, answer).await
    }

    async fn try_certificate(&mut self, certificate: Certificate, by: &mut By, name: &str) -> Result<Step> {
        let hash = self.hash(&certificate.algorithm()).await;
        let name = format!("the certificate {:?} of {name}", certificate.key_id());
        let (user, mut signer) =
            (self.settings.user.clone(), Signer::new(by, &mut self.keys.agent, self.settings));
        let answer = self.handle.authenticate_certificate_with(user, certificate, hash, &mut signer).await;
        self.conclude(&name, answer).await
    }

    /// Notes what became of a key.
    async fn conclude(&mut self, name: &str, answer: Result<AuthResult, SignError>) -> Result<Step> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(SignError::Signing(why)) => {
                self.tried.push(format!("{name}: {why}"));
                return Ok(Step::Refused);
            }
            Err(SignError::Gone) => {
                self.tried.push(format!("{name}: refused"));
                return Err(self.gone().await);
            }
        };
        self.attempt(name, Ok(answer)).await
    }

    /// Takes the server's answer to something, and notes what became of it: before that is known, since an answer may be the
    /// last one that is borne.
    async fn attempt(&mut self, name: &str, answer: Result<AuthResult, russh::Error>) -> Result<Step> {
        self.tried.push(format!("{name}: refused"));
        let step = self.step(answer).await?;
        if step != Step::Refused {
            self.tried.pop();
            self.tried.push(format!("{name}: accepted, but not enough"));
        }
        Ok(step)
    }

    /// With keys of RSA, which hash is signed: never SHA-1, unless the server takes nothing else.
    async fn hash(&self, algorithm: &Algorithm) -> Option<HashAlg> {
        match algorithm {
            Algorithm::Rsa { .. } => {
                let best = self.handle.best_supported_rsa_hash().await.ok().flatten();
                best.unwrap_or(Some(HashAlg::Sha512))
            }
            _ => None,
        }
    }

    async fn try_password(&mut self) -> Result<Step> {
        let mut last: Option<Secret> = None;
        for attempt in 0..self.settings.prompts {
            let prompt = format!("password of {} on {}", self.settings.user, self.settings.host);
            let request = self.request(CredentialKind::Password, prompt, false, attempt);
            let Some(password) = self.settings.credentials.ask(request).await else {
                if attempt == 0 {
                    self.tried.push("a password: nobody gave one".to_owned());
                }
                return Ok(Step::Refused);
            };
            // One who knows only one answer will not find another, and some servers count.
            if last.as_ref().is_some_and(|last| last.expose() == password.expose()) {
                return Ok(Step::Refused);
            }
            let answer = self.handle.authenticate_password(&self.settings.user, password.expose()).await;
            let step = self.attempt("a password", answer).await?;
            if step != Step::Refused {
                return Ok(step);
            }
            last = Some(password);
        }
        Ok(Step::Refused)
    }

    /// Answers questions of the server (`keyboard-interactive`).
    async fn try_questions(&mut self, is_last: bool) -> Result<Step> {
        let mut last: Vec<Secret> = Vec::new();
        for attempt in 0..self.settings.prompts {
            let mut given = Vec::new();
            let (mut asked, mut told_known) = (false, false);
            let mut response = self
                .handle
                .authenticate_keyboard_interactive_start(&self.settings.user, None::<String>)
                .await;
            let step = loop {
                match response {
                    Ok(KeyboardInteractiveAuthResponse::Success) => return Ok(Step::In),
                    Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                        break self
                            .step(Ok(AuthResult::Failure { remaining_methods, partial_success }))
                            .await?;
                    }
                    Ok(KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts }) => {
                        asked |= !prompts.is_empty();
                        let texts = Texts { name: &name, instructions: &instructions, prompts: &prompts };
                        let Some(answers) = self.answer(texts, attempt, &mut told_known).await else {
                            self.tried.push("questions of the server: nobody answered".to_owned());
                            // The server waits for answers; it takes nothing else before it has some.
                            if is_last {
                                return Err(self.refused());
                            }
                            let none = vec![String::new(); prompts.len()];
                            let _ = self.handle.authenticate_keyboard_interactive_respond(none).await;
                            return Ok(Step::Refused);
                        };
                        let texts = answers.iter().map(|answer| answer.expose().to_owned()).collect();
                        given.extend(answers);
                        response = self.handle.authenticate_keyboard_interactive_respond(texts).await;
                    }
                    Err(_) => {
                        self.tried.push("questions of the server: refused".to_owned());
                        return Err(self.gone().await);
                    }
                }
            };
            match step {
                Step::In | Step::Further => {
                    self.tried.push("questions of the server: right, but not enough".to_owned());
                    return Ok(step);
                }
                Step::Refused if !asked => {
                    self.tried.push("questions of the server: it asks none".to_owned());
                    return Ok(step);
                }
                Step::Refused => self.tried.push("questions of the server: refused".to_owned()),
            }
            let same = |(one, other): (&Secret, &Secret)| one.expose() == other.expose();
            if given.len() == last.len() && given.iter().zip(&last).all(same) {
                return Ok(Step::Refused);
            }
            last = given;
        }
        Ok(Step::Refused)
    }

    /// Answers some questions: the first one for a password by what is known of it, as a file may tell it, and the others by
    /// whoever can be asked. What else is hidden is something else, such as a code that is good for once.
    async fn answer(&self, texts: Texts<'_>, attempt: u32, told_known: &mut bool) -> Option<Vec<Secret>> {
        let mut answers = Vec::new();
        for prompt in texts.prompts {
            let parts = [texts.name, texts.instructions, prompt.prompt.as_str()].map(str::trim);
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            let text = parts.join("\n").replace(|c: char| c.is_control() && c != '\n', "?");
            let credentials = &self.settings.credentials;
            let known = match is_for_password(prompt) && !*told_known {
                true => {
                    *told_known = true;
                    credentials.known(&self.request(CredentialKind::Password, text.clone(), false, attempt))
                }
                false => None,
            };
            answers.push(match known {
                Some(known) => known,
                None => {
                    let request = self.request(CredentialKind::Challenge, text, prompt.echo, attempt);
                    credentials.ask(request).await?
                }
            });
        }
        Some(answers)
    }

    fn request(&self, kind: CredentialKind, prompt: String, echo: bool, attempt: u32) -> CredentialRequest {
        let mut request = CredentialRequest::new(kind, "ssh", &self.settings.host);
        request.user = Some(self.settings.user.clone());
        request.prompt = prompt;
        request.echo = echo;
        request.attempt = attempt;
        request
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            credentials: &self.settings.credentials,
            host: &self.settings.host,
            user: &self.settings.user,
        }
    }

    /// Finds out which keys there are: those of the agent that the settings name, the agent's others, and those that are
    /// only in files.
    async fn gather(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.keys.gathered, true) {
            return Ok(());
        }
        let files = KeyFiles::read(&self.settings.identities).await?;
        self.tried.extend(files.useless);
        self.keys.stated = files.stated;
        self.keys.in_files = files.others;
        self.keys.certificates = files.certificates;
        if self.settings.methods.contains(&Method::Agent) {
            self.ask_agent(&files.known).await;
        }
        let in_agent: Vec<PublicKey> = self.keys.in_agent.iter().map(|key| key.public.clone()).collect();
        let is_held = |key: &PublicKey| in_agent.iter().any(|held| held.key_data() == key.key_data());
        self.keys.in_files.retain(|found| !matches!(found, Found::Key(file) if is_held(&file.public)));
        Ok(())
    }

    async fn ask_agent(&mut self, named: &[PublicKey]) {
        let Some(socket) = &self.settings.identities.agent else { return };
        let mut agent = match Agent::connect(socket).await {
            Ok(agent) => agent,
            Err(error) => {
                self.tried.push(format!("the agent at {}: {error}", socket.display()));
                return;
            }
        };
        agent.bind(self.handle.agent_session_binding()).await;
        match agent.keys().await {
            Ok(mut keys) => {
                let position =
                    |key: &AgentKey| named.iter().position(|named| named.key_data() == key.public.key_data());
                if keys.is_empty() {
                    self.tried.push(format!("the agent at {}: it holds no keys", socket.display()));
                }
                if self.settings.identities.only {
                    keys.retain(|key| position(key).is_some());
                }
                keys.sort_by_key(|key| position(key).unwrap_or(usize::MAX));
                self.keys.in_agent = keys;
                self.keys.agent = Some(agent);
            }
            Err(error) => self.tried.push(format!("the agent at {}: {error}", socket.display())),
        }
    }

    /// Takes the server's answer.
    async fn step(&mut self, answer: Result<AuthResult, russh::Error>) -> Result<Step> {
        match answer {
            Ok(AuthResult::Success) => Ok(Step::In),
            // What it becomes, too, when the server ends the session.
            Ok(AuthResult::Failure { remaining_methods, .. })
                if remaining_methods.is_empty() && self.handle.is_closed() =>
            {
                Err(self.gone().await)
            }
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                self.allowed = remaining_methods;
                Ok(if partial_success { Step::Further } else { Step::Refused })
            }
            Err(_) => Err(self.gone().await),
        }
    }

    /// Says that the server ended the session before the user was in.
    async fn gone(&mut self) -> Error {
        // What it said comes with the end of the session's task.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), self.alive.changed()).await;
        let End { kind, why } = self.fate.why().unwrap_or_else(|| End {
            kind: io::ErrorKind::ConnectionAborted,
            why: "the server ended it".to_owned(),
        });
        if kind == io::ErrorKind::PermissionDenied {
            return Error::Auth(format!(
                "{} is not let in to {}: {why}; {}; if that is too many, name the right key (\"keyfile\" in the URI; \
                 IdentityFile and IdentitiesOnly in ssh's configuration)",
                self.settings.user,
                self.settings.place(),
                self.all_tried(),
            ));
        }
        Error::Connect {
            address: self.settings.place(),
            hint: format!("the SSH connection ended before {} was logged in: {why}", self.settings.user),
            source: Arc::new(io::Error::new(kind, why)),
        }
    }

    /// Says that nothing is left to try.
    fn refused(&self) -> Error {
        let allowed: Vec<&str> = self.allowed.iter().map(Into::into).collect();
        Error::Auth(format!(
            "{} is not let in to {}; {}; the server takes {}",
            self.settings.user,
            self.settings.place(),
            self.all_tried(),
            if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") },
        ))
    }

    fn all_tried(&self) -> String {
        match self.tried.as_slice() {
            [] => "there was nothing to try: no key was found, and nobody can be asked".to_owned(),
            tried => format!("tried were {}", tried.join(", ")),
        }
    }
}

/// What a server asks at once.
#[derive(Clone, Copy)]
struct Texts<'a> {
    name: &'a str,
    instructions: &'a str,
    prompts: &'a [Prompt],
}

/// Tells whether a question is one for a password, by what servers write: `Password:`, `(root@host) Password:`, `root's
/// password:`. `One-time password (OATH) for root:` is none.
fn is_for_password(prompt: &Prompt) -> bool {
    let asks = prompt.prompt.to_ascii_lowercase();
    !prompt.echo && asks.contains("assword") && !asks.contains("one-time")
}

fn kind(method: Method) -> MethodKind {
    match method {
        Method::Agent | Method::PrivateKey => MethodKind::PublicKey,
        Method::Password => MethodKind::Password,
        Method::KeyboardInteractive => MethodKind::KeyboardInteractive,
    }
}

/// Who signs.
enum By {
    Agent(Box<AgentKey>),
    File(Box<KeyFile>),
}

/// Signs what the server wants signed.
struct Signer<'a> {
    by: &'a mut By,
    agent: &'a mut Option<Agent>,
    asking: Asking<'a>,
}

/// Why nothing was signed.
enum SignError {
    Signing(String),
    Gone,
}

impl From<SendError> for SignError {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

impl<'a> Signer<'a> {
    fn new(by: &'a mut By, agent: &'a mut Option<Agent>, settings: &'a Settings) -> Self {
        let asking =
            Asking { credentials: &settings.credentials, host: &settings.host, user: &settings.user };
        Self { by, agent, asking }
    }
}

impl russh::Signer for Signer<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut message: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        match (&mut *self.by, &mut *self.agent) {
            (By::Agent(key), Some(agent)) => agent.sign(key, hash, message).await.map_err(SignError::Signing),
            (By::Agent(_), None) => Err(SignError::Signing("the agent is gone".to_owned())),
            (By::File(file), _) => {
                let signature = file.sign(&message, hash, &self.asking).await.map_err(SignError::Signing)?;
                message.extend_from_slice(&u32::try_from(signature.len()).unwrap_or_default().to_be_bytes());
                message.extend_from_slice(&signature);
                Ok(message)
            }
        }
    }
}

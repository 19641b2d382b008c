//! Sessions with servers of this process, which do at once what real ones do seldom: cut a session, lose patience, ask for
//! more than a password.

use std::{
    borrow::Cow,
    fs::{self, OpenOptions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use russh::{
    keys::PrivateKey,
    server::{self, Auth, PublicKeyOffer, Response},
};
use ssh_key::{LineEnding, private::Ed25519Keypair};

use super::{ConfigFiles, Destination, HostKeyError, HostKeyPolicy, HostKeyProblem, Session};
use crate::{
    auth::{CredentialKind, Credentials},
    error::{Error, Result},
};

type Question = (Cow<'static, str>, bool);

/// A server that takes no key, and any answers.
#[derive(Clone)]
struct Server {
    /// How many rejections there are before it says that these are too many.
    patience: usize,
    /// After how many keys it cuts the session without a word.
    cut_after: usize,
    questions: &'static [Question],
    answers: Arc<Mutex<Vec<String>>>,
}

impl Default for Server {
    fn default() -> Self {
        Self { patience: 10, cut_after: usize::MAX, questions: &[], answers: Arc::default() }
    }
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        self.cut_after = self.cut_after.checked_sub(1).ok_or(russh::Error::Disconnect)?;
        Ok(Auth::reject())
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(response) = response else {
            let prompts = Cow::Borrowed(self.questions);
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts });
        };
        let texts = response.map(|answer| String::from_utf8_lossy(&answer).into_owned());
        self.answers.lock().unwrap().extend(texts);
        Ok(Auth::Accept)
    }
}

/// A user's files, removed in the end.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("libvirt-client-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Writes a file that nobody else may touch, as configurations and keys have to be.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Describes a host for which these lines are the configuration.
    fn destination(&self, config: &str) -> Destination {
        let mut destination = Destination::new("h");
        destination.user = Some("u".to_owned());
        destination.host_keys = Some(HostKeyPolicy::Ignore);
        destination.config =
            ConfigFiles::File(self.write("config", &format!("IdentityAgent none\n{config}")));
        destination
    }

    /// Describes a host for which there are two keys.
    fn with_two_keys(&self) -> Destination {
        let files = [("one", 1), ("two", 2)]
            .map(|(name, seed)| self.write(name, &key(seed).to_openssh(LineEnding::LF).unwrap()));
        self.destination(&files.map(|file| format!("IdentityFile {}\n", file.display())).concat())
    }
}

/// A pipe that nobody writes to, as a file on a disk that hangs. When it is dropped, reading it ends.
struct Pipe(PathBuf);

impl Pipe {
    fn new(path: PathBuf) -> Self {
        assert!(Command::new("mkfifo").arg("-m").arg("600").arg(&path).status().unwrap().success());
        Self(path)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // One who opens it meanwhile has its end, too.
        let _end = OpenOptions::new().read(true).write(true).open(&self.0);
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(seed: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[seed; 32]).into()
}

async fn connect(server: Server, destination: &Destination) -> Result<Session> {
    let config = server::Config {
        keys: vec![key(0)],
        max_auth_attempts: server.patience,
        auth_rejection_time: Duration::ZERO,
        ..server::Config::default()
    };
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        if let Ok(session) = server::run_stream(Arc::new(config), theirs, server).await {
            let _ = session.await;
        }
    });
    Session::connect_over(ours, destination).await
}

/// Whatever is known of the host otherwise.
#[tokio::test]
async fn a_key_in_a_list_of_revoked_ones_is_refused() {
    let home = Home::new("revoked");
    let [hosts, other] = [0, 1].map(|seed| key(seed).public_key().to_openssh().unwrap());
    let known_hosts = home.write("known_hosts", &format!("h {hosts}\n"));
    let list = home.0.join("list");
    let mut destination =
        home.destination(&format!("IdentityFile none\nRevokedHostKeys {}\n", list.display()));
    (destination.known_hosts, destination.host_keys) = (Some(known_hosts), Some(HostKeyPolicy::AcceptNew));

    home.write("list", &format!("# old ones\n\n{other} a comment\n{hosts}\n"));
    let error = connect(Server::default(), &destination).await.unwrap_err();
    let about = HostKeyError::of(&error).unwrap_or_else(|| panic!("{error:?}"));
    let HostKeyProblem::Revoked(place) = &about.problem else { panic!("{about:?}") };
    assert_eq!((&place.file, place.line), (&list, 4));
    assert!(!error.is_transient(), "{error:?}");

    for (contents, reason) in [
        (None, "cannot be read"),
        (Some("SSHKRL\n\0\0"), "KRL"),
        (Some("\nssh-ed25519"), "line 2 is not a public key"),
        (Some("h ssh-ed25519 AAAA"), "line 1 is not a public key"),
    ] {
        fs::remove_file(&list).unwrap();
        if let Some(contents) = contents {
            home.write("list", contents);
        }
        let error = connect(Server::default(), &destination).await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(&error, Error::Config { file, .. } if *file == list), "{error:?}");
        assert!(said.contains(reason) && said.contains("command=ssh"), "{said}");
        home.write("list", "");
    }

    // What the key of another host is says nothing about this one.
    home.write("list", &other);
    connect(Server::default(), &destination).await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_cut_between_two_keys_is_no_refusal() {
    let home = Home::new("cut");
    let server = Server { cut_after: 1, ..Server::default() };
    let error = connect(server, &home.with_two_keys()).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.is_transient() && !error.is_auth(), "{error:?}");
    assert!(error.to_string().contains("ended before u was logged in"), "{error}");
}

#[tokio::test]
async fn a_server_that_has_had_enough_does_not_let_in() {
    let home = Home::new("patience");
    let destination = home.with_two_keys();
    // The question for what there is counts, too.
    for (patience, tried) in [(1, &["one"][..]), (2, &["one", "two"])] {
        let error = connect(Server { patience, ..Server::default() }, &destination).await.unwrap_err();
        let said = error.to_string();
        assert!(error.is_auth() && !error.is_transient() && said.contains("Too many"), "{error:?}");
        for name in ["one", "two"] {
            let path = home.0.join(name).display().to_string();
            assert_eq!(said.contains(&path), tried.contains(&name), "{said}");
        }
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_hold_up_nothing_else() {
    let home = Home::new("files");
    let path = home.0.join("pipe");
    for keyword in ["Include", "RevokedHostKeys", "UserKnownHostsFile", "IdentityFile", "CertificateFile"] {
        let mut destination = home.destination(&format!("{keyword} {}\n", path.display()));
        destination.host_keys = Some(HostKeyPolicy::AcceptNew);
        let _pipe = Pipe::new(path.clone());
        let connecting = connect(Server::default(), &destination);
        let limited = tokio::time::timeout(Duration::from_millis(200), connecting).await;
        assert!(limited.is_err(), "{keyword}: {limited:?}");
    }
}

#[tokio::test]
async fn a_password_that_is_known_answers_no_other_question() {
    const PASSWORD: Question = (Cow::Borrowed("(u@h) Password: "), false);
    const CODE: Question = (Cow::Borrowed("Verification code: "), false);
    const ONCE: Question = (Cow::Borrowed("One-time password (OATH) for `u': "), false);
    const SHOWN: Question = (Cow::Borrowed("Password: "), true);
    let home = Home::new("questions");
    let mut destination = home.destination("IdentityFile none\nPasswordAuthentication no");
    destination.credentials = Credentials::new(async |request| Some((&*request.kind.to_string()).into()))
        .with_known(|request| (request.kind == CredentialKind::Password).then(|| "known".into()));
    for (questions, expected) in [
        (&[PASSWORD][..], &["known"][..]),
        (&[PASSWORD, CODE], &["known", "answer"]),
        (&[CODE, PASSWORD, PASSWORD], &["answer", "known", "answer"]),
        (&[ONCE], &["answer"]),
        (&[SHOWN], &["answer"]),
    ] {
        let server = Server { questions, ..Server::default() };
        let answers = Arc::clone(&server.answers);
        connect(server, &destination).await.unwrap();
        assert_eq!(*answers.lock().unwrap(), expected, "{questions:?}");
    }
}

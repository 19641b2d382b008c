//! The daemon of another host, by SSH: how users get in, beside OpenSSH's own client and virsh with it.

use std::{
    fs,
    future::{Ready, ready},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use libvirt_client::{
    Connection, Error,
    auth::{CredentialKind, CredentialRequest, Secret},
};

use crate::{
    TEST,
    support::{
        Daemon,
        command::{self, Background, Finished},
        live,
        sshd::{Key, Sshd},
        wait_until,
    },
};

const LIMIT: Duration = Duration::from_secs(30);

/// A daemon that is reached by SSH, with a key that the server knows.
pub(crate) struct Far {
    pub(crate) daemon: Daemon,
    pub(crate) sshd: Sshd,
    pub(crate) key: Key,
}

impl Far {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// The same, with further lines for the server's configuration.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let daemon = Daemon::start();
        let sshd = Sshd::start(&daemon, "sshd", "ed25519", settings);
        let key = sshd.key("ed25519", &[]);
        Self { daemon, sshd, key }
    }

    /// A URI that names the key, with further parameters.
    pub(crate) fn uri(&self, parameters: &str) -> String {
        self.sshd.uri(TEST, &format!("keyfile={}{parameters}", self.key.path().display()))
    }

    pub(crate) async fn open(&self) -> Connection {
        self.try_open("").await.unwrap()
    }

    pub(crate) async fn try_open(&self, parameters: &str) -> Result<Connection, Error> {
        Connection::builder(self.uri(parameters)).ssh_config(self.sshd.config(&[])).open().await
    }

    /// What virsh prints, over OpenSSH and the same URI.
    #[track_caller]
    pub(crate) fn virsh(&self, parameters: &str, arguments: &[&str]) -> String {
        self.sshd.virsh(&self.sshd.config(&[]), &self.uri(parameters), arguments).expect_success()
    }
}

/// Runs OpenSSH's client; it asks a program that says `answer`.
#[track_caller]
fn openssh(sshd: &Sshd, config: &Path, answer: Option<&str>, arguments: &[&str]) -> Finished {
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-p", &sshd.port().to_string()]).args(arguments);
    ssh.args(["root@127.0.0.1", "hostname"]);
    match answer {
        Some(answer) => {
            let program = sshd.file("askpass");
            fs::write(&program, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
            fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            ssh.env("SSH_ASKPASS", program).env("SSH_ASKPASS_REQUIRE", "force");
        }
        None => {
            ssh.args(["-o", "BatchMode=yes"]);
        }
    }
    command::run(ssh, LIMIT)
}

/// What was asked.
type Asked = Arc<Mutex<Vec<CredentialRequest>>>;

/// Answers every request with the same words, and keeps what was asked.
fn answering(answer: &'static str) -> (Asked, impl Fn(CredentialRequest) -> Ready<Option<Secret>>) {
    let asked = Asked::default();
    let keep = Arc::clone(&asked);
    let ask = move |request| {
        keep.lock().unwrap().push(request);
        ready(Some(Secret::from(answer)))
    };
    (asked, ask)
}

#[test]
fn every_kind_of_key_lets_in() {
    live(async {
        let far = Far::start();
        let config = far.sshd.config(&[]);
        let kinds: [(&str, &[&str]); 6] = [
            ("ed25519", &[]),
            ("ecdsa", &[]),
            ("ecdsa", &["-b", "521"]),
            ("rsa", &[]),
            ("rsa", &["-m", "PEM"]),
            ("ecdsa", &["-m", "PKCS8"]),
        ];
        for (kind, arguments) in kinds {
            let key = far.sshd.key(kind, arguments);
            let uri = far.sshd.uri(TEST, &format!("keyfile={}", key.path().display()));
            let connection = Connection::builder(&uri).ssh_config(&config).open().await.unwrap();
            let hostname = connection.hostname().await.unwrap();
            let theirs = far.sshd.virsh(&config, &uri, &["hostname"]).expect_success();
            assert_eq!(hostname, theirs, "{kind} {arguments:?}");
            connection.close().await.unwrap();
        }
    });
}

#[test]
fn an_encrypted_key_is_opened_by_its_passphrase() {
    live(async {
        let far = Far::start();
        let config = far.sshd.config(&[]);
        for arguments in [&["-N", "correct horse"][..], &["-N", "correct horse", "-m", "PKCS8"]] {
            let key = far.sshd.key("ecdsa", arguments);
            // Where it does not stand in the file itself.
            let uri = far.sshd.uri(TEST, &format!("keyfile={}", key.path().display()));
            let (asked, ask) = answering("correct horse");
            let builder = Connection::builder(&uri).ssh_config(&config).credentials(ask);
            let connection = builder.open().await.unwrap();
            assert_eq!(connection.hostname().await.unwrap(), far.daemon.shell("hostname"));
            let asked = asked.lock().unwrap().clone();
            let [request] = asked.as_slice() else { panic!("{asked:?}") };
            assert_eq!((request.kind, request.service), (CredentialKind::Passphrase, "ssh"));
            assert!(
                request.prompt.contains(&key.path().display().to_string()) && !request.echo,
                "{request:?}"
            );

            let theirs = openssh(
                &far.sshd,
                &config,
                Some("correct horse"),
                &["-i", &key.path().display().to_string()],
            );
            assert_eq!(theirs.expect_success(), far.daemon.shell("hostname"));

            let (_, ask) = answering("wrong");
            let builder = Connection::builder(&uri).ssh_config(&config).credentials(ask);
            let error = builder.open().await.unwrap_err();
            assert!(error.is_auth() && error.to_string().contains("the passphrase is wrong"), "{error}");
            let error = Connection::builder(&uri).ssh_config(&config).open().await.unwrap_err();
            assert!(error.is_auth() && error.to_string().contains("nobody gave its passphrase"), "{error}");
        }
    });
}

#[test]
fn nobody_is_asked_for_the_passphrase_of_a_key_that_the_server_does_not_know() {
    live(async {
        let far = Far::start();
        let key = far.sshd.unknown_key("ed25519", &["-N", "correct horse"]);
        let uri = far.sshd.uri(TEST, &format!("keyfile={}", key.path().display()));
        let (asked, ask) = answering("correct horse");
        let builder = Connection::builder(&uri).ssh_config(far.sshd.config(&["PasswordAuthentication no"]));
        let error = builder.credentials(ask).open().await.unwrap_err();
        assert!(error.is_auth(), "{error:?}");
        assert!(asked.lock().unwrap().is_empty(), "{asked:?}");
    });
}

/// An agent, which ends with this.
struct Agent {
    socket: PathBuf,
    _process: Background,
}

impl Agent {
    async fn start(sshd: &Sshd) -> Self {
        let socket = sshd.file("agent");
        let mut agent = Command::new("ssh-agent");
        agent.arg("-D").arg("-a").arg(&socket);
        let process = Background::spawn(agent, &sshd.file("agent.output"));
        wait_until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
        Self { socket, _process: process }
    }

    #[track_caller]
    fn add(&self, key: &Key) {
        let mut add = Command::new("ssh-add");
        add.arg("-q").arg(key.path()).env("SSH_AUTH_SOCK", &self.socket);
        command::run(add, LIMIT).expect_success();
    }
}

#[test]
fn an_agent_lets_in_with_a_key_that_is_nowhere_else() {
    live(async {
        let far = Far::start();
        let agent = Agent::start(&far.sshd).await;
        for kind in ["ed25519", "rsa"] {
            let key = far.sshd.key(kind, &[]);
            agent.add(&key);
            fs::remove_file(key.path()).unwrap();
            let identity = format!("IdentityAgent {}", agent.socket.display());
            for lines in [
                &[identity.as_str()][..],
                // Only the one whose public part is named.
                &[&identity, "IdentitiesOnly yes", &format!("IdentityFile {}", key.path().display())],
            ] {
                let config = far.sshd.config(lines);
                let uri = far.sshd.uri(TEST, "");
                let connection = Connection::builder(&uri).ssh_config(&config).open().await.unwrap();
                let theirs = far.sshd.virsh(&config, &uri, &["hostname"]).expect_success();
                assert_eq!(connection.hostname().await.unwrap(), theirs, "{kind} {lines:?}");
            }
        }
        let other = far.sshd.unknown_key("ed25519", &[]);
        let config = far.sshd.config(&[
            &format!("IdentityAgent {}", agent.socket.display()),
            "IdentitiesOnly yes",
            &format!("IdentityFile {}.pub", other.path().display()),
        ]);
        let error = Connection::builder(far.sshd.uri(TEST, "")).ssh_config(&config).open().await.unwrap_err();
        assert!(error.is_auth(), "{error:?}");
    });
}

#[test]
fn the_key_that_is_named_comes_before_too_many_others_of_an_agent() {
    live(async {
        let far = Far::with(&["MaxAuthTries 3"]);
        let agent = Agent::start(&far.sshd).await;
        for _ in 0..5 {
            agent.add(&far.sshd.unknown_key("ed25519", &[]));
        }
        let config = far.sshd.config(&[&format!("IdentityAgent {}", agent.socket.display())]);
        let connection = Connection::builder(far.uri("")).ssh_config(&config).open().await.unwrap();
        assert_eq!(connection.hostname().await.unwrap(), far.daemon.shell("hostname"));
        let error = Connection::builder(far.sshd.uri(TEST, "")).ssh_config(&config).open().await.unwrap_err();
        let said = error.to_string();
        assert!(error.is_auth() && said.contains("Too many authentication failures"), "{said}");
        assert!(said.contains("IdentitiesOnly"), "{said}");
    });
}

#[test]
fn a_certificate_of_an_authority_lets_in() {
    live(async {
        let far = Far::with(&["TrustedUserCAKeys /dev/shm/none"]);
        let authority = far.sshd.unknown_key("ed25519", &[]);
        let trusted = format!("TrustedUserCAKeys {}.pub\n", authority.path().display());
        let settings = fs::read_to_string(far.sshd.file("sshd_config")).unwrap();
        fs::write(far.sshd.file("sshd_config"), trusted + &settings).unwrap();
        let agent = Agent::start(&far.sshd).await;
        for kind in ["ed25519", "rsa", "ecdsa"] {
            let key = far.sshd.unknown_key(kind, &[]);
            let uri = far.sshd.uri(TEST, &format!("keyfile={}", key.path().display()));
            let config = far.sshd.config(&[]);
            let error = Connection::builder(&uri).ssh_config(&config).open().await.unwrap_err();
            assert!(error.is_auth(), "{error:?}");

            let mut sign = Command::new("ssh-keygen");
            sign.args(["-q", "-I", "a test", "-n", "root", "-s"]).arg(authority.path());
            sign.arg(format!("{}.pub", key.path().display()));
            command::run(sign, LIMIT).expect_success();
            let connection = Connection::builder(&uri).ssh_config(&config).open().await.unwrap();
            let theirs = far.sshd.virsh(&config, &uri, &["hostname"]).expect_success();
            assert_eq!(connection.hostname().await.unwrap(), theirs, "{kind}");

            // Which ssh-add takes with the key.
            agent.add(&key);
            let config = far.sshd.config(&[&format!("IdentityAgent {}", agent.socket.display())]);
            let connection =
                Connection::builder(far.sshd.uri(TEST, "")).ssh_config(&config).open().await.unwrap();
            assert_eq!(connection.hostname().await.unwrap(), theirs, "{kind} of the agent");
        }
    });
}

const PASSWORDS: [&str; 3] = ["UsePAM yes", "PasswordAuthentication yes", "KbdInteractiveAuthentication no"];
const QUESTIONS: [&str; 3] = ["UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes"];

#[test]
fn a_password_lets_in() {
    live(async {
        let far = Far::with(&PASSWORDS);
        far.sshd.set_password(&far.daemon, "sekrit");
        let config = far.sshd.config(&[]);
        let uri = far.sshd.uri(TEST, "");
        let (asked, ask) = answering("sekrit");
        let connection = Connection::builder(&uri).ssh_config(&config).credentials(ask).open().await.unwrap();
        let theirs = openssh(&far.sshd, &config, Some("sekrit"), &[]).expect_success();
        assert_eq!(connection.hostname().await.unwrap(), theirs);
        let asked = asked.lock().unwrap().clone();
        let [request] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!((request.kind, request.user.as_deref()), (CredentialKind::Password, Some("root")));
        assert_eq!(request.host, "127.0.0.1");

        let (_, ask) = answering("wrong");
        let error = Connection::builder(&uri).ssh_config(&config).credentials(ask).open().await.unwrap_err();
        assert!(error.is_auth() && error.to_string().contains("a password: refused"), "{error}");
        // Not asked for where nobody may be asked.
        let (asked, ask) = answering("sekrit");
        let uri = far.sshd.uri(TEST, "no_tty=1");
        let error = Connection::builder(&uri).ssh_config(&config).credentials(ask).open().await.unwrap_err();
        assert!(error.is_auth() && asked.lock().unwrap().is_empty(), "{error}");
    });
}

#[test]
fn answers_to_the_servers_questions_let_in() {
    live(async {
        let far = Far::with(&QUESTIONS);
        far.sshd.set_password(&far.daemon, "sekrit");
        let config = far.sshd.config(&[]);
        let uri = far.sshd.uri(TEST, "");
        let (asked, ask) = answering("sekrit");
        let connection = Connection::builder(&uri).ssh_config(&config).credentials(ask).open().await.unwrap();
        let theirs = openssh(&far.sshd, &config, Some("sekrit"), &[]).expect_success();
        assert_eq!(connection.hostname().await.unwrap(), theirs);
        let asked = asked.lock().unwrap().clone();
        let [request] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!((request.kind, request.echo), (CredentialKind::Challenge, false));
        assert!(request.prompt.contains("assword"), "{request:?}");

        let error = Connection::builder(&uri).ssh_config(&config).open().await.unwrap_err();
        assert!(error.is_auth() && error.to_string().contains("nobody answered"), "{error}");
    });
}

#[test]
fn a_key_and_a_password_may_both_be_asked_for() {
    live(async {
        let mut settings = PASSWORDS.to_vec();
        settings.push("AuthenticationMethods password,publickey");
        let far = Far::with(&settings);
        far.sshd.set_password(&far.daemon, "sekrit");
        let config = far.sshd.config(&[]);
        let (_, ask) = answering("sekrit");
        let builder = Connection::builder(far.uri("")).ssh_config(&config);
        let connection = builder.clone().credentials(ask).open().await.unwrap();
        assert_eq!(connection.hostname().await.unwrap(), far.daemon.shell("hostname"));
        let error = builder.open().await.unwrap_err();
        assert!(error.is_auth() && error.to_string().contains("the server takes password"), "{error}");
    });
}

#[test]
fn calls_and_events_come_over_it_as_over_a_socket() {
    live(async {
        let far = Far::start();
        let connection = far.open().await;
        let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let calls = (0..200).map(|_| {
            let domain = domain.clone();
            tokio::spawn(async move { domain.xml().await.unwrap() })
        });
        let calls: Vec<_> = calls.collect();
        let theirs = far.virsh("", &["dumpxml", "test"]);
        for call in calls {
            assert_eq!(call.await.unwrap().trim_end(), theirs);
        }
        for act in ["suspend", "resume"] {
            far.virsh("", &[act, "test"]);
        }
        for _ in 0..2 {
            events.next().await.unwrap().unwrap();
        }
        assert_eq!(domain.state().await.unwrap().state.0, 1);
        let read_only = Connection::builder(far.uri("")).read_only().ssh_config(far.sshd.config(&[]));
        let error = read_only.open().await.unwrap().domain_by_name("test").await.unwrap().suspend().await;
        assert!(error.unwrap_err().is_read_only());
    });
}

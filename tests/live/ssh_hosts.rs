//! Whether a host is the one that it says it is.

use std::{fs, time::Instant};

use libvirt_client::{
    Connection, Error,
    auth::{CredentialKind, Secret},
    transport::ssh::{HostKeyError, HostKeyProblem},
};

use crate::{
    TEST,
    ssh::Far,
    support::{command::Finished, live, sshd::Key},
};

/// What is inside a connection's error about a host's key.
#[track_caller]
fn host_key_error(error: &Error) -> &HostKeyError {
    assert!(matches!(error, Error::Connect { .. }) && !error.is_auth() && !error.is_transient(), "{error:?}");
    HostKeyError::of(error).unwrap_or_else(|| panic!("{error:?}"))
}

fn theirs(far: &Far, lines: &[&str]) -> Finished {
    far.sshd.virsh(&far.sshd.config(lines), &far.uri("&no_tty=1"), &["hostname"])
}

async fn ours(far: &Far, lines: &[&str]) -> Result<Connection, Error> {
    Connection::builder(far.uri("")).ssh_config(far.sshd.config(lines)).open().await
}

#[test]
fn a_host_that_is_not_known_is_refused_with_its_fingerprint() {
    live(async {
        let far = Far::start();
        fs::write(far.sshd.file("known_hosts"), "# nobody\n").unwrap();
        assert!(!theirs(&far, &[]).status.success());
        let begun = Instant::now();
        let error = ours(&far, &[]).await.unwrap_err();
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
        let about = host_key_error(&error);
        assert_eq!(about.problem, HostKeyProblem::Unknown);
        assert_eq!(about.fingerprint, fingerprint(&far.sshd.host_key()));
        let said = error.to_string();
        assert!(said.contains(&about.fingerprint) && said.contains("ssh-keyscan"), "{said}");
        assert_eq!(fs::read_to_string(far.sshd.file("known_hosts")).unwrap(), "# nobody\n");
    });
}

fn fingerprint(key: &Key) -> String {
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.arg("-lf").arg(key.path());
    let line = crate::support::command::run(keygen, std::time::Duration::from_secs(20)).expect_success();
    line.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_host_that_the_user_trusts_is_known_from_then_on() {
    live(async {
        let far = Far::start();
        let file = far.sshd.file("known_hosts");
        // Without an end of its last line.
        fs::write(
            &file,
            "other ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK2pr+Bfus1hvPof4Wb/plZCzSbqadHH0u+/f4ODtKnE",
        )
        .unwrap();
        let config = far.sshd.config(&["StrictHostKeyChecking ask"]);
        let builder = Connection::builder(far.uri("")).ssh_config(&config);
        let fingerprint = fingerprint(&far.sshd.host_key());
        let asking = |answer: &'static str| {
            let fingerprint = fingerprint.clone();
            builder.clone().credentials(move |request| {
                assert_eq!((request.kind, request.echo), (CredentialKind::HostKey, true));
                assert!(request.prompt.contains(&fingerprint), "{request:?}");
                std::future::ready(Some(Secret::from(answer)))
            })
        };
        let error = asking("no").open().await.unwrap_err();
        assert_eq!(host_key_error(&error).problem, HostKeyProblem::Rejected);
        assert!(!theirs(&far, &[]).status.success());
        asking("yes").open().await.unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
        theirs(&far, &[]).expect_success();
        ours(&far, &[]).await.unwrap();
    });
}

#[test]
fn a_new_host_is_taken_and_kept_where_that_is_wanted() {
    live(async {
        let far = Far::start();
        let file = far.sshd.file("known_hosts");
        for (lines, parameters) in
            [(&["StrictHostKeyChecking accept-new", "HashKnownHosts yes"][..], ""), (&[], "&no_verify=1")]
        {
            fs::remove_file(&file).unwrap();
            let config = far.sshd.config(lines);
            Connection::builder(far.uri(parameters)).ssh_config(config).open().await.unwrap();
            let hashed = fs::read_to_string(&file).unwrap().starts_with("|1|");
            assert_eq!(hashed, parameters.is_empty());
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
            // As OpenSSH reads it.
            theirs(&far, &[]).expect_success();
        }
    });
}

#[test]
fn a_host_with_another_key_than_before_is_refused() {
    live(async {
        let far = Far::start();
        far.sshd.know_host(&far.sshd.unknown_key("ed25519", &[]));
        for (lines, parameters) in
            [(&[][..], ""), (&["StrictHostKeyChecking accept-new"], ""), (&[], "&no_verify=1")]
        {
            assert!(!theirs(&far, lines).status.success());
            let config = far.sshd.config(lines);
            let opening = Connection::builder(far.uri(parameters)).ssh_config(config).open();
            let error = opening.await.unwrap_err();
            let HostKeyProblem::Changed(place) = &host_key_error(&error).problem else { panic!("{error:?}") };
            assert_eq!((place.file.as_path(), place.line), (far.sshd.file("known_hosts").as_path(), 1));
            let said = error.to_string();
            assert!(said.contains("has changed") && said.contains("known_hosts:1"), "{said}");
        }
    });
}

#[test]
fn a_revoked_key_is_refused_wherever_else_it_is_known() {
    live(async {
        let far = Far::start();
        let known = fs::read_to_string(far.sshd.file("known_hosts")).unwrap();
        let key = far.sshd.host_key().public();
        fs::write(far.sshd.file("known_hosts"), format!("{known}@revoked * {key}\n")).unwrap();
        assert!(!theirs(&far, &[]).status.success());
        let error = ours(&far, &[]).await.unwrap_err();
        assert!(matches!(&host_key_error(&error).problem, HostKeyProblem::Revoked(place) if place.line == 2));

        fs::write(far.sshd.file("known_hosts"), &known).unwrap();
        let list = far.sshd.file("revoked");
        let line = format!("RevokedHostKeys {}", list.display());
        let other = far.sshd.unknown_key("ed25519", &[]).public();
        fs::write(&list, format!("# ours\n{other}\n{key}\n")).unwrap();
        assert!(!theirs(&far, &[&line]).status.success());
        let error = ours(&far, &[&line]).await.unwrap_err();
        assert!(matches!(&host_key_error(&error).problem, HostKeyProblem::Revoked(place) if place.line == 3));

        fs::write(&list, other).unwrap();
        theirs(&far, &[&line]).expect_success();
        ours(&far, &[&line]).await.unwrap().close().await.unwrap();

        // Nobody knows then what is revoked.
        fs::remove_file(&list).unwrap();
        assert!(!theirs(&far, &[&line]).status.success());
        let error = ours(&far, &[&line]).await.unwrap_err();
        assert!(matches!(&error, Error::Config { file, .. } if *file == list), "{error:?}");
    });
}

/// Servers have a key of each kind, and show the one that the client likes best.
#[test]
fn a_server_with_several_keys_shows_the_one_that_is_known() {
    live(async {
        let far = Far::start();
        let second = far.sshd.unknown_key("rsa", &[]);
        let third = far.sshd.unknown_key("ecdsa", &[]);
        let settings = fs::read_to_string(far.sshd.file("sshd_config")).unwrap();
        let more = format!("HostKey {}\nHostKey {}\n", second.path().display(), third.path().display());
        fs::write(far.sshd.file("sshd_config"), more + &settings).unwrap();
        for key in [&second, &third, &far.sshd.host_key()] {
            far.sshd.know_host(key);
            ours(&far, &[]).await.unwrap();
            theirs(&far, &[]).expect_success();
        }
        // By its hashed name, too.
        let mut hash = std::process::Command::new("ssh-keygen");
        hash.arg("-H").arg("-f").arg(far.sshd.file("known_hosts"));
        crate::support::command::run(hash, std::time::Duration::from_secs(20)).expect_success();
        assert!(fs::read_to_string(far.sshd.file("known_hosts")).unwrap().starts_with("|1|"));
        ours(&far, &[]).await.unwrap();
    });
}

#[test]
fn a_host_with_a_certificate_is_known_by_its_authority() {
    live(async {
        let far = Far::start();
        let authority = far.sshd.unknown_key("ed25519", &[]);
        let mut sign = std::process::Command::new("ssh-keygen");
        sign.args(["-q", "-h", "-I", "a host", "-n", "127.0.0.1", "-s"]).arg(authority.path());
        sign.arg(format!("{}.pub", far.sshd.host_key().path().display()));
        crate::support::command::run(sign, std::time::Duration::from_secs(20)).expect_success();
        let settings = fs::read_to_string(far.sshd.file("sshd_config")).unwrap();
        let line = format!("HostCertificate {}-cert.pub\n", far.sshd.host_key().path().display());
        fs::write(far.sshd.file("sshd_config"), line + &settings).unwrap();
        let trust = format!("@cert-authority [127.0.0.1]:{} {}\n", far.sshd.port(), authority.public());
        fs::write(far.sshd.file("known_hosts"), trust).unwrap();
        theirs(&far, &[]).expect_success();
        ours(&far, &[]).await.unwrap();
        assert_eq!(
            ours(&far, &[]).await.unwrap().hostname().await.unwrap(),
            far.daemon.virsh(TEST, &["hostname"])
        );
    });
}

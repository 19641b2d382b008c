//! The ways by SSH: what ssh's configuration says, hosts in between, and what runs on the far side.

use std::{os::unix::fs::symlink, path::Path, time::Duration};

use libvirt_client::{Connection, Error};

use crate::{
    TEST,
    ssh::Far,
    support::{Daemon, command, live, sshd::Sshd, wait_until},
};

#[test]
fn every_way_on_the_far_side_leads_to_the_daemon() {
    live(async {
        let far = Far::start();
        let elsewhere = far.daemon.socket().display().to_string();
        for parameters in [
            "".to_owned(),
            "&proxy=auto".to_owned(),
            "&proxy=netcat".to_owned(),
            "&proxy=native".to_owned(),
            "&netcat=/bin/nc".to_owned(),
            format!("&socket={elsewhere}"),
            format!("&socket={elsewhere}&proxy=netcat"),
        ] {
            let connection = far.try_open(&parameters).await.unwrap();
            assert_eq!(
                connection.hostname().await.unwrap(),
                far.virsh(&parameters, &["hostname"]),
                "{parameters}"
            );
            connection.close().await.unwrap();
        }
        // Shells read what a URI names as it stands there.
        let error = far.try_open("&socket=/tmp/$(touch%20/tmp/touched)").await.unwrap_err();
        let said = error.to_string();
        assert!(
            matches!(error, Error::Uri { .. }) || said.contains("/tmp/$(touch /tmp/touched): No such"),
            "{said}"
        );
    });
}

#[test]
fn the_socket_may_be_forwarded_by_the_server() {
    live(async {
        let far = Far::start();
        let builder = Connection::builder(far.uri("")).ssh_config(far.sshd.config(&[]));
        let connection = builder.clone().prefer_ssh_forwarding().open().await.unwrap();
        assert!(!far.sshd.log().contains("Starting session: command"), "{}", far.sshd.log());
        assert_eq!(connection.hostname().await.unwrap(), far.virsh("", &["hostname"]));

        let strict = Sshd::start(&far.daemon, "strict", "ed25519", &["AllowStreamLocalForwarding no"]);
        let key = strict.key("ed25519", &[]);
        let uri =
            |parameters: &str| strict.uri(TEST, &format!("keyfile={}{parameters}", key.path().display()));
        let builder = Connection::builder(uri("")).ssh_config(strict.config(&[]));
        let connection = builder.prefer_ssh_forwarding().open().await.unwrap();
        assert_eq!(connection.hostname().await.unwrap(), far.virsh("", &["hostname"]));

        // Neither way: both are told.
        let builder = Connection::builder(uri("&socket=/nowhere/sock")).ssh_config(strict.config(&[]));
        let said = builder.prefer_ssh_forwarding().open().await.unwrap_err().to_string();
        assert!(said.contains("No such file or directory"), "{said}");
    });
}

#[test]
fn a_host_is_reached_as_the_configuration_says() {
    live(async {
        let far = Far::start();
        let config = far.sshd.config(&[
            "Host the-host",
            &format!("HostName 127.0.0.1\nPort {}\nUser root", far.sshd.port()),
            &format!("IdentityFile {}", far.key.path().display()),
            "Host *",
        ]);
        let uri = "test+ssh://the-host/default";
        let connection = Connection::builder(uri).ssh_config(&config).open().await.unwrap();
        let theirs = far.sshd.virsh(&config, uri, &["hostname"]).expect_success();
        assert_eq!(connection.hostname().await.unwrap(), theirs);
        let session = connection.ssh().unwrap();
        assert_eq!(session.user(), "root");
        assert!(session.place().contains("the-host") && session.place().contains("127.0.0.1"), "{session:?}");

        let config = far.sshd.config(&["Nonsense yes"]);
        let error = Connection::builder(uri).ssh_config(&config).open().await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(&format!("{}: line 1", config.display()))
                && said.to_lowercase().contains("nonsense"),
            "{said}"
        );
        assert!(!error.is_transient() && !error.is_auth(), "{error:?}");
    });
}

/// The target is reached through two others; what these may connect to shows that they were used.
#[test]
fn hosts_in_between_are_jumped_over() {
    live(async {
        let far = Far::start();
        let first = Sshd::start_outside(&far.daemon, "first", "ed25519");
        let second = Sshd::start_outside(&far.daemon, "second", "ecdsa");
        let keys = [first.key("ed25519", &[]), second.key("ecdsa", &[])];
        let hop = |name: &str, sshd: &Sshd, key: &Path| {
            format!(
                "Host {name}\nHostName 127.0.0.1\nPort {}\nUser root\nIdentityFile {}\nUserKnownHostsFile {}",
                sshd.port(),
                key.display(),
                sshd.file("known_hosts").display()
            )
        };
        let config = far.sshd.config(&[
            &hop("first", &first, keys[0].path()),
            &hop("second", &second, keys[1].path()),
            &hop("target", &far.sshd, far.key.path()),
            "ProxyJump first,second",
            "Host *",
        ]);
        let uri = "test+ssh://target/default";
        let connection = Connection::builder(uri).ssh_config(&config).open().await.unwrap();
        let theirs = far.sshd.virsh(&config, uri, &["hostname"]).expect_success();
        assert_eq!(connection.hostname().await.unwrap(), theirs);
        // Those of virsh end a moment later than it.
        wait_until(|| [&first, &second, &far.sshd].map(Sshd::count_sessions) == [1, 1, 1]).await;
        drop(connection);
        wait_until(|| [&first, &second, &far.sshd].map(Sshd::count_sessions) == [0, 0, 0]).await;

        // A hop that does not let us in says which it is.
        let stranger = second.unknown_key("ed25519", &[]);
        let config = far.sshd.config(&[
            &hop("first", &first, keys[0].path()),
            &hop("second", &second, stranger.path()),
            &hop("target", &far.sshd, far.key.path()),
            "ProxyJump first,second",
            "Host *",
        ]);
        let error = Connection::builder(uri).ssh_config(&config).open().await.unwrap_err();
        assert!(error.is_auth() && error.to_string().contains("let in to second"), "{error}");
    });
}

#[test]
fn a_program_may_lead_to_the_host() {
    live(async {
        let far = Far::start();
        let config = far.sshd.config(&["ProxyCommand nc %h %p"]);
        let connection = Connection::builder(far.uri("")).ssh_config(&config).open().await.unwrap();
        let theirs = far.sshd.virsh(&config, &far.uri(""), &["hostname"]).expect_success();
        assert_eq!(connection.hostname().await.unwrap(), theirs);

        let config = far.sshd.config(&["ProxyCommand sh -c 'echo the gate is shut >&2; exit 7'"]);
        let error = Connection::builder(far.uri("")).ssh_config(&config).open().await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("the gate is shut") && said.contains("status 7"), "{said}");
    });
}

/// A directory with a shell and what libvirt's command needs of others, and neither netcat nor helper.
fn poor_path(sshd: &Sshd) -> String {
    let bin = sshd.file("poor");
    std::fs::create_dir(&bin).unwrap();
    for program in ["sh", "grep", "which"] {
        let found = command::run(
            {
                let mut which = std::process::Command::new("sh");
                which.args(["-c", &format!("command -v {program}")]);
                which
            },
            Duration::from_secs(10),
        );
        symlink(Path::new(&found.expect_success()), bin.join(program)).unwrap();
    }
    bin.display().to_string()
}

#[test]
fn what_is_missing_on_the_far_side_is_named() {
    live(async {
        let far = Far::start();
        let poor = Sshd::start(&far.daemon, "poor", "ed25519", &["PermitUserEnvironment yes"]);
        let bin = poor_path(&poor);
        let settings = std::fs::read_to_string(poor.file("sshd_config")).unwrap();
        std::fs::write(poor.file("sshd_config"), format!("SetEnv PATH={bin}\n{settings}")).unwrap();
        let key = poor.key("ed25519", &[]);
        for (parameters, essentials) in [
            ("", ["nc", "not found", "install netcat-openbsd"]),
            ("&proxy=netcat", ["nc", "not found", "install netcat-openbsd"]),
            ("&proxy=native", ["virt-ssh-helper", "not found", "proxy=netcat"]),
        ] {
            let uri = poor.uri(TEST, &format!("keyfile={}{parameters}", key.path().display()));
            assert!(!poor.virsh(&poor.config(&[]), &uri, &["hostname"]).status.success());
            let error = Connection::builder(&uri).ssh_config(poor.config(&[])).open().await.unwrap_err();
            let said = error.to_string();
            for essential in essentials {
                assert!(said.contains(essential), "{parameters} {essential}: {said}");
            }
            assert!(!error.is_transient() && !error.is_auth(), "{error:?}");
        }
    });
}

#[test]
fn what_is_wrong_with_the_socket_on_the_far_side_is_told() {
    live(async {
        let far = Far::start();
        let error = far.try_open("&socket=/nowhere/libvirt-sock").await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("/nowhere/libvirt-sock: No such file") && said.contains("\"socket=\""),
            "{said}"
        );
        assert!(
            error.is_transient(),
            "a daemon that is being restarted has no socket for a while: {error:?}"
        );

        // A user of the host who is not in the group that owns the socket.
        let nobody = "ForceCommand exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c \"$SSH_ORIGINAL_COMMAND\"";
        let daemon = Daemon::builder().setting("unix_sock_rw_perms", "0700").start();
        let sshd = Sshd::start(&daemon, "nobody", "ed25519", &[nobody]);
        let key = sshd.key("ed25519", &[]);
        for parameters in ["&proxy=netcat", "&proxy=native"] {
            let uri = sshd.uri(TEST, &format!("keyfile={}{parameters}", key.path().display()));
            let error = Connection::builder(&uri).ssh_config(sshd.config(&[])).open().await.unwrap_err();
            let said = error.to_string();
            assert!(said.contains("Permission denied") && said.contains("group that owns"), "{said}");
            assert!(error.is_auth(), "{error:?}");
        }
    });
}

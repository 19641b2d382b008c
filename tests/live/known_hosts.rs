//! Known hosts, beside OpenSSH: `ssh` and we are given the same files, and a server of OpenSSH that shows the same key.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use libvirt_client::transport::ssh::known_hosts::{HostKey, HostName, KnownHosts, Verdict, learn};

use crate::support::{command, live_within};

const LIMIT: Duration = Duration::from_secs(60);
/// Some forty handshakes, a third of a second each.
const ALL: Duration = Duration::from_secs(240);
const HOST: &str = "host.example";

/// What one of both says about a host's key.
#[derive(Debug, PartialEq)]
enum Answer {
    Accepted,
    Unknown,
    /// With the line.
    Changed(usize),
    Revoked,
}

/// A directory with keys and a configuration of sshd. The server runs on the pipes of the client that asks, without any
/// socket, so that host and port may be whatever they are called.
struct Server {
    directory: PathBuf,
}

impl Server {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("lvt{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let server = Self { directory };
        for (name, kind) in [
            ("key", "ed25519"),
            ("other", "ed25519"),
            ("ecdsa", "ecdsa"),
            ("rsa", "rsa"),
            ("ca", "ed25519"),
            ("rsaca", "rsa"),
        ] {
            server.keygen(&["-q", "-t", kind, "-N", "", "-C", name, "-f", name]);
        }
        // It wants a directory in /run, which it gets for itself.
        let script = format!(
            "mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -i -f {}\n",
            server.path("sshd_config").display()
        );
        fs::write(server.path("serve"), script).unwrap();
        server.show("");
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn keygen(&self, arguments: &[&str]) {
        let mut keygen = Command::new("ssh-keygen");
        keygen.current_dir(&self.directory).args(arguments);
        command::run(keygen, LIMIT).expect_success();
    }

    fn public(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim_end().to_owned()
    }

    /// Makes the server's certificate, and shows it.
    fn certify(&self, authority: &str, arguments: &[&str]) -> HostKey {
        fs::copy(self.path("key.pub"), self.path("host.pub")).unwrap();
        self.keygen(&[&["-q", "-s", authority, "-I", "id"], arguments, &["host.pub"]].concat());
        self.show(&format!("HostCertificate {}\n", self.path("host-cert.pub").display()));
        HostKey::from_openssh(&self.public("host-cert")).unwrap()
    }

    fn show(&self, more: &str) {
        let key = self.path("key");
        let text = format!("HostKey {}\nUsePAM no\nStrictModes no\n{more}", key.display());
        fs::write(self.path("sshd_config"), text).unwrap();
    }

    /// Writes a file in which names stand for keys.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let mut text = text.to_owned();
        for key in ["key", "other", "ecdsa", "rsa", "ca", "rsaca"] {
            text = text.replace(&format!("<{key}>"), &self.public(key));
        }
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Asks OpenSSH's client. No login is tried: what counts is whether it would be.
    fn openssh(&self, user: &Path, system: &Path, port: u16, strict: &str) -> Answer {
        let mut ssh = Command::new("ssh");
        let serve = format!("ProxyCommand=unshare --mount sh {}", self.path("serve").display());
        ssh.env("LC_ALL", "C").args(["-F", "none", "-p", &port.to_string()]);
        for option in [
            &serve,
            &format!("StrictHostKeyChecking={strict}"),
            &format!("UserKnownHostsFile={}", user.display()),
            &format!("GlobalKnownHostsFile={}", system.display()),
            "PreferredAuthentications=none",
            "BatchMode=yes",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args([HOST, "true"]);
        let finished = command::run(ssh, LIMIT);
        let said = &finished.stderr;
        let line =
            said.lines().find_map(|line| line.strip_prefix("Offending ")?.rsplit_once(':')?.1.parse().ok());
        match line {
            _ if said.contains("Permission denied") => Answer::Accepted,
            _ if said.contains("REVOKED HOST KEY DETECTED") => Answer::Revoked,
            Some(line) if said.contains("IDENTIFICATION HAS CHANGED") => Answer::Changed(line),
            _ if said.contains("host key is known for") => Answer::Unknown,
            _ => panic!("what does it say? {finished}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn ours(known: &KnownHosts, port: u16, key: &HostKey) -> Answer {
    match known.check(&HostName::new(HOST, port), key) {
        Verdict::Accepted => Answer::Accepted,
        Verdict::Unknown { .. } => Answer::Unknown,
        Verdict::Changed { place, .. } => Answer::Changed(place.line),
        Verdict::Revoked { .. } => Answer::Revoked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_are_judged_as_by_openssh() {
    live_within(ALL, async {
        let server = Server::new("keys");
        let key = HostKey::from_openssh(&server.public("key")).unwrap();
        server.write("hashed", "host.example <key>\n[host.example]:2222 <key>\n");
        server.keygen(&["-H", "-f", "hashed"]);
        let hashed = fs::read_to_string(server.path("hashed")).unwrap();
        let other_hashed = hashed.replace(&server.public("key"), "<other>");
        let revoked_hashed = format!("@revoked {hashed}");

        let mut differences = Vec::new();
        let mut seen = Vec::new();
        for (port, text) in [
            (22, "host.example <key>"),
            (22, &hashed),
            (2222, &hashed),
            (22, &other_hashed),
            (22, &revoked_hashed),
            (22, "host.example <other>"),
            (22, "# a comment\n\nhost.example <other>"),
            (22, ""),
            (22, "@revoked * <key>\nhost.example <key>"),
            (22, "@revoked * <key>"),
            (22, "host.example <key>\n@revoked host.example\t<key>"),
            (22, "@revoked other.example <key>\nhost.example <key>"),
            (22, "host.example <other>\nhost.example <key>"),
            (2222, "[host.*]:2222 <key>"),
            (22, "* <key>"),
            (22, "*,!host.example <key>"),
            (22, "!other.example <key>"),
            (22, "!other.example,host.exampl? <key>"),
            (22, "\thost.example\t<key>"),
            (22, "host.example   <key> and a comment"),
            (22, "host.example <key>\r\n"),
            (22, "HOST.EXAMPLE <key>"),
            (22, "host.example <ecdsa>\nhost.example <rsa>"),
            (22, "host.example ssh-ed25519 AAAA!\nhost.example <key>"),
            (22, "host.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\nhost.example <key>"),
            (22, "host.example\nhost.example <key>"),
            (22, "host.example 1024 35 12345678901234567890\nhost.example <key>"),
            (22, "host.example ssh-new@example.com AAAAE3NzaC1uZXdAZXhhbXBsZS5jb20="),
            (22, "@magic host.example <other>\nhost.example <key>"),
            (22, "@magic host.example <other>"),
            (22, "|1|c2hvcnQ=|c2hvcnQ= <other>\n|2|AAAA|BBBB <other>"),
            (22, "@cert-authority host.example <key>"),
            (22, "[host.example]:22 <key>"),
            (2222, "[host.example]:2222 <other>"),
            (2222, "host.example <key>"),
            (2222, "host.example <other>"),
            (2222, "host.example <key>\n[host.example]:2222 <other>"),
        ] {
            let user = server.write("user", text);
            let system = server.write("system", "other.example <other>\n");
            let expected = server.openssh(&user, &system, port, "yes");
            let answer = ours(&KnownHosts::read(&[user, system]).unwrap(), port, &key);
            if answer != expected {
                differences.push(format!("{port} {text:?}: {answer:?}, but OpenSSH: {expected:?}"));
            }
            seen.push(expected);
        }
        assert!(differences.is_empty(), "\n{}", differences.join("\n"));
        for answer in [Answer::Accepted, Answer::Unknown, Answer::Changed(1), Answer::Revoked] {
            assert!(seen.contains(&answer), "no row is {answer:?}");
        }
    });
}

#[test]
fn certificates_are_judged_as_by_openssh() {
    live_within(ALL, async {
        let server = Server::new("certificates");
        let trusted = "@cert-authority *.example <ca>\n@cert-authority *.example <rsaca>\n";
        let (known, other) =
            (format!("{trusted}host.example <key>"), format!("{trusted}host.example <other>"));
        let mut differences = Vec::new();
        for (text, authority, arguments) in [
            (trusted, "ca", &["-h", "-n", "host.example"][..]),
            (trusted, "ca", &["-h", "-n", "a.example,host.example"]),
            (trusted, "ca", &["-h"]),
            (trusted, "ca", &["-h", "-n", "*.example"]),
            (trusted, "ca", &["-h", "-n", "HOST.example"]),
            (trusted, "ca", &["-h", "-n", "other.example"]),
            (trusted, "ca", &["-h", "-n", "host.example", "-V", "20200101:20210101"]),
            (trusted, "ca", &["-h", "-n", "host.example", "-V", "20900101:20990101"]),
            (trusted, "rsaca", &["-h", "-n", "host.example", "-t", "rsa-sha2-512"]),
            (trusted, "rsaca", &["-h", "-n", "host.example", "-t", "ssh-rsa"]),
            (trusted, "other", &["-h", "-n", "host.example"]),
            (&known, "ca", &["-h", "-n", "other.example"]),
            (&other, "ca", &["-h", "-n", "other.example"]),
            (&other, "ca", &["-h", "-n", "host.example"]),
            ("host.example <ca>", "ca", &["-h", "-n", "host.example"]),
            ("@cert-authority * <ca>\n@revoked * <ca>", "ca", &["-h", "-n", "host.example"]),
            ("@cert-authority * <ca>\n@revoked * <key>", "ca", &["-h", "-n", "host.example"]),
        ] {
            let key = server.certify(authority, arguments);
            let user = server.write("user", text);
            let expected = server.openssh(&user, Path::new("/dev/null"), 22, "yes");
            let answer = ours(&KnownHosts::read(&[user]).unwrap(), 22, &key);
            if answer != expected {
                let row = format!("{text:?} {authority} {arguments:?}");
                differences.push(format!("{row}: {answer:?}, but OpenSSH: {expected:?}"));
            }
        }
        assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    });
}

#[test]
fn a_key_that_we_wrote_down_is_known_to_openssh_and_the_other_way_round() {
    live_within(ALL, async {
        let server = Server::new("learning");
        let key = HostKey::from_openssh(&server.public("key")).unwrap();
        let system = Path::new("/dev/null");
        for port in [22, 2222] {
            for hashed in [false, true] {
                let file = server.path(&format!("ours-{port}-{hashed}"));
                learn(&file, &HostName::new(HOST, port), &key, hashed).unwrap();
                assert_eq!(server.openssh(&file, system, port, "yes"), Answer::Accepted);
            }
            let file = server.path(&format!("theirs-{port}"));
            assert_eq!(server.openssh(&file, system, port, "accept-new"), Answer::Accepted);
            let line = fs::read_to_string(&file).unwrap();
            assert_eq!(ours(&KnownHosts::read(&[&file]).unwrap(), port, &key), Answer::Accepted, "{line}");
            // Nothing is left to add.
            learn(&file, &HostName::new(HOST, port), &key, false).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), line);
            // And we write the same line.
            let file = server.path(&format!("ours-{port}-false"));
            assert_eq!(fs::read_to_string(file).unwrap().trim_end(), without_comment(&line));
        }
    });
}

fn without_comment(line: &str) -> String {
    line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

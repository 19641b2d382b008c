//! The verdicts that OpenSSH 9.2 comes to on the same lines; `tests/live/known_hosts.rs` asks OpenSSH itself.

mod keys;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use self::keys::*;
use super::*;

/// A day in 2026; the certificate is valid from 2020 to 2098.
const NOW: u64 = 1_780_000_000;

/// What is expected, in short.
#[derive(Debug, PartialEq)]
enum Short {
    Accepted,
    Unknown,
    Changed(usize),
    Revoked(usize),
}
use Short::{Accepted, Changed, Revoked, Unknown};

fn short(verdict: &Verdict) -> Short {
    match verdict {
        Verdict::Accepted => Accepted,
        Verdict::Unknown { .. } => Unknown,
        Verdict::Changed { place, .. } => Changed(place.line),
        Verdict::Revoked { place } => Revoked(place.line),
    }
}

fn key(text: &str) -> HostKey {
    HostKey::from_openssh(text).unwrap()
}

/// Reads a file in which names stand for keys.
fn known(text: &str) -> KnownHosts {
    let mut text = text.to_owned();
    let names = [
        ("RSACA", RSA_AUTHORITY),
        ("KEY", KEY),
        ("OTHER", OTHER),
        ("ECDSA", ECDSA),
        ("RSA", RSA),
        ("CA", AUTHORITY),
    ];
    for (name, key) in names {
        text = text.replace(&format!("<{name}>"), key);
    }
    let mut known = KnownHosts::default();
    known.add_text(Path::new("known_hosts"), text.as_bytes());
    known
}

#[test]
fn lines_are_read_as_openssh_reads_them() {
    for (text, expected) in [
        ("", Unknown),
        ("host.example <KEY>", Accepted),
        ("host.example <KEY> a comment # of three", Accepted),
        ("  host.example \t <KEY>\r\n", Accepted),
        ("host.example\t<KEY>", Accepted),
        ("HOST.Example <KEY>", Accepted),
        ("other.example,host.example,10.0.0.1 <KEY>", Accepted),
        ("# host.example <OTHER>\n\nhost.example <KEY>", Accepted),
        ("other.example <KEY>", Unknown),
        ("host.example <OTHER>", Changed(1)),
        ("# one\n\n# three\nhost.example <OTHER>\n", Changed(4)),
        // Several keys of one kind, and of another kind only.
        ("host.example <OTHER>\nhost.example <KEY>", Accepted),
        ("host.example <ECDSA>\nhost.example <RSA>", Changed(2)),
        // Patterns.
        ("* <KEY>", Accepted),
        ("*.example <KEY>", Accepted),
        ("host.exampl? <KEY>", Accepted),
        ("host.exampl?? <KEY>", Unknown),
        ("*,!host.example <KEY>", Unknown),
        ("!host.example,* <OTHER>", Unknown),
        ("!other.example <KEY>", Unknown),
        ("!*.org,*.example <KEY>", Accepted),
        // What cannot be read does not count.
        ("host.example ssh-ed25519 AAAA!\nhost.example <KEY>", Accepted),
        ("host.example\nhost.example <KEY>", Accepted),
        ("host.example 1024 35 1234567890\nhost.example <KEY>", Accepted),
        ("@magic host.example <OTHER>\nhost.example <KEY>", Accepted),
        ("host.example ssh-new@example.com AAAAE3NzaC1uZXdAZXhhbXBsZS5jb20=", Unknown),
        ("|1|short|c2hvcnQ= <KEY>", Unknown),
        ("|2|AAAA|BBBB <KEY>", Unknown),
        // Revoked, wherever it stands. OpenSSH would not see the one with tabs.
        ("@revoked * <KEY>\nhost.example <KEY>", Revoked(1)),
        ("host.example <KEY>\n@revoked\thost.example\t<KEY>", Revoked(2)),
        ("@revoked host.example <OTHER>\nhost.example <KEY>", Accepted),
        ("@revoked host.example <OTHER>", Unknown),
        ("@revoked other.example <KEY>\nhost.example <KEY>", Accepted),
        // An authority's key is not the host's.
        ("@cert-authority host.example <KEY>", Unknown),
        // With a port it is another name.
        ("[host.example]:22 <KEY>", Unknown),
        ("[host.example]:2222 <OTHER>", Unknown),
    ] {
        let verdict = known(text).check_at(&HostName::new("host.example", 22), &key(KEY), NOW);
        assert_eq!(short(&verdict), expected, "{text:?}");
    }
}

#[test]
fn ports_are_part_of_names() {
    for (text, expected) in [
        ("[host.example]:2222 <KEY>", Accepted),
        ("[host.*]:2222 <KEY>", Accepted),
        ("[host.example]:* <KEY>", Accepted),
        ("* <KEY>", Accepted),
        ("[host.example]:2222 <OTHER>", Changed(1)),
        ("[host.example]:22 <KEY>", Unknown),
        // The same machine at its usual port.
        ("host.example <KEY>", Accepted),
        ("host.example <OTHER>", Unknown),
        ("host.example <KEY>\n[host.example]:2222 <OTHER>", Changed(2)),
        ("host.example <KEY>\n@revoked host.example <KEY>", Revoked(2)),
        ("[host.example]:2222 <KEY>\n@revoked host.example <KEY>", Revoked(2)),
    ] {
        let verdict = known(text).check_at(&HostName::new("host.example", 2222), &key(KEY), NOW);
        assert_eq!(short(&verdict), expected, "{text:?}");
    }
    assert_eq!(HostName::new("::1", 22).text(), "::1");
    assert_eq!(HostName::new("::1", 2222).text(), "[::1]:2222");
    assert_eq!(HostName::alias("Cluster").text(), "cluster");
}

/// The hash is what `ssh-keygen -H` made of `host.example`.
#[test]
fn names_may_be_hashed() {
    const HASHED: &str = "|1|kB6WHiEZ80pzwhcJwD5RZobKt3c=|6z16h91tsuqBabAoFtPdstoFZDo= <KEY>";
    let host = HostName::new("host.example", 22);
    assert_eq!(short(&known(HASHED).check_at(&host, &key(KEY), NOW)), Accepted);
    assert_eq!(short(&known(HASHED).check_at(&host, &key(OTHER), NOW)), Changed(1));
    assert_eq!(short(&known(HASHED).check_at(&HostName::new("other", 22), &key(KEY), NOW)), Unknown);
    let revoked = format!("host.example <KEY>\n@revoked {HASHED}");
    assert_eq!(short(&known(&revoked).check_at(&host, &key(KEY), NOW)), Revoked(2));
}

#[test]
fn certificates_count_when_everything_in_them_is_right() {
    let trusted = "@cert-authority *.example <CA>\n@cert-authority *.example <RSACA>";
    for (text, certificate, host, now, expected, reason) in [
        (trusted, CERTIFICATE, "host.example", NOW, Accepted, None),
        (trusted, FOR_ALL, "host.example", NOW, Accepted, None),
        (trusted, BY_SHA2, "host.example", NOW, Accepted, None),
        (trusted, CERTIFICATE, "other.example", NOW, Unknown, Some("not for other.example")),
        (trusted, CERTIFICATE, "host.example", 0, Unknown, Some("not valid yet")),
        (trusted, CERTIFICATE, "host.example", u64::MAX, Unknown, Some("expired")),
        (trusted, FOR_USERS, "host.example", NOW, Unknown, Some("for users")),
        (trusted, BY_SHA1, "host.example", NOW, Unknown, Some("outdated")),
        (trusted, CERTIFICATE, "127.0.0.1", NOW, Unknown, None),
        ("@cert-authority * <OTHER>", CERTIFICATE, "host.example", NOW, Unknown, None),
        ("@cert-authority\t* <CA>", CERTIFICATE, "host.example", NOW, Unknown, None),
        ("host.example <CA>", CERTIFICATE, "host.example", NOW, Changed(1), None),
        // The key in it may be known by itself.
        ("host.example <KEY>", CERTIFICATE, "host.example", NOW, Accepted, None),
        ("host.example <OTHER>", CERTIFICATE, "host.example", NOW, Changed(1), None),
        ("@cert-authority * <CA>\n* <KEY>", CERTIFICATE, "host.example", u64::MAX, Accepted, None),
        (
            "@cert-authority * <CA>\n* <OTHER>",
            CERTIFICATE,
            "host.example",
            u64::MAX,
            Changed(2),
            Some("expired"),
        ),
        // Neither the key nor its authority may be revoked.
        ("@cert-authority * <CA>\n@revoked * <CA>", CERTIFICATE, "host.example", NOW, Revoked(2), None),
        ("@cert-authority * <CA>\n@revoked * <KEY>", CERTIFICATE, "host.example", NOW, Revoked(2), None),
    ] {
        let verdict = known(text).check_at(&HostName::new(host, 22), &key(certificate), now);
        assert_eq!(short(&verdict), expected, "{text:?} {host}");
        let said = match verdict {
            Verdict::Unknown { certificate } | Verdict::Changed { certificate, .. } => certificate,
            _ => None,
        };
        match (&said, reason) {
            (None, None) => {}
            (Some(said), Some(reason)) if said.contains(reason) => {}
            _ => panic!("{text:?} {host}: {said:?}, not {reason:?}"),
        }
    }
}

#[test]
fn a_certificate_that_was_changed_does_not_count() {
    let known = known("@cert-authority * <CA>");
    let host = HostName::new("host.example", 22);
    let genuine = HostKey::from_openssh(CERTIFICATE).unwrap();
    assert_eq!(known.check_at(&host, &genuine, NOW), Verdict::Accepted);
    let bytes = ssh_key::Certificate::from_openssh(CERTIFICATE).unwrap().to_bytes().unwrap();
    let mut refused = 0;
    for place in (0..bytes.len()).step_by(3) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let Ok(changed) = HostKey::from_bytes(&changed) else { continue };
        assert_ne!(known.check_at(&host, &changed, NOW), Verdict::Accepted, "byte {place}");
        refused += 1;
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn all_files_count() {
    let mut both = known("host.example <OTHER>");
    both.add_text(Path::new("second"), format!("\nhost.example {KEY}\n").as_bytes());
    let host = HostName::new("host.example", 22);
    assert_eq!(both.check(&host, &key(KEY)), Verdict::Accepted);
    both.add_text(Path::new("third"), format!("@revoked * {KEY}\n").as_bytes());
    match both.check(&host, &key(KEY)) {
        Verdict::Revoked { place } => assert_eq!(place.to_string(), "third:1"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_that_do_not_count_are_told() {
    let known =
        known("host.example ssh-ed25519 AAAA\nother.example x y\n@what * <KEY>\nhost.example <KEY>\nx\n");
    let skipped = known.skipped(&HostName::new("host.example", 22));
    let said: Vec<String> = skipped.iter().map(|skipped| format!("{}", skipped.place)).collect();
    assert_eq!(said, ["known_hosts:1", "known_hosts:3"], "{skipped:?}");
}

#[test]
fn kinds_of_keys_are_known_for_the_negotiation() {
    let known = known(
        "host.example <ECDSA>\nhost.example <RSA>\n[host.example]:2222 <KEY>\n@cert-authority *.org <CA>\n@revoked * <OTHER>",
    );
    for (host, port, expected) in [
        ("host.example", 22, &["ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"][..]),
        ("host.example", 2222, &["ssh-ed25519"]),
        ("host.example", 2223, &["ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]),
        ("host.org", 22, &["ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com"]),
        ("other", 22, &[]),
    ] {
        let algorithms = known.algorithms(&HostName::new(host, port));
        for algorithm in [
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "rsa-sha2-512",
            "rsa-sha2-256",
            "ssh-rsa",
            "ssh-ed25519-cert-v01@openssh.com",
            "rsa-sha2-512-cert-v01@openssh.com",
        ] {
            assert_eq!(
                algorithms.contains(algorithm),
                expected.contains(&algorithm),
                "{host} {port} {algorithm}"
            );
        }
    }
}

#[test]
fn keys_are_told_by_their_fingerprints() {
    for text in [KEY, CERTIFICATE] {
        assert_eq!(key(text).fingerprint(), "SHA256:m316ylcUQvVU28+sgQ5EPNjqQkuAW8bGTPPnozHyUlw");
        assert_eq!(key(text).algorithm(), "ssh-ed25519");
        assert_eq!(key(text).to_openssh(), KEY);
    }
    for (text, reason) in [
        ("", "expected"),
        ("ssh-ed25519", "expected"),
        ("ssh-ed25519 AAAA", "not a public key"),
        (&KEY[..60], "not a"),
    ] {
        let error = HostKey::from_openssh(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

/// A directory for one test.
fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("known-hosts-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    directory
}

#[test]
fn a_learned_key_is_known() {
    let directory = directory("learn");
    let file = directory.join(".ssh/known_hosts");
    let hosts =
        [HostName::new("host.example", 22), HostName::new("Host.Example", 2222), HostName::new("::1", 22)];
    for hashed in [false, true] {
        for host in &hosts {
            learn(&file, host, &key(CERTIFICATE), hashed).unwrap();
            assert_eq!(KnownHosts::read(&[&file]).unwrap().check(host, &key(KEY)), Verdict::Accepted);
            let length = fs::metadata(&file).unwrap().len();
            learn(&file, host, &key(KEY), hashed).unwrap();
            assert_eq!(fs::metadata(&file).unwrap().len(), length, "written twice");
        }
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.contains("example"), !hashed, "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(directory.join(".ssh")).unwrap().mode() & 0o777, 0o700);
        fs::remove_file(&file).unwrap();
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_is_in_the_file_stays_as_it_is() {
    let directory = directory("append");
    let host = HostName::new("host.example", 22);
    for (name, before, expected) in [
        ("unended", "other KEY", "other KEY\nhost.example "),
        ("ended", "other KEY\n", "other KEY\nhost.example "),
        ("windows", "other KEY\r\n", "other KEY\r\nhost.example "),
        ("empty", "", "host.example "),
    ] {
        let file = directory.join(name);
        fs::write(&file, before).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let link = directory.join(format!("{name}-link"));
        symlink(&file, &link).unwrap();
        learn(&link, &host, &key(KEY), false).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{expected}{KEY}\n"));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644);
        assert!(link.is_symlink());
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn nothing_is_written_where_it_cannot_be_right() {
    let directory = directory("refuse");
    let file = directory.join("known_hosts");
    for name in ["", "a b", "a\nb", "a,b", "*", "!a", "|1|a|b", "@revoked", "#", "[a]:1"] {
        let error = learn(&file, &HostName::new(name, 22), &key(KEY), false).unwrap_err();
        assert!(error.to_string().contains("known_hosts"), "{error}");
    }
    assert!(!file.exists());
    let error = learn(&directory, &HostName::new("host", 22), &key(KEY), false).unwrap_err();
    assert!(error.to_string().contains("not a file"), "{error}");
    let deep = directory.join("no/such/directory");
    let error = learn(&deep, &HostName::new("host", 22), &key(KEY), false).unwrap_err();
    assert!(error.to_string().contains("no/such/directory"), "{error}");
    learn(Path::new("/dev/null"), &HostName::new("host", 22), &key(KEY), false).unwrap();
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_file_that_is_missing_is_empty_and_one_that_cannot_be_read_is_named() {
    let directory = directory("read");
    let host = HostName::new("host", 22);
    let missing = [directory.join("missing"), directory.join("no/such/directory"), "/dev/null".into()];
    assert_eq!(short(&KnownHosts::read(&missing).unwrap().check(&host, &key(KEY))), Unknown);
    let error = KnownHosts::read(&[&directory]).unwrap_err();
    assert!(error.to_string().contains(directory.to_str().unwrap()), "{error}");
    fs::remove_dir_all(directory).unwrap();
}

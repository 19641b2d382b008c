//! Single points; `tests/live/ssh_config.rs` holds whole configurations beside what `ssh -G` says of them.

use std::collections::BTreeMap;

use super::*;

/// Resolves `host` with the given files; the first is the user's, unless it is in /etc.
fn resolve_files(files: &[(&str, &str)], asked: &Asked) -> Result<HostConfig, ConfigError> {
    let texts: BTreeMap<PathBuf, &str> = files.iter().map(|(path, text)| (path.into(), *text)).collect();
    let variables = BTreeMap::from([("SSH_AUTH_SOCK", "/run/agent"), ("OTHER", "/run/other"), ("EMPTY", "")]);
    let environment = Environment {
        home: "/home/u".into(),
        user: "u".to_owned(),
        uid: 1000,
        host: "here.example.org".to_owned(),
        variable: &|name| variables.get(name).map(|value| (*value).to_owned()),
        read: &|file| match texts.get(&file.path) {
            Some(&"unreadable") => Err(io::ErrorKind::PermissionDenied.into()),
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => Err(io::ErrorKind::NotFound.into()),
        },
        entries: &|directory| {
            let inside = texts.keys().filter(|path| path.parent() == Some(directory));
            inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).rev().collect()
        },
    };
    let files = [
        ConfigFile { path: "/home/u/.ssh/config".into(), owner: Owner::User },
        ConfigFile { path: "/etc/ssh/ssh_config".into(), owner: Owner::System },
    ];
    HostConfig::resolve(asked, &files, &environment)
}

fn asked(host: &str) -> Asked {
    Asked { host: host.to_owned(), ..Asked::default() }
}

fn resolve(text: &str) -> HostConfig {
    resolve_files(&[("/home/u/.ssh/config", text)], &asked("h"))
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn paths(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().unwrap()).collect()
}

#[test]
fn without_files_all_is_as_usual() {
    let config = resolve_files(&[], &asked("Host.Example")).unwrap();
    assert_eq!((config.host_name.as_str(), config.user.as_str(), config.port), ("host.example", "u", 22));
    assert_eq!(config.identity_files.first().unwrap(), Path::new("/home/u/.ssh/id_rsa"));
    assert!(!config.identities_named && !config.identities_only && !config.batch_mode);
    assert_eq!(config.agent.as_deref(), Some(Path::new("/run/agent")));
    assert_eq!(paths(&config.user_known_hosts), ["/home/u/.ssh/known_hosts", "/home/u/.ssh/known_hosts2"]);
    assert_eq!(paths(&config.global_known_hosts), ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]);
    assert_eq!((config.host_key_check, config.hash_known_hosts), (HostKeyCheck::Ask, false));
    assert_eq!((config.proxy, config.connect_timeout, config.alive_interval), (None, None, None));
    assert_eq!((config.alive_count_max, config.password_prompts), (3, 3));
    assert!(config.public_key && config.password && config.keyboard_interactive);
}

#[test]
fn the_first_value_counts_and_the_users_file_before_the_systems() {
    let files = [
        ("/home/u/.ssh/config", "Host x\nPort 1\nHost h\nPort 2\nHost *\nPort 3\nUser a"),
        ("/etc/ssh/ssh_config", "Port 4\nUser b\nHashKnownHosts yes"),
    ];
    let config = resolve_files(&files, &asked("h")).unwrap();
    assert_eq!((config.port, config.user.as_str(), config.hash_known_hosts), (2, "a", true));
    let named = Asked { host: "h".to_owned(), user: Some("me".to_owned()), port: Some(7) };
    let config = resolve_files(&files, &named).unwrap();
    assert_eq!((config.port, config.user.as_str()), (7, "me"));
}

#[test]
fn files_are_expanded() {
    let config = resolve(
        "HostName %h.example\nUser r\nPort 5\nHostKeyAlias alias\n\
         IdentityFile ~/.ssh/%r@%h:%p\nIdentityFile /a/%n/%k/%u/%i/%L/%l/%%\nIdentityFile relative\n\
         IdentityFile none\nIdentityFile \"${OTHER}/a b\"\nCertificateFile %d/c\nUserKnownHostsFile ~ /b/%k none-such",
    );
    assert_eq!(config.host_name, "h.example");
    assert_eq!(
        paths(&config.identity_files),
        [
            "/home/u/.ssh/r@h.example:5",
            "/a/h/alias/u/1000/here/here.example.org/%",
            "relative",
            "/run/other/a b",
        ]
    );
    assert_eq!(paths(&config.certificate_files), ["/home/u/c"]);
    assert_eq!(paths(&config.user_known_hosts), ["/home/u", "/b/alias", "none-such"]);
    assert!(config.identities_named);
    let config = resolve("HostName x\nRevokedHostKeys ~/%h ${OTHER}/r\nRevokedHostKeys /late");
    assert_eq!(paths(&config.revoked_host_keys), ["/home/u/x", "/run/other/r"]);
    let config = resolve("RevokedHostKeys none\nIdentityFile none\nUserKnownHostsFile none\nIdentityFile %C");
    assert_eq!(paths(&config.identity_files), ["eb29eb662543bd91ac7ada4574fc0306cf9cddec"]);
    assert!(config.user_known_hosts.is_empty() && config.revoked_host_keys.is_empty());
}

#[test]
fn the_agent_is_the_one_that_is_named() {
    for (text, expected) in [
        ("", Some("/run/agent")),
        ("IdentityAgent none", None),
        ("IdentityAgent SSH_AUTH_SOCK", Some("/run/agent")),
        ("IdentityAgent $OTHER", Some("/run/other")),
        ("IdentityAgent ${OTHER}/%r", Some("/run/other/u")),
        ("IdentityAgent $MISSING", None),
        ("IdentityAgent $EMPTY", None),
        ("IdentityAgent ~/agent.sock", Some("/home/u/agent.sock")),
    ] {
        assert_eq!(resolve(text).agent.as_deref(), expected.map(Path::new), "{text}");
    }
}

#[test]
fn the_way_to_a_host_is_what_comes_first() {
    let hop = |user: Option<&str>, host: &str, port| Hop {
        user: user.map(str::to_owned),
        host: host.to_owned(),
        port,
    };
    for (text, expected) in [
        ("ProxyJump none", None),
        ("ProxyCommand none", None),
        ("ProxyCommand none\nProxyJump a", None),
        ("ProxyJump none\nProxyJump a", None),
        ("ProxyJump a", Some(Proxy::Jump(vec![hop(None, "a", None)]))),
        ("ProxyJump a\nProxyCommand b", Some(Proxy::Jump(vec![hop(None, "a", None)]))),
        (
            "ProxyJump a@b:1,ssh://c@d:2,[::1]:3,::2,e@f@g",
            Some(Proxy::Jump(vec![
                hop(Some("a"), "b", Some(1)),
                hop(Some("c"), "d", Some(2)),
                hop(None, "::1", Some(3)),
                hop(None, "::2", None),
                hop(Some("e@f"), "g", None),
            ])),
        ),
        ("ProxyJump %r@gate-%n", Some(Proxy::Jump(vec![hop(Some("u"), "gate-h", None)]))),
        (
            "HostName x\nProxyCommand  nc -X \"5\" %h %p %r %n %% # as it is",
            Some(Proxy::Command("nc -X \"5\" x 22 u h % # as it is".to_owned())),
        ),
        ("ProxyJump none\nProxyCommand a", Some(Proxy::Command("a".to_owned()))),
    ] {
        assert_eq!(resolve(text).proxy, expected, "{text}");
    }
    let hops = ["a@b:1", "[::1]:3", "g"];
    let Some(Proxy::Jump(read)) = resolve(&format!("ProxyJump {}", hops.join(","))).proxy else { panic!() };
    assert_eq!(read.iter().map(Hop::to_string).collect::<Vec<_>>(), hops);
}

#[test]
fn files_are_included() {
    let files = [
        (
            "/home/u/.ssh/config",
            "Include conf.d/* ~/more /etc/ssh/missing\nHost g\nInclude hidden\nHost *\nUser last",
        ),
        ("/home/u/.ssh/conf.d/b", "Port 2"),
        ("/home/u/.ssh/conf.d/a", "Host h\nPort 1\nHost other\nUser other"),
        ("/home/u/.ssh/conf.d/.hidden", "Port 99"),
        ("/home/u/.ssh/hidden", "Host *\nUser hidden"),
        ("/home/u/more", "HostName more"),
        ("/etc/ssh/ssh_config", "Include ssh_config.d/*.conf"),
        ("/etc/ssh/ssh_config.d/x.conf", "BatchMode yes"),
        ("/etc/ssh/ssh_config.d/x.conf~", "nonsense"),
    ];
    let config = resolve_files(&files, &asked("h")).unwrap();
    assert_eq!((config.port, config.user.as_str(), config.host_name.as_str()), (1, "last", "more"));
    assert!(config.batch_mode);
}

#[test]
fn errors_name_the_file_and_the_line() {
    let config = "/home/u/.ssh/config";
    for (text, line, reason) in [
        ("\nPort x", 2, "a port of 1 to 65535"),
        ("Port 0", 1, "a port of 1 to 65535"),
        ("Host other\nPort 65536", 2, "a port of 1 to 65535"),
        ("Prot 22", 1, "\"prot\" is unknown"),
        ("User", 1, "a value is expected"),
        ("User a b", 1, "before \"b\""),
        ("User \"a", 1, "never closed"),
        ("BatchMode maybe", 1, "yes or no"),
        ("StrictHostKeyChecking sometimes", 1, "accept-new"),
        ("ConnectTimeout soon", 1, "a time is expected"),
        ("ConnectTimeout 99999999999", 1, "a time is expected"),
        ("ServerAliveCountMax -1", 1, "a number"),
        ("UserKnownHostsFile a none", 1, "stand alone"),
        ("ProxyJump @a", 1, "user@host:port"),
        ("ProxyJump -oProxyCommand=x", 1, "user@host:port"),
        ("ProxyJump a;b", 1, "user@host:port"),
        ("Host", 1, "after Host"),
        ("Match", 1, "after Match"),
        ("Match host", 1, "after \"host\""),
        ("Match all host h", 1, "after \"all\""),
        ("Match weather fine", 1, "\"weather\" is none of"),
        ("Match exec true", 1, "no programs are run"),
        ("Include", 1, "after Include"),
        ("Include config", 1, "deep"),
        ("HostName %n", 1, "%n means nothing here"),
        ("IdentityFile ${MISSING}/x", 1, "\"MISSING\" is not set"),
        ("IdentityFile ~other/x", 1, "another user"),
        ("AddressFamily ipx", 1, "inet6"),
    ] {
        let error = resolve_files(&[(config, text)], &asked("h")).expect_err(text);
        assert_eq!((error.file.as_path(), error.line), (Path::new(config), Some(line)), "{text}: {error}");
        let said = error.to_string();
        assert!(said.contains(reason) && said.contains(&format!("config:{line}: ")), "{text}: {said}");
    }
    let error = resolve_files(&[(config, "unreadable")], &asked("h")).unwrap_err();
    assert!(error.to_string().starts_with("/home/u/.ssh/config: cannot be read"), "{error}");
    for host in ["", "-oProxyCommand=x", "a b", "a;b", "a\n"] {
        assert!(resolve_files(&[], &asked(host)).is_err(), "{host:?}");
    }
}

#[test]
fn a_condition_that_would_run_a_program_matters_only_where_it_decides() {
    let config = resolve("Match host other exec \"touch /x\"\nUser other\nMatch all\nUser all");
    assert_eq!(config.user, "all");
}

#[test]
fn what_has_no_effect_is_noted_for_the_hosts_that_it_is_about() {
    let config = resolve(
        "GSSAPIAuthentication yes\nHost h\nVerifyHostKeyDNS yes\nForwardAgent yes\nHost x\nBindAddress y",
    );
    let notes: Vec<String> = config.notes.iter().map(Note::to_string).collect();
    let expected = ["config:1: gssapiauthentication", "config:3: verifyhostkeydns"];
    assert!(
        notes.len() == 2 && notes.iter().zip(expected).all(|(note, part)| note.contains(part)),
        "{notes:?}"
    );
}

#[test]
fn this_machine_has_a_configuration() {
    let config =
        HostConfig::for_host(&Asked { user: Some("somebody".to_owned()), ..asked("no-such-host.invalid") });
    // What stands in the files of whoever runs this is not known here.
    match config {
        Ok(config) => assert_eq!(config.user, "somebody"),
        Err(error) => assert!(error.file.is_absolute(), "{error}"),
    }
}

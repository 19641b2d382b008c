//! What each parameter does, what it may be, and what the daemon is told of the URI.

use super::*;
use crate::uri::{HostKeyPolicy, SshMethod};

#[test]
fn the_daemon_is_asked_for_what_is_not_for_the_client() {
    // Seen in what libvirt's own client writes.
    for (uri, expected) in [
        ("qemu:///system", Some("qemu:///system")),
        ("qemu:/system", Some("qemu:///system")),
        ("QEMU+SSH://h/system", Some("QEMU:///system")),
        ("qemu+ssh://h", Some("qemu://")),
        ("qemu+ssh://u@h:7/x", Some("qemu:///x")),
        ("qemu+ssh://[::1]/x", Some("qemu:///x")),
        ("xen+ssh://h/", Some("xen:///")),
        ("test+unix:///default?socket=/a", Some("test:///default")),
        ("test:///tmp/a%20node.xml", Some("test:///tmp/a%20node.xml")),
        ("qemu:///a%20b%2fc;d:e@f&g=h+i$j,k", Some("qemu:///a%20b/c;d%3Ae@f&g=h+i$j,k")),
        (
            "qemu:///system?foo=a%2Fb-_.!~*'():@,+%20z",
            Some("qemu:///system?foo=a%2Fb-_.%21~%2A%27%28%29%3A%40%2C%2B%20z"),
        ),
        ("qemu:///system?a=1;b=2&c=3", Some("qemu:///system?a=1%3Bb%3D2&c=3")),
        ("qemu:///system?c=3&a=1;b=2", Some("qemu:///system?c=3&a=1&b=2")),
        ("qemu:///system?=x&a&b=&&c", Some("qemu:///system?a=&b=&c=")),
        ("qemu:///system?A%20b=c%c3%a9", Some("qemu:///system?A b=c%C3%A9")),
        ("qemu:///system?a==b=c", Some("qemu:///system?a=%3Db%3Dc")),
        ("qemu:///system?unknown=1#frag%20ment", Some("qemu:///system?unknown=1#frag%20ment")),
        ("qemu:///system?socket=/a&x=1%262&Mode=auto&AuthFile=/y#f", Some("qemu:///system?x=1%262#f")),
        ("qemu:///system?name=test:///default", Some("test:///default")),
        ("qemu:///system?name=foo&a=1", Some("foo")),
        ("qemu:///system?name=", None),
        ("remote:///", None),
        ("Remote+ssh://h/system", None),
        ("+ssh://h/system", None),
    ] {
        assert_eq!(root().plan(uri).unwrap().name.as_deref(), expected, "{uri}");
    }
}

/// A line for each parameter that libvirt's documentation has, with what it changes.
#[test]
fn each_parameter_changes_what_it_is_for() {
    let plan = |uri: &str| user().plan(uri).unwrap();
    let ssh = |uri: &str| match plan(uri).route {
        Route::Ssh(route) => route,
        other => panic!("{uri}: {other:?}"),
    };
    let tls = |uri: &str| match plan(uri).route {
        Route::Tls(route) => route,
        other => panic!("{uri}: {other:?}"),
    };
    let command = |uri: &str| match plan(uri).route {
        Route::Command(route) => route,
        other => panic!("{uri}: {other:?}"),
    };

    assert_eq!(plan("qemu:///system?name=lxc:///").name.as_deref(), Some("lxc:///"));
    assert_eq!(command("qemu+ssh://h/system?command=/opt/ssh").program, Path::new("/opt/ssh"));
    assert_eq!(
        command("qemu+ext:///system?command=/opt/tunnel"),
        CommandRoute { program: "/opt/tunnel".into(), arguments: Vec::new() }
    );
    assert_eq!(plan("qemu:///system?socket=/a").socket(), Some(Path::new("/a")));
    assert_eq!(ssh("qemu+ssh://h/system?socket=/a").remote.socket(), Some("/a"));
    assert_eq!(plan("qemu:///system?auth=polkit").auth.as_deref(), Some("polkit"));
    assert_eq!(
        plan("qemu+tcp://h/system?auth=sasl.SCRAM-SHA-256").auth.as_deref(),
        Some("sasl.SCRAM-SHA-256")
    );
    assert_eq!(plan("qemu:///system?authfile=/a").auth_file.unwrap().path, Path::new("/a"));
    assert_eq!(
        ssh("qemu+libssh://h/system?sshauth=password,agent").methods,
        [SshMethod::Password, SshMethod::Agent]
    );
    assert!(ssh("qemu+ssh://h/system?netcat=/opt/nc").remote.command().contains("'/opt/nc' $ARG -U"));
    assert_eq!(ssh("qemu+ssh://h/system?keyfile=/k").key_file.as_deref(), Some(Path::new("/k")));
    assert_eq!(ssh("qemu+libssh2://h/system?known_hosts=/k").known_hosts.as_deref(), Some(Path::new("/k")));
    for (value, policy) in [
        ("normal", HostKeyPolicy::Ask),
        ("auto", HostKeyPolicy::AcceptNew),
        ("ignore", HostKeyPolicy::Ignore),
    ] {
        assert_eq!(ssh(&format!("qemu+libssh://h/system?known_hosts_verify={value}")).host_keys, policy);
    }
    assert_eq!(ssh("qemu+ssh://h/system?no_verify=1").host_keys, HostKeyPolicy::AcceptNew);
    assert_eq!(ssh("qemu+ssh://h/system?no_verify=0").host_keys, HostKeyPolicy::Default);
    assert!(!tls("qemu://h/system?no_verify=1").verify && tls("qemu://h/system").verify);
    assert!(ssh("qemu+ssh://h/system?no_tty=1").batch && !ssh("qemu+ssh://h/system").batch);
    assert!(!tls("qemu://h/system?no_sanity=1").sanity && tls("qemu://h/system").sanity);
    assert_eq!(tls("qemu://h/system?pkipath=/p").files.ca, Path::new("/p/cacert.pem"));
    assert_eq!(tls("qemu://h/system?tls_priority=NORMAL").priority.as_deref(), Some("NORMAL"));
    assert!(plan("qemu:///system?mode=direct").socket().unwrap().ends_with("virtqemud-sock"));
    assert!(matches!(ssh("qemu+ssh://h/system?proxy=native").remote, RemoteSide::Helper { .. }));
}

#[test]
fn flags_are_numbers() {
    for flag in ["no_verify", "no_tty", "no_sanity"] {
        for good in ["0", "1", "-1", "+1", "%201", "007"] {
            assert!(root().plan(&format!("qemu+ssh://h/system?{flag}={good}")).is_ok(), "{flag}={good}");
        }
        for wrong in ["true", "yes", "", "0x1", "1x", "99999999999"] {
            let error = root().plan(&format!("qemu+ssh://h/system?{flag}={wrong}")).unwrap_err().to_string();
            assert!(error.contains(&format!("\"{flag}={wrong}\" is no number")), "{error}");
        }
    }
}

#[test]
fn what_cannot_be_meant_is_said() {
    for (uri, reason) in [
        ("test:///default?mode=direct", "has no daemon of its own"),
        ("remote:///?mode=direct", "has no daemon of its own"),
        ("qemu+ssh://h/system?mode=direct", "for sockets of this machine"),
        ("qemu:///system?mode=LEGACY", "none of auto, legacy and direct"),
        ("qemu:///system?socket=", "\"socket\" is empty"),
        ("qemu+ext:///system", "?command="),
        ("qemu:///system?auth=kerberos", "\"auth=kerberos\" is none of sasl"),
        ("qemu:///system?auth=sasl.", "none of sasl"),
        ("qemu+ssh://h/system?proxy=nc", "none of auto, netcat and native"),
        ("qemu+ssh://h/system?proxy=native&netcat=/nc", "\"netcat\" names a program"),
        ("qemu+ssh://h/session?netcat=/nc", "\"netcat\" names a program"),
        ("qemu+libssh://h/system?sshauth=agent,pasword", "parted by commas, of agent"),
        ("qemu+libssh://h/system?sshauth=", "parted by commas, of agent"),
        ("qemu+libssh://h/system?known_hosts_verify=no", "normal, auto and ignore"),
    ] {
        let error = user().plan(uri).unwrap_err().to_string();
        assert!(error.contains(reason), "{uri}: {error}");
    }
}

#[test]
fn what_means_nothing_for_a_transport_is_noted() {
    for (uri, name) in [
        ("qemu:///system?no_tty=1", "no_tty"),
        ("qemu+tcp://h/system?pkipath=/p", "pkipath"),
        ("qemu+libssh://h/system?no_verify=1", "no_verify"),
        ("qemu+tls://h/system?SOCKET=/s", "socket"),
    ] {
        let plan = root().plan(uri).unwrap();
        let note = format!("\"{name}\" means nothing for");
        assert!(plan.steps.iter().any(|step| step.starts_with(&note)), "{plan}");
    }
    let plan = root().plan("qemu+ssh://h/system?no_tty=1&mode=auto&unknown=1").unwrap();
    assert!(!plan.to_string().contains("means nothing"), "{plan}");
}

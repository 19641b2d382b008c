//! SSH: where to, as whom, what runs there, and the system's ssh in the words of libvirt's own client.

use super::*;

/// The parts of the commands that libvirt's own client has been seen to give to ssh.
const NETCAT: &str = "if 'nc' -q 2>&1 | grep \"requires an argument\" >/dev/null 2>&1; then ARG=-q0;else ARG=;fi;'nc' $ARG -U ";
const SYSTEMS: &str = "/var/run/libvirt/libvirt-sock";

fn auto(helper: &str, socket: &str) -> String {
    format!(
        "sh -c 'which virt-ssh-helper 1>/dev/null 2>&1; if test $? = 0; then     virt-ssh-helper {helper}; else    {NETCAT}{socket}; fi'"
    )
}

fn netcat(socket: &str) -> String {
    format!("sh -c '{NETCAT}{socket}'")
}

fn native(helper: &str) -> String {
    format!("sh -c 'virt-ssh-helper {helper}'")
}

fn command(plan: Plan) -> String {
    match plan.route {
        Route::Ssh(route) => route.remote.command(),
        Route::Command(route) => route.arguments.last().unwrap().clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_far_side_runs_what_libvirts_own_client_would_run() {
    for (uri, expected) in [
        ("qemu+ssh://h/system", auto("'qemu:///system'", SYSTEMS)),
        ("qemu+libssh://h/system", auto("'qemu:///system'", SYSTEMS)),
        ("test+ssh://h/default?proxy=auto", auto("'test:///default'", "/run/user/1000/libvirt/libvirt-sock")),
        ("test+ssh://h/default", native("'test:///default'")),
        ("qemu+ssh://h/session", native("'qemu:///session'")),
        ("remote+ssh://h/session", native(r"'''\'''\''''")),
        ("qemu+ssh://h/session?proxy=netcat", netcat("/run/user/1000/libvirt/libvirt-sock")),
        ("qemu+ssh://h/session?socket=/s", netcat("/s")),
        ("qemu+ssh://h/system?socket=/s&proxy=auto", auto(r"'''\''qemu:///system?socket=%2Fs'\''''", "/s")),
        ("qemu+ssh://h/system?proxy=netcat", netcat(SYSTEMS)),
        ("qemu+ssh://h/system?proxy=native", native("'qemu:///system'")),
        ("qemu+ssh://h/system?proxy=native&x=1#f", native(r"'''\''qemu:///system?x=1#f'\''''")),
        ("qemu+ssh://h/system?proxy=native&name=", native(r"'''\'''\''''")),
        ("qemu+ssh://h/system?proxy=native&mode=legacy", native(r"'''\''qemu:///system?mode=legacy'\''''")),
    ] {
        assert_eq!(command(user().plan(uri).unwrap()), expected, "{uri}");
        // The same by the system's ssh.
        let separator = if uri.contains('?') { '&' } else { '?' };
        let (uri, fragment) =
            uri.split_once('#').map_or((uri, String::new()), |(uri, rest)| (uri, format!("#{rest}")));
        if uri.contains("+ssh") {
            let uri = format!("{uri}{separator}command=/ssh{fragment}");
            assert_eq!(command(user().plan(&uri).unwrap()), expected, "{uri}");
        }
    }
}

#[test]
fn roots_session_is_the_systems_there_too() {
    assert_eq!(command(root().plan("qemu+ssh://h/session").unwrap()), auto("'qemu:///session'", SYSTEMS));
}

#[test]
fn reading_only_is_passed_on() {
    let read_only = |uri| command(user().plan_read_only(uri).unwrap());
    assert_eq!(read_only("qemu+ssh://h/system?proxy=native"), native("-r 'qemu:///system'"));
    assert_eq!(read_only("qemu+ssh://h/system?proxy=netcat"), netcat("/var/run/libvirt/libvirt-sock-ro"));
    assert_eq!(
        read_only("qemu+ssh://h/system"),
        auto("-r 'qemu:///system'", "/var/run/libvirt/libvirt-sock-ro")
    );
    assert_eq!(read_only("qemu+ssh://h/session"), native("-r 'qemu:///session'"));
}

#[test]
fn the_other_hosts_socket_does_not_depend_on_this_machine() {
    for system in [System::Linux, System::MacOsArm, System::MacOsIntel, System::FreeBsd, System::Windows] {
        let machine = user().on(system).variable("HOMEBREW_PREFIX", "/opt/homebrew");
        let machine = machine
            .file("/opt/homebrew/var/run/libvirt/libvirt-sock")
            .file("/var/run/libvirt/virtqemud-sock");
        assert_eq!(command(machine.plan("qemu+ssh://h/system").unwrap()), auto("'qemu:///system'", SYSTEMS));
    }
    let error =
        user().on(System::MacOsArm).plan("qemu+ssh://h/session?proxy=netcat").unwrap_err().to_string();
    assert!(error.contains("name it with \"socket=\""), "{error}");
}

#[test]
fn the_systems_ssh_gets_the_arguments_of_libvirts_own_client() {
    for (uri, expected) in [
        ("qemu+ssh://h/session", &["-T", "-e", "none", "--", "h"][..]),
        ("qemu+ssh:///session", &["-T", "-e", "none", "--", "localhost"]),
        ("qemu+ssh://[fe80::1%25eth0]/session", &["-T", "-e", "none", "--", "fe80::1%eth0"]),
        (
            "qemu+ssh://u@h:7/session?keyfile=/k&no_tty=1&no_verify=1",
            &[
                "-p",
                "7",
                "-l",
                "u",
                "-i",
                "/k",
                "-T",
                "-e",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "--",
                "h",
            ],
        ),
    ] {
        let options = Options::default().system_ssh(true);
        let Route::Command(route) = Plan::new(uri, options, &user().environment()).unwrap().route else {
            panic!("{uri}")
        };
        assert_eq!(route.program, Path::new("ssh"));
        let expected: Vec<&str> =
            expected.iter().copied().chain(["sh -c 'virt-ssh-helper 'qemu:///session''"]).collect();
        assert_eq!(route.arguments, expected, "{uri}");
    }
    // libssh has no program.
    let plan =
        Plan::new("qemu+libssh://h/system", Options::default().system_ssh(true), &user().environment());
    assert!(matches!(plan.unwrap().route, Route::Ssh(_)));
}

#[test]
fn the_libraries_have_defaults_of_their_own() {
    let route = |machine: Machine, uri: &str| match machine.plan(uri).unwrap().route {
        Route::Ssh(route) => route,
        other => panic!("{other:?}"),
    };
    let ssh = route(user().file("/home/u/.ssh/id_rsa"), "qemu+ssh://u@h/system");
    assert_eq!((ssh.host.as_str(), ssh.port, ssh.user.as_deref()), ("h", None, Some("u")));
    assert_eq!((ssh.key_file, ssh.known_hosts, ssh.host_keys), (None, None, HostKeyPolicy::Default));
    assert_eq!((ssh.methods.len(), ssh.flavour), (4, SshFlavour::Ssh));

    for (scheme, flavour) in [("qemu+libssh", SshFlavour::Libssh), ("qemu+libssh2", SshFlavour::Libssh2)] {
        let uri = format!("{scheme}://h/system");
        let without_key = route(user(), &uri);
        assert_eq!((without_key.port, without_key.flavour, without_key.user), (Some(22), flavour, None));
        assert_eq!(
            without_key.known_hosts.as_deref(),
            Some(Path::new("/home/u/.config/libvirt/known_hosts"))
        );
        assert_eq!(without_key.host_keys, HostKeyPolicy::Ask);
        assert!(!without_key.methods.contains(&SshMethod::PrivateKey));
        let with_key = route(user().files(&["/home/u/.ssh/id_rsa", "/home/u/.ssh/id_ecdsa"]), &uri);
        assert_eq!(with_key.key_file.as_deref(), Some(Path::new("/home/u/.ssh/id_ecdsa")));
        assert_eq!(with_key.methods, SshMethod::ALL);
    }
    assert_eq!(route(user(), "qemu+libssh://h:7/system").port, Some(7));
}

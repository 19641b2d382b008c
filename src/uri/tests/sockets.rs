//! Which local socket it is, for URIs, users and machines.

use super::*;

const LEGACY: &str = "/var/run/libvirt/libvirt-sock";
const LEGACY_RO: &str = "/var/run/libvirt/libvirt-sock-ro";
const QEMU: &str = "/var/run/libvirt/virtqemud-sock";
const QEMU_RO: &str = "/var/run/libvirt/virtqemud-sock-ro";
const SESSION: &str = "/run/user/1000/libvirt/libvirt-sock";
const SESSION_QEMU: &str = "/run/user/1000/libvirt/virtqemud-sock";

fn socket(plan: Result<Plan>) -> String {
    match plan {
        Ok(plan) => plan.socket().expect("a Unix socket").display().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn roots_sockets_are_the_systems() {
    for (uri, existing, expected) in [
        ("qemu:///system", &[][..], LEGACY),
        ("qemu:///system", &[LEGACY], LEGACY),
        ("qemu:///system", &[QEMU], QEMU),
        ("qemu:///system", &[LEGACY, QEMU], QEMU),
        ("qemu:///system", &[QEMU_RO, LEGACY_RO], LEGACY),
        ("QEMU:///system", &[QEMU], QEMU),
        ("qemu:/system", &[QEMU], QEMU),
        ("qemu+unix:///system", &[QEMU], QEMU),
        ("qemu:///system?mode=auto", &[LEGACY, QEMU], QEMU),
        ("qemu:///system?mode=legacy", &[LEGACY, QEMU], LEGACY),
        ("qemu:///system?MODE=legacy", &[LEGACY, QEMU], LEGACY),
        ("qemu:///system?mode=direct&mode=legacy", &[LEGACY, QEMU], LEGACY),
        ("qemu:///system?mode=direct", &[LEGACY], QEMU),
        ("qemu:///session", &[], LEGACY),
        ("qemu:///session", &[SESSION], LEGACY),
        ("qemu:///session", &[QEMU], QEMU),
        ("test:///default", &[], LEGACY),
        ("test+unix:///default", &[QEMU], LEGACY),
        ("remote:///system", &[QEMU], LEGACY),
        ("remote:///", &[LEGACY, QEMU], LEGACY),
        ("xen:///system", &["/var/run/libvirt/virtxend-sock"], "/var/run/libvirt/virtxend-sock"),
        ("xen", &["/var/run/libvirt/virtxend-sock"], "/var/run/libvirt/virtxend-sock"),
        ("network:///system", &["/var/run/libvirt/virtnetworkd-sock"], "/var/run/libvirt/virtnetworkd-sock"),
        ("storage:///system", &["/var/run/libvirt/virtstoraged-sock"], "/var/run/libvirt/virtstoraged-sock"),
        ("nodedev:///system", &["/var/run/libvirt/virtnodedevd-sock"], "/var/run/libvirt/virtnodedevd-sock"),
        ("ch:///system", &["/var/run/libvirt/virtchd-sock", LEGACY], "/var/run/libvirt/virtchd-sock"),
        ("lxc:///system", &[QEMU], LEGACY),
        ("qemu:///system?socket=/a%20b", &[LEGACY], "/a b"),
        ("qemu:///system?SOCKET=@abstract", &[], "@abstract"),
        ("qemu:///system?socket=/a&socket=/b", &[], "/b"),
    ] {
        let machine = root().files(existing).variable("XDG_RUNTIME_DIR", "/run/user/1000");
        let plan = machine.plan(uri);
        assert_eq!(socket(plan), expected, "{uri} with {existing:?}");
    }
}

#[test]
fn read_only_sockets_are_the_systems_alone() {
    for (uri, uid, existing, expected) in [
        ("qemu:///system", 0, &[][..], LEGACY_RO),
        ("qemu:///system", 0, &[QEMU_RO], QEMU_RO),
        ("qemu:///system", 0, &[QEMU], LEGACY_RO),
        ("qemu:///system", 1000, &[LEGACY_RO], LEGACY_RO),
        ("qemu:///system?mode=direct", 1000, &[], QEMU_RO),
        ("qemu:///session", 0, &[], LEGACY_RO),
        ("qemu:///session", 1000, &[], SESSION),
        ("test:///default", 1000, &[], SESSION),
        ("test:///default", 0, &[], LEGACY_RO),
        ("test:///default?socket=/a", 0, &[], "/a"),
    ] {
        let mut machine = user().files(existing);
        machine.uid = uid;
        assert_eq!(socket(machine.plan_read_only(uri)), expected, "{uri} as {uid} with {existing:?}");
    }
}

#[test]
fn users_have_a_session() {
    for (uri, existing, expected) in [
        ("qemu:///session", &[][..], SESSION),
        ("qemu:///session", &[SESSION_QEMU], SESSION_QEMU),
        ("qemu:///session", &[SESSION, SESSION_QEMU], SESSION_QEMU),
        ("qemu:///session?mode=legacy", &[SESSION_QEMU], SESSION),
        ("qemu:///session?mode=direct", &[SESSION], SESSION_QEMU),
        ("qemu:///session", &[QEMU, LEGACY], SESSION),
        ("qemu:///system", &[QEMU, SESSION], QEMU),
        ("qemu:///system", &[], LEGACY),
        ("qemu:///sessions", &[], LEGACY),
        ("remote:///session", &[SESSION_QEMU], SESSION),
        ("remote:///", &[SESSION], LEGACY),
        ("test:///default", &[], SESSION),
        ("test+unix:///tmp/node.xml", &[], SESSION),
    ] {
        assert_eq!(socket(user().files(existing).plan(uri)), expected, "{uri} with {existing:?}");
    }
}

#[test]
fn a_sessions_directory_is_found_by_variables() {
    let bare = || user().without("XDG_RUNTIME_DIR");
    for (machine, expected) in [
        (user().variable("XDG_CACHE_HOME", "/c"), SESSION),
        (bare().variable("XDG_CACHE_HOME", "/c"), "/c/libvirt/libvirt-sock"),
        (bare(), "/home/u/.cache/libvirt/libvirt-sock"),
        (bare().variable("XDG_RUNTIME_DIR", ""), "/home/u/.cache/libvirt/libvirt-sock"),
        (bare().on(System::MacOsArm), "/home/u/.cache/libvirt/libvirt-sock"),
        (bare().on(System::FreeBsd), "/home/u/.cache/libvirt/libvirt-sock"),
    ] {
        assert_eq!(socket(machine.plan("qemu:///session")), expected);
    }

    let machine = bare();
    let mut environment = machine.environment();
    environment.home = None;
    let error = Plan::new("qemu:///session", Options::default(), &environment).unwrap_err();
    assert!(error.to_string().contains("XDG_RUNTIME_DIR"), "{error}");
}

#[test]
fn other_systems_have_other_directories() {
    const ARM: &str = "/opt/homebrew/var/run/libvirt/libvirt-sock";
    const INTEL: &str = "/usr/local/var/run/libvirt/libvirt-sock";
    const MACPORTS: &str = "/opt/mine/var/run/libvirt/libvirt-sock";
    let prefix = |machine: Machine| machine.variable("HOMEBREW_PREFIX", "/opt/mine");
    for (machine, expected) in [
        (user().on(System::MacOsArm), ARM),
        (user().on(System::MacOsIntel), INTEL),
        (user().on(System::MacOsArm).files(&[INTEL]), INTEL),
        (user().on(System::MacOsIntel).files(&[ARM]), ARM),
        (user().on(System::MacOsArm).files(&[ARM, INTEL, LEGACY]), ARM),
        (user().on(System::MacOsArm).files(&[LEGACY]), LEGACY),
        (prefix(user().on(System::MacOsArm)), MACPORTS),
        (prefix(user().on(System::MacOsArm)).files(&[ARM]), ARM),
        (prefix(user()), LEGACY),
        (user().on(System::FreeBsd), LEGACY),
    ] {
        assert_eq!(
            socket(machine.plan("qemu:///system")),
            expected,
            "{:?} {:?}",
            machine.system,
            machine.files
        );
    }
    let modular = "/opt/homebrew/var/run/libvirt/virtqemud-sock";
    assert_eq!(socket(user().on(System::MacOsArm).files(&[ARM, modular]).plan("qemu:///system")), modular);

    let error = user().on(System::Windows).plan("qemu:///system").unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("qemu+ssh://host/system"), "{error}");
    assert!(user().on(System::Windows).plan("qemu:///system?socket=/a").unwrap_err().is_unsupported());
    assert!(user().on(System::Windows).plan("qemu+ssh://h/system").is_ok());
}

#[test]
fn without_a_uri_any_daemon_will_do() {
    const XEN: &str = "/var/run/libvirt/virtxend-sock";
    const LXC: &str = "/var/run/libvirt/virtlxcd-sock";
    const VBOX: &str = "/run/user/1000/libvirt/virtvboxd-sock";
    for (machine, expected) in [
        (root(), LEGACY),
        (root().files(&[LEGACY]), LEGACY),
        (root().files(&[LEGACY, QEMU]), LEGACY),
        (root().files(&[QEMU, XEN, LXC]), XEN),
        (root().files(&[LXC]), LXC),
        (root().files(&["/usr/sbin/virtqemud"]), LEGACY),
        (user(), SESSION),
        (user().files(&[LEGACY, QEMU]), SESSION),
        (user().files(&[VBOX]), VBOX),
        (user().files(&[VBOX, SESSION_QEMU]), SESSION_QEMU),
        (user().files(&[SESSION, "/usr/bin/virtqemud"]), SESSION),
        (user().files(&[SESSION, SESSION_QEMU]), SESSION),
        (root().contents("/etc/libvirt/libvirt.conf", "remote_mode='direct'").files(&[LEGACY, LXC]), LXC),
        (user().files(&["/usr/bin/virtqemud"]), SESSION_QEMU),
        (
            user()
                .contents("/home/u/.config/libvirt/libvirt.conf", "remote_mode='legacy'")
                .files(&[SESSION_QEMU]),
            SESSION,
        ),
    ] {
        let plan = machine.plan("").unwrap();
        assert_eq!((plan.uri.as_ref(), plan.name.as_ref()), (None, None), "{plan}");
        assert_eq!(socket(Ok(plan)), expected, "{:?}", machine.files);
    }
    assert_eq!(socket(root().plan_read_only("")), LEGACY_RO);
    assert_eq!(socket(user().plan_read_only("")), SESSION);
}

#[test]
fn a_sessions_daemon_is_started_if_it_is_installed() {
    let libvirtd = || user().file("/usr/sbin/libvirtd");
    let both = || libvirtd().file("/usr/sbin/virtqemud");
    for (machine, uri, expected) in [
        (user(), "qemu:///session", None),
        (libvirtd(), "qemu:///session", Some("/usr/sbin/libvirtd")),
        (libvirtd(), "", Some("/usr/sbin/libvirtd")),
        (libvirtd(), "test:///default", Some("/usr/sbin/libvirtd")),
        (libvirtd(), "qemu:///system", None),
        (libvirtd(), "qemu:///session?socket=/a", None),
        (libvirtd().variable("LIBVIRT_AUTOSTART", "0"), "qemu:///session", None),
        (libvirtd().variable("LIBVIRT_AUTOSTART", "1"), "qemu:///session", Some("/usr/sbin/libvirtd")),
        (libvirtd().file("/usr/bin/libvirtd"), "qemu:///session", Some("/usr/bin/libvirtd")),
        (libvirtd().variable("LIBVIRTD_PATH", "/d"), "qemu:///session", None),
        (
            libvirtd().file("/d/libvirtd").variable("LIBVIRTD_PATH", "/d"),
            "qemu:///session",
            Some("/d/libvirtd"),
        ),
        (
            libvirtd()
                .files(&["/d/libvirtd", "/e/libvirtd"])
                .variable("LIBVIRTD_PATH", "/d")
                .variable("VIRTD_PATH", "/e"),
            "qemu:///session",
            Some("/e/libvirtd"),
        ),
        (both(), "qemu:///session", Some("/usr/sbin/virtqemud")),
        (both(), "qemu:///session?mode=legacy", Some("/usr/sbin/libvirtd")),
        (both().file(SESSION), "qemu:///session", Some("/usr/sbin/libvirtd")),
        (libvirtd(), "qemu:///session?mode=direct", None),
        (
            user().on(System::MacOsArm).file("/opt/homebrew/sbin/libvirtd"),
            "qemu:///session",
            Some("/opt/homebrew/sbin/libvirtd"),
        ),
    ] {
        let plan = machine.plan(uri).unwrap();
        let Route::Unix(socket) = &plan.route else { panic!("{plan}") };
        let program = socket.autostart.as_ref().map(|autostart| autostart.program.display().to_string());
        assert_eq!(program.as_deref(), expected, "{plan}");
    }
    let plan = both().plan("qemu:///session").unwrap();
    let Route::Unix(socket) = plan.route else { panic!("{plan}") };
    assert_eq!(socket.path, Path::new(SESSION_QEMU));
    let autostart = socket.autostart.unwrap();
    assert_eq!(autostart.lock, Path::new("/run/user/1000/libvirt/virtqemud.lock"));
    assert!(autostart.arguments.contains(&"--timeout=120".to_owned()));
}

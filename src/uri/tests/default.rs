//! Which URI it is, by variables and libvirt.conf.

use super::*;

const OWN: &str = "/home/u/.config/libvirt/libvirt.conf";
const SYSTEMS: &str = "/etc/libvirt/libvirt.conf";

fn uri(machine: &Machine, given: &str) -> Option<String> {
    machine.plan(given).unwrap().uri.map(|uri| uri.text)
}

#[test]
fn the_default_is_the_variables_else_the_files() {
    let file = |path: &str, default: &str| user().contents(path, &format!("uri_default = \"{default}\""));
    let of_root = |machine: Machine| Machine { uid: 0, ..machine };
    let variable = |machine: Machine, value: &str| machine.variable("LIBVIRT_DEFAULT_URI", value);
    for (machine, given, expected) in [
        (user(), "", None),
        (variable(user(), "lxc:///system"), "", Some("lxc:///system")),
        (variable(user(), ""), "", None),
        (variable(file(OWN, "qemu:///session"), "lxc:///system"), "", Some("lxc:///system")),
        (variable(file(OWN, "qemu:///session"), ""), "", Some("qemu:///session")),
        (file(OWN, "qemu:///session"), "", Some("qemu:///session")),
        (file(OWN, "qemu:///session"), "ch:///system", Some("ch:///system")),
        (file(OWN, ""), "", None),
        (file(SYSTEMS, "qemu:///session"), "", None),
        (of_root(file(SYSTEMS, "qemu:///session")), "", Some("qemu:///session")),
        (of_root(file(OWN, "qemu:///session")), "", None),
        (
            file("/x/libvirt/libvirt.conf", "ch:///system").variable("XDG_CONFIG_HOME", "/x"),
            "",
            Some("ch:///system"),
        ),
        (file(OWN, "ch:///system").variable("XDG_CONFIG_HOME", "/x"), "", None),
        (
            of_root(file("/opt/homebrew/etc/libvirt/libvirt.conf", "ch:///system")).on(System::MacOsArm),
            "",
            Some("ch:///system"),
        ),
        (user(), "xen", Some("xen:///system")),
        (user(), "xen://", Some("xen:///system")),
        (variable(user(), "xen"), "", Some("xen:///system")),
    ] {
        assert_eq!(uri(&machine, given).as_deref(), expected, "{given:?} with {:?}", machine.files);
    }
}

#[test]
fn aliases_stand_for_uris() {
    let file = "uri_default = 'two'\n\
                uri_aliases = [\n  \"one=qemu:///system\",\n  \"two=qemu+ssh://host/system\", # the other\n  'a_b-3=one',\n]\n";
    let machine = user().contents(OWN, file);
    for (given, expected) in
        [("one", "qemu:///system"), ("two", "qemu+ssh://host/system"), ("", "qemu+ssh://host/system")]
    {
        assert_eq!(uri(&machine, given).as_deref(), Some(expected), "{given}");
    }
    // An alias is not one of an alias, and its case counts.
    for (given, names) in [("a_b-3", "\"one\""), ("One", "\"One\""), ("three", "\"three\"")] {
        let error = machine.plan(given).unwrap_err().to_string();
        assert!(error.contains(names) && error.contains("\"://\" is missing"), "{error}");
    }
}

#[test]
fn a_wrong_file_is_named_with_its_line() {
    let machine = user().contents(OWN, "# mine\nuri_default = qemu:///system\n");
    let error = machine.plan("qemu:///system").unwrap_err();
    assert!(matches!(&error, crate::Error::Config { file, .. } if file == Path::new(OWN)), "{error:?}");
    assert!(
        error.to_string().starts_with("cannot use /home/u/.config/libvirt/libvirt.conf: line 2: a value"),
        "{error}"
    );
}

#[test]
fn the_file_has_a_say_where_the_uri_has_none() {
    let file = |contents: &str| user().contents(OWN, contents);
    let direct = file("remote_mode = 'direct'");
    let socket = |machine: &Machine, uri| machine.plan(uri).unwrap().socket().unwrap().display().to_string();
    assert_eq!(socket(&direct, "qemu:///system"), "/var/run/libvirt/virtqemud-sock");
    assert_eq!(socket(&direct, "qemu:///system?mode=legacy"), "/var/run/libvirt/libvirt-sock");
    assert!(direct.plan("qemu+ssh://h/system").is_err());
    assert!(direct.plan("qemu+ssh://h/system?mode=auto").is_ok());
    assert!(direct.plan("qemu+ssh://h/system?socket=/a").is_ok());
    assert!(direct.plan("qemu+tcp://h/system").is_ok());

    let native = file("remote_proxy = 'native'");
    let remote = |uri| match native.plan(uri).unwrap().route {
        Route::Ssh(route) => route.remote,
        other => panic!("{other:?}"),
    };
    assert!(matches!(remote("qemu+ssh://h/system"), RemoteSide::Helper { .. }));
    assert!(matches!(remote("qemu+ssh://h/system?socket=/a"), RemoteSide::Helper { .. }));
    assert!(matches!(remote("qemu+ssh://h/system?proxy=netcat"), RemoteSide::Netcat { .. }));

    let priority = |uri| match file("tls_priority = 'NORMAL'").plan(uri).unwrap().route {
        Route::Tls(route) => route.priority,
        other => panic!("{other:?}"),
    };
    assert_eq!(priority("qemu://h/system").as_deref(), Some("NORMAL"));
    assert_eq!(priority("qemu://h/system?tls_priority=SECURE").as_deref(), Some("SECURE"));
}

#[test]
fn credentials_are_in_one_file() {
    const OF_USER: &str = "/home/u/.config/libvirt/auth.conf";
    const OF_SYSTEM: &str = "/etc/libvirt/auth.conf";
    let both = || user().files(&[OF_USER, OF_SYSTEM]);
    let plain = "qemu+tcp://h/system";
    let naming = "qemu+tcp://h/system?authfile=/of/uri";
    for (machine, uri, expected) in [
        (user(), plain, None),
        (both(), plain, Some((OF_USER, false))),
        (user().file(OF_SYSTEM), plain, Some((OF_SYSTEM, false))),
        (root().files(&[OF_USER, OF_SYSTEM]), "", Some((OF_SYSTEM, false))),
        (
            root().files(&["/root/.config/libvirt/auth.conf", OF_SYSTEM]),
            plain,
            Some(("/root/.config/libvirt/auth.conf", false)),
        ),
        (both(), naming, Some(("/of/uri", true))),
        (both().variable("LIBVIRT_AUTH_FILE", "/of/variable"), naming, Some(("/of/variable", true))),
        (both().variable("LIBVIRT_AUTH_FILE", ""), naming, Some(("/of/uri", true))),
    ] {
        let file = machine.plan(uri).unwrap().auth_file;
        let file = file.as_ref().map(|file| (file.path.to_str().unwrap(), file.named));
        assert_eq!(file, expected, "{uri} with {:?}", machine.files);
    }
}

#[test]
fn administration_has_a_file_of_its_own() {
    let machine = user().contents(OWN, "uri_default = 'qemu:///system'").contents(
        "/home/u/.config/libvirt/libvirt-admin.conf",
        "uri_default = 'log'\nuri_aliases = ['log=virtlogd:///system']",
    );
    let uri = |machine: &Machine, given| AdminPlan::new(given, &machine.environment()).unwrap().uri.text;
    assert_eq!(uri(&machine, ""), "virtlogd:///system");
    assert_eq!(uri(&machine, "log"), "virtlogd:///system");
    assert_eq!(uri(&machine, "libvirtd:///system"), "libvirtd:///system");
    let machine = machine.variable("LIBVIRT_ADMIN_DEFAULT_URI", "virtqemud:///session");
    assert_eq!(uri(&machine, ""), "virtqemud:///session");
}

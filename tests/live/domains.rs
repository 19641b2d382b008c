//! Domains of the simulated hypervisor, as we see and move them and as virsh sees them.

use std::collections::BTreeSet;

use libvirt_client::{Connection, ErrorCode, Uuid};

use crate::{
    TEST,
    support::{Daemon, daemon::said, live},
    test_domain, test_host,
};

#[test]
fn domains_are_listed_as_virsh_lists_them() {
    live(async {
        let daemon = Daemon::start();
        // As long as one connection is open, the host's state is shared by all.
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        for name in ["off", "paused", "Ümläut mit Leerzeichen", "名前"] {
            let file = daemon.file("domain.xml", &test_domain(name));
            daemon.virsh(TEST, &["define", &file.display().to_string()]);
        }
        daemon.virsh(TEST, &["start", "paused"]);
        daemon.virsh(TEST, &["suspend", "paused"]);

        let program = "for domain in connection.listAllDomains(0):\n    \
                       print(domain.name(), domain.UUIDString(), domain.ID(), domain.state()[0], sep='|')";
        let theirs: BTreeSet<String> = daemon.python(TEST, program).lines().map(str::to_owned).collect();
        let mut ours = BTreeSet::new();
        for domain in connection.domains().await.unwrap() {
            let id = domain.id().map_or(-1, i64::from);
            let state = domain.state().await.unwrap().state.0;
            ours.insert(format!("{}|{}|{id}|{state}", domain.name(), domain.uuid()));
        }
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), 5);

        daemon.virsh(TEST, &["autostart", "off"]);
        daemon.virsh(TEST, &["snapshot-create", "off"]);
        for (ours, options) in [
            (connection.domains().running(), &["--state-running"][..]),
            (connection.domains().running().paused(), &["--state-running", "--state-paused"]),
            (connection.domains().inactive().autostart(), &["--inactive", "--autostart"]),
            (connection.domains().active().has_snapshot(), &["--with-snapshot"]),
            (connection.domains().has_snapshot(), &["--all", "--with-snapshot"]),
            (connection.domains().transient(), &["--all", "--transient"]),
        ] {
            let theirs = daemon.virsh(TEST, &[&["list", "--name"], options].concat());
            let theirs: BTreeSet<&str> = theirs.lines().collect();
            let said = format!("{ours:?}");
            let ours = ours.await.unwrap();
            assert_eq!(ours.iter().map(|domain| domain.name()).collect::<BTreeSet<_>>(), theirs, "{said}");
        }
    });
}

#[test]
fn a_thousand_domains_are_listed() {
    live(async {
        let daemon = Daemon::start();
        let uri = format!("test://{}", daemon.file("host.xml", &test_host(1000)).display());
        let connection = Connection::open(daemon.uri(&uri)).await.unwrap();
        let mut ours: Vec<String> =
            connection.domains().await.unwrap().iter().map(|domain| domain.name().to_owned()).collect();
        ours.sort();
        let mut theirs: Vec<String> =
            daemon.virsh(&uri, &["list", "--all", "--name"]).lines().map(str::to_owned).collect();
        theirs.sort();
        assert_eq!(theirs.len(), 1000);
        assert_eq!(ours, theirs);
    });
}

#[test]
fn info_state_and_xml_are_what_the_daemon_gives_others() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        for (act, expected) in [("", 1), ("suspend", 3), ("resume", 1), ("destroy", 5)] {
            if !act.is_empty() {
                daemon.virsh(TEST, &[act, "test"]);
            }
            let program = "domain = connection.lookupByName('test')\ninfo = domain.info()\n\
                           print(*domain.state(), *info[:4])";
            let theirs = daemon.python(TEST, program);
            let (now, info) = (domain.state().await.unwrap(), domain.info().await.unwrap());
            let ours = format!(
                "{} {} {} {} {} {}",
                now.state.0,
                now.reason.number(),
                info.state.0,
                info.max_memory_kib,
                info.memory_kib,
                info.vcpus
            );
            assert_eq!(ours, theirs, "after {act:?}");
            assert_eq!(now.state.0, expected, "after {act:?}");
            assert_eq!(domain.xml().await.unwrap().trim_end(), daemon.virsh(TEST, &["dumpxml", "test"]));
        }
    });
}

#[test]
fn a_domain_is_found_by_name_uuid_and_number() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let by_name = connection.domain_by_name("test").await.unwrap();
        assert_eq!(by_name.uuid().to_string(), daemon.virsh(TEST, &["domuuid", "test"]));
        assert_eq!(by_name.id().map(|id| id.to_string()), Some(daemon.virsh(TEST, &["domid", "test"])));
        let by_uuid = connection.domain_by_uuid(by_name.uuid()).await.unwrap();
        let by_id = connection.domain_by_id(by_name.id().unwrap()).await.unwrap();
        for domain in [by_uuid, by_id] {
            assert_eq!((domain.name(), domain.uuid(), domain.id()), ("test", by_name.uuid(), by_name.id()));
        }
    });
}

#[test]
fn what_is_missing_is_not_found() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let uuid = "00000000-1111-2222-3333-444444444444";
        let lookups =
            ["lookupByName('nobody')", &format!("lookupByUUIDString('{uuid}')"), "lookupByID(4711)"];
        let errors = [
            connection.domain_by_name("nobody").await.unwrap_err(),
            connection.domain_by_uuid(uuid.parse::<Uuid>().unwrap()).await.unwrap_err(),
            connection.domain_by_id(4711).await.unwrap_err(),
        ];
        for (lookup, error) in lookups.into_iter().zip(errors) {
            assert!(error.is_not_found(), "{lookup}: {error}");
            assert_eq!(error.code(), Some(ErrorCode(42)));
            assert_eq!(said(&error), daemon.python_error(TEST, &format!("connection.{lookup}")));
        }
        assert!(connection.find_domain_by_name("nobody").await.unwrap().is_none());
        assert!(connection.find_domain_by_name("test").await.unwrap().is_some());
    });
}

#[test]
fn what_we_do_to_a_domain_virsh_sees() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let file = daemon.file("domain.xml", &test_domain("web"));
        daemon.virsh(TEST, &["define", &file.display().to_string()]);
        let seen = || daemon.virsh(TEST, &["domstate", "--reason", "web"]);
        let web = connection.domain_by_name("web").await.unwrap();
        assert_eq!(web.id(), None);

        web.start().await.unwrap();
        assert_eq!(seen(), "running (booted)");
        let error = web.start().await.unwrap_err();
        assert_eq!(said(&error), daemon.python_error(TEST, "connection.lookupByName('web').create()"));
        web.shutdown().await.unwrap();
        assert_eq!(seen(), "shut off (shutdown)");
        web.start().await.unwrap();
        web.destroy().await.unwrap();
        assert_eq!(seen(), "shut off (destroyed)");
        let error = web.destroy().await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::OPERATION_INVALID), "it is off already: {error}");
        assert_eq!(said(&error), daemon.python_error(TEST, "connection.lookupByName('web').destroy()"));
    });
}

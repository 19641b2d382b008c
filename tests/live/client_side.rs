//! What libvirt's own library does besides its calls, and so must we, or need not since the daemon does it.

use std::{env, time::Duration};

use libvirt_client::{
    Connection, Domain, ErrorCode, TypedParams,
    enums::{
        DomainCoreDumpFlags, DomainCoreDumpFormat, DomainSaveRestoreFlags, DomainSnapshotCreateFlags,
        DomainSnapshotRevertFlags, DomainVcpuFlags,
    },
    fields,
};

use crate::{
    QEMU, TEST,
    support::{Daemon, daemon::said, live, wait_until},
};

#[test]
fn relative_paths_are_those_of_the_client() {
    live(async {
        let here = env::current_dir().unwrap().display().to_string();
        assert_ne!(here, "/", "the daemon's working directory");
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let format = DomainCoreDumpFormat::RAW;
        let lookup = "connection.lookupByName('test')";
        for (error, statement) in [
            (domain.save("no/dir", None).await, format!("{lookup}.save('no/dir')")),
            (domain.core_dump("no/dir", format).await, format!("{lookup}.coreDump('no/dir')")),
            (connection.restore_domain("none", None).await, "connection.restore('none')".to_owned()),
            (
                connection.save_image_xml("none").await.map(drop),
                "connection.saveImageGetXMLDesc('none')".to_owned(),
            ),
            (
                connection.define_save_image("none", "<domain/>").await,
                "connection.saveImageDefineXML('none', '<domain/>')".to_owned(),
            ),
        ] {
            let error = error.expect_err(&statement);
            // Python is started in the directory that we are in.
            assert_eq!(said(&error), daemon.python_error(TEST, &statement));
            assert!(error.to_string().contains(&here), "{error}");
        }

        // C's client leaves this one to the daemon, which looks in its own directory.
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let params = TypedParams::new().with(fields::DOMAIN_SAVE_PARAM_FILE, "none");
        let error = connection.restore_domain_by_parameters(params).await.unwrap_err();
        let statement = format!("connection.restoreParams({{'file': '{here}/none'}}, 0)");
        assert_eq!(said(&error), daemon.python_error(QEMU, &statement));
    });
}

#[test]
fn flags_that_exclude_each_other_are_refused_by_the_daemon() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let snapshot =
            domain.create_snapshot("<domainsnapshot><name>s</name></domainsnapshot>").await.unwrap();
        let both = DomainSaveRestoreFlags::RUNNING | DomainSaveRestoreFlags::PAUSED;
        let dump = DomainCoreDumpFlags::CRASH | DomainCoreDumpFlags::LIVE;
        let vcpus = DomainVcpuFlags::GUEST | DomainVcpuFlags::CONFIG;
        let revert = DomainSnapshotRevertFlags::RUNNING | DomainSnapshotRevertFlags::PAUSED;
        let create = DomainSnapshotCreateFlags::CURRENT;
        for (result, call) in [
            (domain.save_with("/x", None, both).await, "saveFlags('/x', None, 6)"),
            (
                domain.core_dump_with("/x", DomainCoreDumpFormat::RAW, dump).await,
                "coreDumpWithFormat('/x', 0, 3)",
            ),
            (domain.set_vcpus_with(1, vcpus).await, "setVcpusFlags(1, 10)"),
            (snapshot.revert_with(revert).await, "revertToSnapshot(snapshot, 3)"),
            (
                domain.create_snapshot_with("<domainsnapshot/>", create).await.map(drop),
                "snapshotCreateXML('<domainsnapshot/>', 2)",
            ),
        ] {
            let error = result.expect_err(call);
            assert_eq!(error.code(), Some(ErrorCode::INVALID_ARG), "{error}");
            // Python's library refuses it itself, before it sends anything.
            let lookup = "(lambda domain, snapshot: domain.";
            let found = "connection.lookupByName('test')";
            let statement = format!("{lookup}{call})({found}, {found}.snapshotLookupByName('s'))");
            assert_eq!(said(&error), daemon.python_error(TEST, &statement), "{call}");
        }
    });
}

#[test]
fn a_domains_number_follows_what_its_handle_does() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let (clone, other) = (domain.clone(), connection.domain_by_name("test").await.unwrap());
        let image = daemon.directory().join("image");
        let program = format!(
            "domain, other, image = connection.lookupByName('test'), connection.lookupByName('test'), '{}.python'\n\
             def numbers(): print(domain.ID(), other.ID(), connection.lookupByName('test').ID())\n\
             numbers()\ndomain.destroy(); numbers()\ndomain.createWithFlags(0); numbers()\n\
             domain.save(image); numbers()\nconnection.restore(image); numbers()\n\
             domain.managedSave(0); numbers()\ndomain.createWithFlags(0); numbers()\n\
             connection.lookupByName('test').shutdown(); numbers()\ndomain.create(); numbers()",
            image.display()
        );
        let mut ours = Vec::new();
        for step in 0..9 {
            match step {
                0 => {}
                1 => domain.destroy().await.unwrap(),
                2 | 6 | 8 => domain.with_timeout(Duration::from_secs(30)).start().await.unwrap(),
                3 => domain.save(&image, None).await.unwrap(),
                4 => connection.restore_domain(&image, None).await.unwrap(),
                5 => domain.managed_save().await.unwrap(),
                _ => other.shutdown().await.unwrap(),
            }
            let now = connection.domain_by_name("test").await.unwrap();
            assert_eq!((domain.id(), &domain), (clone.id(), &now), "clones know it, too; step {step}");
            let number = |domain: &Domain| domain.id().map_or(-1, i64::from);
            ours.push(format!("{} {} {}", number(&domain), number(&other), number(&now)));
        }
        drop((connection, domain, clone, other));
        // The simulated host is made anew when nobody is connected any more.
        let gone = || daemon.virt_admin(&["client-list", "libvirtd"]).lines().count() <= 2;
        wait_until(gone).await;
        assert_eq!(ours, daemon.python(TEST, &program).lines().collect::<Vec<_>>());
    });
}

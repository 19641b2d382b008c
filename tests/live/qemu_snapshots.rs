//! Snapshots, checkpoints and backups of QEMU machines.

use libvirt_client::{
    Connection, Domain, DomainCheckpoint, DomainSnapshot, Error,
    enums::{
        DomainCheckpointListFlags, DomainGetJobStatsFlags, DomainJobType, DomainSnapshotDeleteFlags,
        DomainSnapshotListFlags, DomainState,
    },
};

use crate::{
    QEMU,
    support::{
        Daemon,
        compare::{Comparison, typed},
        listener::Listener,
        live,
        machine::{disk, image, machine},
        python::sorted,
    },
};

async fn start(daemon: &Daemon, connection: &Connection, name: &str) -> Domain {
    image(daemon, "vda.qcow2", "qcow2", "16M");
    let vda = disk(daemon, "vda.qcow2", "qcow2", "vda");
    let domain = connection.define_domain(machine(name, 64, "", &vda)).await.unwrap();
    domain.start().await.unwrap();
    domain
}

fn snapshots(list: &[DomainSnapshot]) -> String {
    sorted(list.iter().map(DomainSnapshot::name))
}

fn checkpoints(list: &[DomainCheckpoint]) -> String {
    sorted(list.iter().map(DomainCheckpoint::name))
}

#[test]
fn snapshots_make_a_tree() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let domain = start(&daemon, &connection, "tree").await;
        assert!(!domain.has_current_snapshot().await.unwrap());
        let mut both = Comparison::of_domain(&daemon, QEMU, "tree");
        assert_eq!(domain.current_snapshot().await.unwrap(), None);
        both.same("domain.hasCurrentSnapshot()", 0);
        both.check();

        // The root, two upon it, and one upon the first of them.
        let xml = |name: &str| format!("<domainsnapshot><name>{name}</name></domainsnapshot>");
        let root = domain.create_snapshot(xml("root")).await.unwrap();
        let left = domain.create_snapshot(xml("left")).await.unwrap();
        let leaf = domain.create_snapshot(xml("leaf")).await.unwrap();
        domain.suspend().await.unwrap();
        root.revert().await.unwrap();
        assert_eq!(domain.state().await.unwrap().state, DomainState::RUNNING);
        let right = domain.create_snapshot(xml("right")).await.unwrap();
        assert_eq!(right.domain(), domain);

        let setup = "domain = connection.lookupByName('tree')\n\
                     root, left, leaf, right = map(domain.snapshotLookupByName, ('root', 'left', 'leaf', 'right'))\n\
                     def listed(snapshots): return names(one.getName() for one in snapshots)";
        let mut both = Comparison::new(&daemon, QEMU, setup);
        for (name, snapshot) in [("root", &root), ("left", &left), ("leaf", &leaf), ("right", &right)] {
            both.same(format!("{name}.getXMLDesc()"), snapshot.xml().await.unwrap());
            both.same_bool(format!("{name}.isCurrent()"), snapshot.is_current().await.unwrap());
            both.same_bool(format!("{name}.hasMetadata()"), snapshot.has_metadata().await.unwrap());
            let children = snapshot.children().await.unwrap();
            both.same(format!("listed({name}.listAllChildren())"), snapshots(&children));
            let below = snapshot.children().matching(DomainSnapshotListFlags::DESCENDANTS).await.unwrap();
            both.same(format!("listed({name}.listAllChildren(1))"), snapshots(&below));
        }
        assert_eq!(root.children().matching(DomainSnapshotListFlags::DESCENDANTS).await.unwrap().len(), 3);
        assert_eq!(leaf.parent().await.unwrap().as_ref(), Some(&left));
        both.same("leaf.getParent().getName()", left.name());
        assert_eq!(root.parent().await.unwrap(), None);
        assert_eq!(domain.current_snapshot().await.unwrap().as_ref(), Some(&right));
        both.same_bool("domain.hasCurrentSnapshot()", domain.has_current_snapshot().await.unwrap());
        both.same("domain.snapshotCurrent().getName()", "right");
        assert_eq!(domain.snapshot_by_name("leaf").await.unwrap(), leaf);
        let all = domain.snapshots().await.unwrap();
        both.same("listed(domain.listAllSnapshots())", snapshots(&all));
        both.same("domain.snapshotNum()", all.len());
        for flags in [
            DomainSnapshotListFlags::ROOTS,
            DomainSnapshotListFlags::LEAVES,
            DomainSnapshotListFlags::ACTIVE,
            DomainSnapshotListFlags::DISK_ONLY,
        ] {
            let ours = domain.snapshots().matching(flags).await.unwrap();
            both.same(format!("listed(domain.listAllSnapshots({}))", flags.bits()), snapshots(&ours));
        }
        let missing = domain.snapshot_by_name("none").await;
        assert!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
        both.refused("domain.snapshotLookupByName('none')", missing);
        assert!(domain.find_snapshot_by_name("none").await.unwrap().is_none());
        both.refused("domain.snapshotCreateXML('<x/>')", domain.create_snapshot("<x/>").await);
        both.check();

        leaf.delete().await.unwrap();
        root.delete_with(DomainSnapshotDeleteFlags::CHILDREN_ONLY).await.unwrap();
        assert_eq!(snapshots(&domain.snapshots().await.unwrap()), "[root]");
        root.delete().await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["snapshot-list", "--name", "tree"]), "");
        domain.destroy().await.unwrap();
    });
}

#[test]
fn checkpoints_and_backups_follow_a_disk() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let domain = start(&daemon, &connection, "backed").await;
        let xml = "<domaincheckpoint><name>one</name><disks><disk name='vda' checkpoint='bitmap'/></disks>\
                   </domaincheckpoint>";
        let one = domain.create_checkpoint(xml).await.unwrap();
        let other = domain
            .create_checkpoint("<domaincheckpoint><name>other</name></domaincheckpoint>")
            .await
            .unwrap();

        let setup = "domain = connection.lookupByName('backed')\n\
                     one, other = map(domain.checkpointLookupByName, ('one', 'other'))\n\
                     def listed(checkpoints): return names(one.getName() for one in checkpoints)";
        let mut both = Comparison::new(&daemon, QEMU, setup);
        both.same("one.getXMLDesc()", one.xml().await.unwrap());
        both.same("other.getXMLDesc()", other.xml().await.unwrap());
        assert_eq!(other.parent().await.unwrap().as_ref(), Some(&one));
        both.same("other.getParent().getName()", "one");
        assert_eq!(one.parent().await.unwrap(), None);
        let all = domain.checkpoints().await.unwrap();
        assert_eq!(all.len(), 2);
        both.same("listed(domain.listAllCheckpoints())", checkpoints(&all));
        let leaves = domain.checkpoints().matching(DomainCheckpointListFlags::LEAVES).await.unwrap();
        both.same(
            format!("listed(domain.listAllCheckpoints({}))", DomainCheckpointListFlags::LEAVES.bits()),
            checkpoints(&leaves),
        );
        both.same("listed(one.listAllChildren())", checkpoints(&one.children().await.unwrap()));
        assert_eq!(domain.checkpoint_by_name("one").await.unwrap(), one);
        both.refused("domain.checkpointLookupByName('none')", domain.checkpoint_by_name("none").await);
        assert!(domain.find_checkpoint_by_name("none").await.unwrap().is_none());
        both.refused("domain.checkpointCreateXML('<x/>')", domain.create_checkpoint("<x/>").await);
        assert_eq!(domain.backup_xml().await.unwrap(), None);
        both.check();

        // A whole backup, which ends by itself.
        let file = |name: &str| daemon.directory().join(name).display().to_string();
        let push = format!(
            "<domainbackup mode='push'><disks><disk name='vda' type='file'><driver type='qcow2'/>\
             <target file='{}'/></disk></disks></domainbackup>",
            file("backup.qcow2")
        );
        domain.begin_backup(push, None).await.unwrap();
        listener.wait_for("domain backed job-completed").await;
        let done = DomainGetJobStatsFlags::COMPLETED | DomainGetJobStatsFlags::KEEP_COMPLETED;
        let stats = domain.job_stats_with(done).await.unwrap();
        assert_eq!(stats.kind, DomainJobType::COMPLETED);
        let mut both = Comparison::of_domain(&daemon, QEMU, "backed");
        both.same_params("{k: v for k, v in domain.jobStats(3).items() if k != 'type'}", stats.stats);
        both.check();
        assert!(daemon.directory().join("backup.qcow2").exists());

        // One that waits to be fetched, with a checkpoint of its own.
        let pull = format!(
            "<domainbackup mode='pull'><server transport='unix' socket='{}'/><disks>\
             <disk name='vda' backupmode='full' type='file'><scratch file='{}'/></disk></disks></domainbackup>",
            file("nbd"),
            file("scratch.qcow2")
        );
        let third = "<domaincheckpoint><name>third</name></domaincheckpoint>";
        domain.begin_backup(pull, Some(third)).await.unwrap();
        let mut both = Comparison::of_domain(&daemon, QEMU, "backed");
        both.same("domain.backupGetXMLDesc()", domain.backup_xml().await.unwrap().unwrap());
        let job = domain.job_info().await.unwrap();
        assert_eq!(job.kind, DomainJobType::UNBOUNDED);
        both.same("domain.jobInfo()[0]", job.kind.0);
        let stats = domain.job_stats().await.unwrap();
        assert!(!typed(stats.stats.clone()).is_empty());
        both.same("sorted(domain.jobStats())", {
            let stats = typed(stats.stats);
            let mut names: Vec<&str> = stats.iter().map(|(name, _)| name).chain(["type"]).collect();
            names.sort_unstable();
            format!("{names:?}").replace('"', "'")
        });
        both.check();
        domain.abort_job().await.unwrap();
        while domain.job_info().await.unwrap().kind != DomainJobType::NONE {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(daemon.virsh(QEMU, &["checkpoint-list", "--name", "backed"]).lines().count(), 3);
        domain.checkpoint_by_name("third").await.unwrap().delete().await.unwrap();
        other.delete().await.unwrap();
        one.delete().await.unwrap();
        assert_eq!(domain.checkpoints().await.unwrap(), []);
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

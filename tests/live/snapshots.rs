//! Snapshots and checkpoints: the trees that we make are those that others see.

use libvirt_client::enums::{
    DomainCheckpointCreateFlags, DomainCheckpointDeleteFlags, DomainCheckpointListFlags,
    DomainCheckpointXmlFlags, DomainSnapshotCreateFlags, DomainSnapshotDeleteFlags, DomainSnapshotListFlags,
    DomainSnapshotRevertFlags, DomainSnapshotXmlFlags, DomainState,
};

use crate::{
    TEST, simulated,
    support::{live, python::sorted},
    test_machine,
};

fn snapshot(name: &str) -> String {
    format!("<domainsnapshot><name>{name}</name></domainsnapshot>")
}

fn checkpoint(name: &str) -> String {
    format!("<domaincheckpoint><name>{name}</name></domaincheckpoint>")
}

#[test]
fn snapshots_make_a_tree_that_is_walked_and_cut() {
    live(async {
        let (daemon, connection, mut python) = simulated().await;
        let domain = connection.domain_by_name("test").await.unwrap();
        python.run("domain = connection.lookupByName('test')");
        python.agrees("domain.hasCurrentSnapshot()", i32::from(domain.has_current_snapshot().await.unwrap()));
        assert_eq!(domain.current_snapshot().await.unwrap(), None);

        let first = domain.create_snapshot(snapshot("first")).await.unwrap();
        let flags = DomainSnapshotCreateFlags::VALIDATE;
        let second = domain.create_snapshot_with(snapshot("second"), flags).await.unwrap();
        first.revert_with(DomainSnapshotRevertFlags::PAUSED).await.unwrap();
        python.agrees("domain.state()[0]", DomainState::PAUSED.0);
        let third = domain.create_snapshot(snapshot("third")).await.unwrap();
        let fourth = domain.create_snapshot(snapshot("fourth")).await.unwrap();
        assert_eq!((second.name(), second.domain()), ("second", domain.clone()));

        let names = domain.snapshots().await.unwrap();
        let names = sorted(names.iter().map(|one| one.name()));
        assert_eq!(names, "[first, fourth, second, third]");
        python.agrees("sorted(one.getName() for one in domain.listAllSnapshots())", &names);
        let leaves = domain.snapshots().matching(DomainSnapshotListFlags::LEAVES).await.unwrap();
        let leaves = sorted(leaves.iter().map(|one| one.name()));
        assert_eq!(leaves, "[fourth, second]");
        python.agrees("sorted(one.getName() for one in domain.listAllSnapshots(4))", leaves);
        python.run("first = domain.snapshotLookupByName('first')");
        let children = first.children().await.unwrap();
        assert_eq!(sorted(children.iter().map(|one| one.name())), "[second, third]");
        python.agrees("sorted(one.getName() for one in first.listAllChildren())", "[second, third]");
        let all = first.children().matching(DomainSnapshotListFlags::DESCENDANTS).await.unwrap();
        let all = sorted(all.iter().map(|one| one.name()));
        python.agrees("sorted(one.getName() for one in first.listAllChildren(1))", all);

        assert_eq!(domain.snapshot_by_name("first").await.unwrap(), first);
        assert!(domain.find_snapshot_by_name("fifth").await.unwrap().is_none());
        assert_eq!(third.parent().await.unwrap(), Some(first.clone()));
        python.agrees("domain.snapshotLookupByName('fourth').getParent().getName()", "third");
        assert_eq!(first.parent().await.unwrap(), None);
        assert_eq!(domain.current_snapshot().await.unwrap(), Some(fourth.clone()));
        python.agrees("domain.snapshotCurrent().getName()", "fourth");
        assert!(fourth.is_current().await.unwrap() && !first.is_current().await.unwrap());
        python.agrees("first.isCurrent()", 0);
        python.agrees("first.hasMetadata()", i32::from(first.has_metadata().await.unwrap()));
        let xml = first.xml().await.unwrap();
        assert_eq!(xml.trim_end(), daemon.virsh(TEST, &["snapshot-dumpxml", "test", "first"]));
        python.agrees("first.getXMLDesc()", xml);
        python.agrees("first.getXMLDesc(1)", first.xml_with(DomainSnapshotXmlFlags::SECURE).await.unwrap());

        domain.destroy().await.unwrap();
        second.revert().await.unwrap();
        python.agrees("domain.snapshotCurrent().getName()", "second");
        python.agrees("domain.isActive()", 1);
        third.delete_with(DomainSnapshotDeleteFlags::CHILDREN_ONLY).await.unwrap();
        python.agrees("sorted(domain.snapshotListNames())", "[first, second, third]");
        third.delete().await.unwrap();
        python.is_refused("domain.snapshotLookupByName('third')", &third.xml().await.unwrap_err());
        first.delete_with(DomainSnapshotDeleteFlags::CHILDREN).await.unwrap();
        python.agrees("domain.snapshotListNames()", "[]");
        assert!(!domain.has_current_snapshot().await.unwrap());
    });
}

#[test]
fn checkpoints_make_a_tree_that_is_walked_and_cut() {
    live(async {
        let (daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        web.start().await.unwrap();
        python.run("domain = connection.lookupByName('web')");
        let first = web.create_checkpoint(checkpoint("first")).await.unwrap();
        let flags = DomainCheckpointCreateFlags::empty();
        let second = web.create_checkpoint_with(checkpoint("second"), flags).await.unwrap();
        let third = web.create_checkpoint(checkpoint("third")).await.unwrap();
        assert_eq!((first.name(), first.domain()), ("first", web.clone()));

        let names = web.checkpoints().await.unwrap();
        let names = sorted(names.iter().map(|one| one.name()));
        assert_eq!(names, "[first, second, third]");
        python.agrees("sorted(one.getName() for one in domain.listAllCheckpoints())", names);
        let leaves = web.checkpoints().matching(DomainCheckpointListFlags::LEAVES).await.unwrap();
        assert_eq!(leaves, std::slice::from_ref(&third));
        python.agrees("[one.getName() for one in domain.listAllCheckpoints(4)]", "[third]");
        assert_eq!(first.children().await.unwrap(), std::slice::from_ref(&second));
        python.run("first = domain.checkpointLookupByName('first')");
        python.agrees("[one.getName() for one in first.listAllChildren()]", "[second]");
        let all = first.children().matching(DomainCheckpointListFlags::DESCENDANTS).await.unwrap();
        let all = sorted(all.iter().map(|one| one.name()));
        python.agrees("sorted(one.getName() for one in first.listAllChildren(1))", all);

        assert_eq!(web.checkpoint_by_name("second").await.unwrap(), second);
        assert!(web.find_checkpoint_by_name("fourth").await.unwrap().is_none());
        assert_eq!(third.parent().await.unwrap(), Some(second.clone()));
        python.agrees("domain.checkpointLookupByName('third').getParent().getName()", "second");
        assert_eq!(first.parent().await.unwrap(), None);
        let xml = first.xml().await.unwrap();
        assert_eq!(xml.trim_end(), daemon.virsh(TEST, &["checkpoint-dumpxml", "web", "first"]));
        let without = first.xml_with(DomainCheckpointXmlFlags::NO_DOMAIN).await.unwrap();
        assert!(without.len() < xml.len(), "{without}");
        python.agrees("first.getXMLDesc(2)", without);

        second.delete().await.unwrap();
        python.agrees("domain.checkpointLookupByName('third').getParent().getName()", "first");
        first.delete_with(DomainCheckpointDeleteFlags::CHILDREN).await.unwrap();
        python.agrees("domain.listAllCheckpoints()", "[]");
    });
}

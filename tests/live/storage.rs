//! Pools and volumes of the simulated hypervisor.

use libvirt_client::enums::{
    ConnectListAllStoragePoolsFlags, StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDefineFlags,
    StoragePoolDeleteFlags, StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolType, StorageXmlFlags,
};

use crate::{
    simulated,
    support::{
        live,
        python::{list, sorted},
    },
};

fn pool(name: &str) -> String {
    format!("<pool type='dir'><name>{name}</name><target><path>/{name}</path></target></pool>")
}

#[test]
fn pools_come_and_go() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let names = "sorted(one.name() + ' ' + one.UUIDString() for one in connection.listAllStoragePools())";
        let listed = connection.storage_pools().await.unwrap();
        assert!(!listed.is_empty());
        python.agrees(names, sorted(listed.iter().map(|one| format!("{} {}", one.name(), one.uuid()))));

        let images = connection.define_storage_pool(pool("images")).await.unwrap();
        python.run("pool = connection.storagePoolLookupByName('images')");
        python.agrees("pool.UUIDString()", images.uuid());
        assert_eq!(connection.storage_pool_by_name("images").await.unwrap(), images);
        assert_eq!(connection.storage_pool_by_uuid(images.uuid()).await.unwrap(), images);
        let inactive = ConnectListAllStoragePoolsFlags::INACTIVE;
        let off = connection.storage_pools().matching(inactive).await.unwrap();
        assert_eq!(off, std::slice::from_ref(&images));
        assert!(!images.is_active().await.unwrap());
        for on in [true, false] {
            images.set_autostart(on).await.unwrap();
            python.agrees("pool.autostart()", i32::from(on));
            assert_eq!(images.autostart().await.unwrap(), on);
        }
        images.build().await.unwrap();
        images.start().await.unwrap();
        images.refresh().await.unwrap();
        python.agrees("pool.isActive()", i32::from(images.is_active().await.unwrap()));
        python.agrees("pool.isPersistent()", i32::from(images.is_persistent().await.unwrap()));
        python.agrees("pool.XMLDesc()", images.xml().await.unwrap());
        let inactive = images.xml_with(StorageXmlFlags::INACTIVE).await.unwrap_err();
        python.is_refused("pool.XMLDesc(1)", &inactive);
        let info = images.info().await.unwrap();
        let ours = [u64::try_from(info.state.0).unwrap(), info.capacity, info.allocation, info.available];
        python.agrees("pool.info()", list(ours));

        python.is_refused("pool.undefine()", &images.undefine().await.unwrap_err());
        images.destroy().await.unwrap();
        python.agrees("pool.isActive()", 0);
        images.build_with(StoragePoolBuildFlags::NEW).await.unwrap();
        images.start_with(StoragePoolCreateFlags::NORMAL).await.unwrap();
        images.destroy().await.unwrap();
        images.delete().await.unwrap();
        images.delete_with(StoragePoolDeleteFlags::NORMAL).await.unwrap();
        images.undefine().await.unwrap();
        assert!(connection.find_storage_pool_by_name("images").await.unwrap().is_none());
        let missing = connection.storage_pool_by_name("images").await.unwrap_err();
        python.is_refused("connection.storagePoolLookupByName('images')", &missing);
        let missing = connection.storage_pool_by_uuid(images.uuid()).await.unwrap_err();
        let lookup = format!("connection.storagePoolLookupByUUIDString('{}')", images.uuid());
        python.is_refused(&lookup, &missing);
    });
}

#[test]
fn pools_without_a_definition_end_when_they_stop() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let once = connection.create_storage_pool(pool("once")).await.unwrap();
        python.run("pool = connection.storagePoolLookupByName('once')");
        python.agrees(
            "[pool.isActive(), pool.isPersistent(), pool.UUIDString()]",
            list(["1", "0", &once.uuid().to_string()]),
        );
        once.destroy().await.unwrap();
        python.is_refused("pool.info()", &once.info().await.unwrap_err());
        let refused =
            connection.create_storage_pool_with(pool("once"), StoragePoolCreateFlags::WITH_BUILD).await;
        python.is_refused("connection.storagePoolCreateXML('<pool/>', 1)", &refused.unwrap_err());
        let flags = StoragePoolDefineFlags::VALIDATE;
        let kept = connection.define_storage_pool_with(pool("kept"), flags).await.unwrap();
        python.agrees("connection.storagePoolLookupByName('kept').isPersistent()", 1);
        kept.undefine().await.unwrap();

        let sources = connection.storage_pool_sources("logical", None).await.unwrap();
        python.agrees("connection.findStoragePoolSources('logical', None)", sources);
        let netfs = "<source><host name='localhost'/></source>";
        let sources = connection.storage_pool_sources("netfs", Some(netfs)).await.unwrap();
        python.agrees(&format!("connection.findStoragePoolSources('netfs', \"{netfs}\")"), sources);
        let refused = connection.storage_pool_sources("scsi", None).await.unwrap_err();
        python.is_refused("connection.findStoragePoolSources('scsi', None)", &refused);
    });
}

#[test]
fn volumes_come_and_go() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let images = connection.create_storage_pool(pool("images")).await.unwrap();
        python.run("pool = connection.storagePoolLookupByName('images')");
        let xml = "<volume><name>disk</name><capacity unit='MiB'>2</capacity></volume>";
        let disk = images.create_volume(xml).await.unwrap();
        python.run("volume = pool.storageVolLookupByName('disk')");
        assert_eq!((disk.name(), disk.pool_name()), ("disk", "images"));
        python.agrees("volume.key()", disk.key());
        let info = disk.info().await.unwrap();
        assert_eq!((info.kind, info.capacity), (StorageVolType::FILE, 2 * 1024 * 1024));
        let kind = u64::try_from(info.kind.0).unwrap();
        python.agrees("volume.info()", list([kind, info.capacity, info.allocation]));
        python.agrees("volume.XMLDesc()", disk.xml().await.unwrap());
        let path = disk.path().await.unwrap();
        python.agrees("volume.path()", &path);
        for found in [
            images.volume_by_name("disk").await.unwrap(),
            connection.volume_by_path(&path).await.unwrap(),
            connection.volume_by_key(disk.key()).await.unwrap(),
        ] {
            assert_eq!(found, disk);
        }
        assert_eq!(disk.storage_pool().await.unwrap(), images);

        let none = StorageVolCreateFlags::empty();
        let second = images.create_volume_with(xml.replace("disk", "second"), none).await.unwrap();
        let copy = images.create_volume_from(xml.replace("disk", "copy"), &disk).await.unwrap();
        let other = images.create_volume_from_with(xml.replace("disk", "other"), &disk, none).await.unwrap();
        let volumes = images.volumes().await.unwrap();
        let names = sorted(volumes.iter().map(|volume| volume.name()));
        assert_eq!(names, "[copy, disk, other, second]");
        python.agrees("sorted(one.name() for one in pool.listAllVolumes())", names);
        let info = images.info().await.unwrap();
        python.agrees("pool.info()[1:]", list([info.capacity, info.allocation, info.available]));

        copy.delete().await.unwrap();
        second.delete_with(StorageVolDeleteFlags::NORMAL).await.unwrap();
        other.delete().await.unwrap();
        python.agrees("[one.name() for one in pool.listAllVolumes()]", "[disk]");
        assert!(images.find_volume_by_name("copy").await.unwrap().is_none());
        assert!(connection.find_volume_by_path("/none").await.unwrap().is_none());
        for (missing, lookup) in [
            (images.volume_by_name("copy").await, "pool.storageVolLookupByName('copy')"),
            (connection.volume_by_path("/none").await, "connection.storageVolLookupByPath('/none')"),
            (connection.volume_by_key("none").await, "connection.storageVolLookupByKey('none')"),
        ] {
            python.is_refused(lookup, &missing.unwrap_err());
        }
    });
}

//! Storage pools and volumes of the real daemon, in directories of its own, compared with Python's binding.

use std::fs;

use libvirt_client::{
    Connection, Error, StoragePool, StorageVol,
    enums::{
        ConnectListAllStoragePoolsFlags, StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolState,
        StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfoFlags, StorageVolResizeFlags,
        StorageVolType, StorageVolWipeAlgorithm,
    },
};

use crate::{
    QEMU,
    support::{Daemon, compare::Comparison, listener::Listener, live, python::sorted},
};

fn pool(daemon: &Daemon, name: &str) -> String {
    format!(
        "<pool type='dir'><name>{name}</name><target><path>{}/{name}</path></target></pool>",
        daemon.directory().display()
    )
}

fn volume(name: &str, format: &str) -> String {
    format!(
        "<volume><name>{name}</name><capacity>4194304</capacity><allocation>0</allocation>\
         <target><format type='{format}'/></target></volume>"
    )
}

fn by_name(pools: &[StoragePool]) -> String {
    sorted(pools.iter().map(|pool| format!("{} {}", pool.name(), pool.uuid())))
}

fn by_path(volumes: &[StorageVol]) -> String {
    sorted(volumes.iter().map(|volume| format!("{} {}", volume.name(), volume.key())))
}

#[test]
fn a_pool_is_built_started_refreshed_and_deleted() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let disks = connection.define_storage_pool(pool(&daemon, "disks")).await.unwrap();
        let mut both = Comparison::new(&daemon, QEMU, "disks = connection.storagePoolLookupByName('disks')");
        both.refused("disks.create()", disks.start().await);
        both.refused("disks.refresh()", disks.refresh().await);
        both.check();
        disks.build_with(StoragePoolBuildFlags::NEW).await.unwrap();
        disks.start().await.unwrap();
        disks.set_autostart(true).await.unwrap();
        disks.refresh().await.unwrap();

        let mut both = Comparison::new(&daemon, QEMU, "disks = connection.storagePoolLookupByName('disks')");
        let info = disks.info().await.unwrap();
        assert_eq!(info.state, StoragePoolState::RUNNING);
        both.same("disks.info()[:2]", format!("[{}, {}]", info.state.0, info.capacity));
        assert_eq!(info.available + info.allocation, info.capacity);
        both.same("disks.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE)", {
            disks.xml_with(libvirt_client::enums::StorageXmlFlags::INACTIVE).await.unwrap()
        });
        assert!(disks.xml().await.unwrap().contains("<available unit='bytes'>"));
        both.same_bool("disks.isActive()", disks.is_active().await.unwrap());
        both.same_bool("disks.isPersistent()", disks.is_persistent().await.unwrap());
        both.same_bool("disks.autostart()", disks.autostart().await.unwrap());
        both.same("disks.UUIDString()", disks.uuid());
        both.same("len(disks.listAllVolumes())", disks.volumes().await.unwrap().len());
        assert_eq!(connection.storage_pool_by_name("disks").await.unwrap(), disks);
        assert_eq!(connection.storage_pool_by_uuid(disks.uuid()).await.unwrap(), disks);
        let path = format!("{}/disks", daemon.directory().display());
        let found = connection.storage_pool_by_target_path(&path).await.unwrap();
        assert_eq!(found, disks);
        both.same(format!("connection.storagePoolLookupByTargetPath({path:?}).name()"), found.name());
        for missing in [
            (connection.storage_pool_by_name("none").await, "connection.storagePoolLookupByName('none')"),
            (
                connection.storage_pool_by_target_path("/none").await,
                "connection.storagePoolLookupByTargetPath('/none')",
            ),
        ] {
            assert!(missing.0.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
            both.refused(missing.1, missing.0);
        }
        both.refused("disks.create()", disks.start().await);
        both.refused("disks.undefine()", disks.undefine().await);
        both.check();

        disks.set_autostart(false).await.unwrap();
        disks.destroy().await.unwrap();
        disks.delete().await.unwrap();
        assert!(!fs::exists(&path).unwrap());
        disks.undefine().await.unwrap();
        assert!(connection.find_storage_pool_by_name("disks").await.unwrap().is_none());
        assert!(connection.find_storage_pool_by_uuid(disks.uuid()).await.unwrap().is_none());
        listener.wait_for("pool disks lifecycle 1 0").await;
        let heard: Vec<String> = listener
            .agree()
            .await
            .iter()
            .map(|line| line.strip_prefix("pool disks ").unwrap_or(line).to_owned())
            .collect();
        // Defined, built, started, refreshed, stopped, deleted, undefined.
        let expected = ["0 0", "4 0", "2 0", "refresh", "3 0", "5 0", "1 0"];
        let expected =
            expected.map(|act| if act == "refresh" { act.into() } else { format!("lifecycle {act}") });
        assert_eq!(heard, expected);
        listener.agree().await;
    });
}

#[test]
fn pools_are_listed_and_described() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let made = connection
            .create_storage_pool_with(pool(&daemon, "made"), StoragePoolCreateFlags::WITH_BUILD)
            .await
            .unwrap();
        fs::create_dir(daemon.directory().join("there")).unwrap();
        let there = connection.create_storage_pool(pool(&daemon, "there")).await.unwrap();
        connection.define_storage_pool(pool(&daemon, "idle")).await.unwrap();
        assert!(!made.is_persistent().await.unwrap());

        let mut both = Comparison::new(&daemon, QEMU, "");
        let theirs =
            "names(f'{one.name()} {one.UUIDString()}' for one in connection.listAllStoragePools(FLAGS))";
        both.same(theirs.replace("FLAGS", "0"), by_name(&connection.storage_pools().await.unwrap()));
        for (flag, count) in [
            (ConnectListAllStoragePoolsFlags::INACTIVE, 1),
            (ConnectListAllStoragePoolsFlags::TRANSIENT, 2),
            (ConnectListAllStoragePoolsFlags::DIR, 3),
            (ConnectListAllStoragePoolsFlags::NETFS, 0),
        ] {
            let ours = connection.storage_pools().matching(flag).await.unwrap();
            assert_eq!(ours.len(), count, "{flag:?}");
            both.same(theirs.replace("FLAGS", &flag.bits().to_string()), by_name(&ours));
        }
        both.same(
            "connection.getStoragePoolCapabilities()",
            connection.storage_pool_capabilities().await.unwrap(),
        );
        both.refused(
            "connection.findStoragePoolSources('dir', None)",
            connection.storage_pool_sources("dir", None).await,
        );
        both.refused(
            "connection.storagePoolCreateXML('<pool/>')",
            connection.create_storage_pool("<pool/>").await,
        );
        both.check();
        made.destroy().await.unwrap();
        there.destroy().await.unwrap();
    });
}

#[test]
fn a_volume_is_made_copied_resized_wiped_and_deleted() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let xml = pool(&daemon, "disks");
        let pool =
            connection.create_storage_pool_with(xml, StoragePoolCreateFlags::WITH_BUILD).await.unwrap();
        let raw = pool.create_volume(volume("raw.img", "raw")).await.unwrap();
        let layered = pool
            .create_volume_with(volume("layered.qcow2", "qcow2"), StorageVolCreateFlags::PREALLOC_METADATA)
            .await
            .unwrap();
        let path = raw.path().await.unwrap();
        fs::write(&path, vec![0xa5; 1 << 20]).unwrap();
        let copy = pool.create_volume_from(volume("copy.img", "raw"), &raw).await.unwrap();
        let copied = fs::read(copy.path().await.unwrap()).unwrap();
        assert!(copied.starts_with(&[0xa5; 1 << 20]), "the copy has what the first one has");

        let setup = format!(
            "pool = connection.storagePoolLookupByName('disks')\nraw = pool.storageVolLookupByName('raw.img')\n\
             layered = connection.storageVolLookupByPath('{}')",
            layered.path().await.unwrap()
        );
        let mut both = Comparison::new(&daemon, QEMU, &setup);
        let volumes = pool.volumes().await.unwrap();
        assert_eq!(volumes.len(), 3);
        both.same("names(f'{one.name()} {one.key()}' for one in pool.listAllVolumes())", by_path(&volumes));
        both.same("raw.path()", &path);
        both.same("layered.XMLDesc()", layered.xml().await.unwrap());
        for (name, volume) in [("raw", &raw), ("layered", &layered)] {
            let info = volume.info().await.unwrap();
            assert_eq!((info.kind, info.capacity >= 1 << 20), (StorageVolType::FILE, true));
            both.same(
                format!("{name}.info()"),
                format!("[{}, {}, {}]", info.kind.0, info.capacity, info.allocation),
            );
            let info = volume.info_with(StorageVolInfoFlags::GET_PHYSICAL).await.unwrap();
            both.same(
                format!("{name}.infoFlags(1)"),
                format!("[{}, {}, {}]", info.kind.0, info.capacity, info.allocation),
            );
        }
        assert_eq!(pool.volume_by_name("raw.img").await.unwrap(), raw);
        assert_eq!(connection.volume_by_path(&path).await.unwrap(), raw);
        assert_eq!(connection.volume_by_key(raw.key()).await.unwrap(), raw);
        assert_eq!(raw.storage_pool().await.unwrap(), pool);
        both.same("raw.storagePoolLookupByVolume().name()", raw.pool_name());
        let missing = pool.volume_by_name("none").await;
        assert!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
        both.refused("pool.storageVolLookupByName('none')", missing);
        both.refused("connection.storageVolLookupByPath('/none')", connection.volume_by_path("/none").await);
        both.refused("connection.storageVolLookupByKey('/none')", connection.volume_by_key("/none").await);
        assert!(pool.find_volume_by_name("none").await.unwrap().is_none());
        assert!(connection.find_volume_by_key("/none").await.unwrap().is_none());
        both.refused("raw.resize(4096)", raw.resize(4096).await);
        let again = volume("raw.img", "raw");
        both.refused(format!("pool.createXML({again:?})"), pool.create_volume(again).await);
        both.check();

        raw.resize(8 << 20).await.unwrap();
        let delta = StorageVolResizeFlags::DELTA | StorageVolResizeFlags::ALLOCATE;
        raw.resize_with(1 << 20, delta).await.unwrap();
        let mut both = Comparison::new(&daemon, QEMU, &setup);
        both.same("raw.info()[1]", raw.info().await.unwrap().capacity);
        both.check();
        assert_eq!(fs::metadata(&path).unwrap().len(), 9 << 20);
        raw.wipe(StorageVolWipeAlgorithm::ZERO).await.unwrap();
        assert!(fs::read(&path).unwrap().iter().all(|byte| *byte == 0));
        let mut both = Comparison::new(&daemon, QEMU, &setup);
        both.refused("raw.delete(1)", raw.delete_with(StorageVolDeleteFlags::ZEROED).await);
        both.refused("raw.wipePattern(2)", raw.wipe(StorageVolWipeAlgorithm::DOD).await);
        both.check();
        copy.delete().await.unwrap();
        raw.delete().await.unwrap();
        assert!(!fs::exists(&path).unwrap());
        assert_eq!(pool.volumes().await.unwrap(), [layered]);
    });
}

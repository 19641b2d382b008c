//! Procedures that have no method, since another does all that they do: called raw, they give what the method gives.
//! That is what the ledger claims of them, and it shows that the raw layer reaches everything.

use std::{collections::BTreeSet, fs};

use libvirt_client::{
    Connection, CpuMap, Domain,
    enums::{
        ConnectListAllDomainsFlags, ConnectListAllInterfacesFlags, ConnectListAllNetworksFlags,
        ConnectListAllStoragePoolsFlags, DomainCoreDumpFormat, DomainState, DomainVcpuFlags,
        StorageVolWipeAlgorithm,
    },
    ledger::{self, Becomes},
    protocol::remote,
};

use crate::{
    TEST, simulated,
    support::{Daemon, live},
    test_domain,
};

/// More than there are of anything.
const MOST: i32 = 1000;

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// Calls a procedure that counts and one that lists, and fails unless they agree with `$names`.
macro_rules! counted_and_listed {
    ($client:expr, $count:expr, $list:expr, $names:expr) => {
        let count = $client.call($count).await.unwrap().num;
        let listed = $client.call($list).await.unwrap().names;
        assert_eq!(count as usize, listed.len());
        let expected: BTreeSet<String> = $names;
        assert_eq!(names(listed.iter().map(String::as_str)), expected);
    };
}

async fn raw(connection: &Connection, name: &str) -> remote::NonnullDomain {
    let arguments = remote::DomainLookupByNameArgs { name: name.to_owned() };
    connection.client().call(arguments).await.unwrap().dom
}

#[test]
fn lists_of_names_are_those_of_the_objects() {
    live(async {
        let (_daemon, connection, _python) = simulated().await;
        let client = connection.client();
        connection.define_domain(test_domain("off")).await.unwrap();
        connection.define_network("<network><name>off</name></network>").await.unwrap();
        let pool = "<pool type='dir'><name>off</name><target><path>/off</path></target></pool>";
        let off = connection.define_storage_pool(pool).await.unwrap();

        let on = connection.domains().matching(ConnectListAllDomainsFlags::ACTIVE).await.unwrap();
        let ids = client.call(remote::ConnectListDomainsArgs { maxids: MOST }).await.unwrap().ids;
        assert_eq!(client.call(remote::ConnectNumOfDomainsArgs).await.unwrap().num, 1);
        assert_eq!(ids, [i32::try_from(on[0].id().unwrap()).unwrap()]);
        let domains = connection.domains().matching(ConnectListAllDomainsFlags::INACTIVE).await.unwrap();
        counted_and_listed!(
            client,
            remote::ConnectNumOfDefinedDomainsArgs,
            remote::ConnectListDefinedDomainsArgs { maxnames: MOST },
            names(domains.iter().map(|one| one.name()))
        );

        let networks = connection.networks().matching(ConnectListAllNetworksFlags::ACTIVE).await.unwrap();
        counted_and_listed!(
            client,
            remote::ConnectNumOfNetworksArgs,
            remote::ConnectListNetworksArgs { maxnames: MOST },
            names(networks.iter().map(|one| one.name()))
        );
        let networks = connection.networks().matching(ConnectListAllNetworksFlags::INACTIVE).await.unwrap();
        counted_and_listed!(
            client,
            remote::ConnectNumOfDefinedNetworksArgs,
            remote::ConnectListDefinedNetworksArgs { maxnames: MOST },
            names(networks.iter().map(|one| one.name()))
        );

        let pools =
            connection.storage_pools().matching(ConnectListAllStoragePoolsFlags::ACTIVE).await.unwrap();
        counted_and_listed!(
            client,
            remote::ConnectNumOfStoragePoolsArgs,
            remote::ConnectListStoragePoolsArgs { maxnames: MOST },
            names(pools.iter().map(|one| one.name()))
        );
        let pools =
            connection.storage_pools().matching(ConnectListAllStoragePoolsFlags::INACTIVE).await.unwrap();
        counted_and_listed!(
            client,
            remote::ConnectNumOfDefinedStoragePoolsArgs,
            remote::ConnectListDefinedStoragePoolsArgs { maxnames: MOST },
            names(pools.iter().map(|one| one.name()))
        );
        off.start().await.unwrap();
        off.create_volume("<volume><name>disk</name><capacity>1</capacity></volume>").await.unwrap();
        let arguments = remote::StoragePoolLookupByNameArgs { name: "off".to_owned() };
        let pool = client.call(arguments).await.unwrap().pool;
        let volumes = off.volumes().await.unwrap();
        counted_and_listed!(
            client,
            remote::StoragePoolNumOfVolumesArgs { pool: pool.clone() },
            remote::StoragePoolListVolumesArgs { pool, maxnames: MOST },
            names(volumes.iter().map(|one| one.name()))
        );

        let on = connection.interfaces().matching(ConnectListAllInterfacesFlags::ACTIVE).await.unwrap();
        counted_and_listed!(
            client,
            remote::ConnectNumOfInterfacesArgs,
            remote::ConnectListInterfacesArgs { maxnames: MOST },
            names(on.iter().map(|one| one.name()))
        );
        let off = connection.interfaces().matching(ConnectListAllInterfacesFlags::INACTIVE).await.unwrap();
        counted_and_listed!(
            client,
            remote::ConnectNumOfDefinedInterfacesArgs,
            remote::ConnectListDefinedInterfacesArgs { maxnames: MOST },
            names(off.iter().map(|one| one.name()))
        );

        let devices = connection.node_devices().await.unwrap();
        counted_and_listed!(
            client,
            remote::NodeNumOfDevicesArgs { cap: None, flags: 0 },
            remote::NodeListDevicesArgs { cap: None, maxnames: MOST, flags: 0 },
            names(devices.iter().map(|one| one.name()))
        );
        for device in &devices {
            let arguments = remote::NodeDeviceNumOfCapsArgs { name: device.name().to_owned() };
            let count = client.call(arguments).await.unwrap().num as usize;
            assert_eq!(count, device.caps().await.unwrap().len(), "{}", device.name());
        }
    });
}

#[test]
fn lists_of_names_of_what_only_real_drivers_have() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri("qemu:///system")).await.unwrap();
        let client = connection.client();
        let xml = "<secret><usage type='ceph'><name>key</name></usage></secret>";
        let secret = connection.define_secret(xml).await.unwrap();
        let uuids = client.call(remote::ConnectListSecretsArgs { maxuuids: MOST }).await.unwrap().uuids;
        assert_eq!(uuids, [secret.uuid().to_string()]);
        assert_eq!(client.call(remote::ConnectNumOfSecretsArgs).await.unwrap().num, 1);
        let xml =
            "<filter name='quiet'><rule action='drop' direction='out'><mac match='no'/></rule></filter>";
        connection.define_network_filter(xml).await.unwrap();
        let filters = connection.network_filters().await.unwrap();
        counted_and_listed!(
            client,
            remote::ConnectNumOfNwfiltersArgs,
            remote::ConnectListNwfiltersArgs { maxnames: MOST },
            names(filters.iter().map(|one| one.name()))
        );

        let path = daemon.directory().join("lib/images").display().to_string();
        let xml = format!("<pool type='dir'><name>images</name><target><path>{path}</path></target></pool>");
        let pool = connection.create_storage_pool(xml).await.unwrap();
        let mut wiped = Vec::new();
        for name in ["raw", "typed"] {
            let xml = format!("<volume><name>{name}</name><capacity>4096</capacity></volume>");
            let volume = pool.create_volume(xml).await.unwrap();
            let path = volume.path().await.unwrap();
            fs::write(&path, [1; 4096]).unwrap();
            if name == "raw" {
                let arguments = remote::StorageVolLookupByNameArgs {
                    pool: raw_pool(&connection).await,
                    name: name.to_owned(),
                };
                let vol = client.call(arguments).await.unwrap().vol;
                client.call(remote::StorageVolWipeArgs { vol, flags: 0 }).await.unwrap();
            } else {
                volume.wipe(StorageVolWipeAlgorithm::ZERO).await.unwrap();
            }
            wiped.push(fs::read(&path).unwrap());
        }
        assert_eq!(wiped, [vec![0; 4096], vec![0; 4096]]);
    });
}

async fn raw_pool(connection: &Connection) -> remote::NonnullStoragePool {
    let arguments = remote::StoragePoolLookupByNameArgs { name: "images".to_owned() };
    connection.client().call(arguments).await.unwrap().pool
}

#[test]
fn acts_without_flags_are_those_with_none() {
    live(async {
        let (daemon, connection, mut python) = simulated().await;
        let client = connection.client();
        let dom = client.call(remote::DomainDefineXmlArgs { xml: test_domain("raw") }).await.unwrap().dom;
        let typed = connection.define_domain(test_domain("typed")).await.unwrap();
        let twin = connection.domain_by_name("raw").await.unwrap();
        same(&twin, &typed).await;
        client.call(remote::DomainSetMaxMemoryArgs { dom: dom.clone(), memory: 8192 }).await.unwrap();
        python.agrees("connection.lookupByName('raw').maxMemory()", 8192);

        client.call(remote::DomainCreateArgs { dom: dom.clone() }).await.unwrap();
        typed.start().await.unwrap();
        same(&twin, &typed).await;
        let dom = raw(&connection, "raw").await;
        client.call(remote::DomainSetMemoryArgs { dom: dom.clone(), memory: 2048 }).await.unwrap();
        client.call(remote::DomainSetVcpusArgs { dom: dom.clone(), nvcpus: 1 }).await.unwrap();
        let cpumap = vec![2].into();
        client.call(remote::DomainPinVcpuArgs { dom: dom.clone(), vcpu: 0, cpumap }).await.unwrap();
        typed.set_memory(2048).await.unwrap();
        typed.set_vcpus(1).await.unwrap();
        typed.pin_vcpu(0, [1]).await.unwrap();
        assert_eq!(twin.info().await.unwrap().memory_kib, 2048);
        assert_eq!(twin.vcpu_pin_info().await.unwrap(), [CpuMap::from([1])]);
        assert_eq!(twin.vcpu_pin_info().await.unwrap(), typed.vcpu_pin_info().await.unwrap());
        let most = client.call(remote::DomainGetMaxVcpusArgs { dom: dom.clone() }).await.unwrap().num;
        let maximum = DomainVcpuFlags::LIVE | DomainVcpuFlags::MAXIMUM;
        assert_eq!(most, typed.vcpu_count_with(maximum).await.unwrap());

        let path = |name: &str| daemon.directory().join(name).display().to_string();
        let to = path("raw.core");
        client.call(remote::DomainCoreDumpArgs { dom: dom.clone(), to, flags: 0 }).await.unwrap();
        typed.core_dump(path("typed.core"), DomainCoreDumpFormat::RAW).await.unwrap();
        assert_eq!(fs::read(path("raw.core")).unwrap(), fs::read(path("typed.core")).unwrap());

        client.call(remote::DomainSaveArgs { dom: dom.clone(), to: path("raw.saved") }).await.unwrap();
        typed.save(path("typed.saved"), None).await.unwrap();
        same(&twin, &typed).await;
        client.call(remote::DomainRestoreArgs { from: path("raw.saved") }).await.unwrap();
        connection.restore_domain(path("typed.saved"), None).await.unwrap();
        same(&twin, &typed).await;

        client.call(remote::DomainShutdownArgs { dom: dom.clone() }).await.unwrap();
        typed.shutdown().await.unwrap();
        same(&twin, &typed).await;
        client.call(remote::DomainCreateArgs { dom: dom.clone() }).await.unwrap();
        typed.start().await.unwrap();
        client.call(remote::DomainDestroyArgs { dom: dom.clone() }).await.unwrap();
        typed.destroy().await.unwrap();
        same(&twin, &typed).await;
        assert_eq!(typed.state().await.unwrap().state, DomainState::SHUTOFF);
        client.call(remote::DomainUndefineArgs { dom: dom.clone() }).await.unwrap();
        typed.undefine().await.unwrap();
        python.agrees("[one.name() for one in connection.listAllDomains()]", "[test]");
    });
}

/// Fails unless two domains are in the same state, for the same reason.
async fn same(one: &Domain, other: &Domain) {
    assert_eq!(one.state().await.unwrap(), other.state().await.unwrap());
    let (one, other) = (one.info().await.unwrap(), other.info().await.unwrap());
    assert_eq!((one.state, one.vcpus), (other.state, other.vcpus));
}

#[test]
fn scheduler_settings_without_flags() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let client = connection.client();
        let dom = raw(&connection, "test").await;
        let weight =
            remote::TypedParam { field: "weight".to_owned(), value: remote::TypedParamValue::Uint(50) };
        let arguments = remote::DomainSetSchedulerParametersArgs { dom: dom.clone(), params: vec![weight] };
        client.call(arguments).await.unwrap();
        let read =
            client.call(remote::DomainGetSchedulerParametersArgs { dom, nparams: 1 }).await.unwrap().params;
        python.run("params = connection.lookupByName('test').schedulerParameters()");
        python.agrees("len(params)", read.len());
        python.agrees("'weight' in params", i32::from(read[0].field == "weight"));
        let remote::TypedParamValue::Uint(value) = read[0].value else { panic!("{read:?}") };
        python.agrees("params['weight']", value);
    });
}

#[test]
fn counts_and_names_of_snapshots() {
    live(async {
        let (_daemon, connection, _python) = simulated().await;
        let client = connection.client();
        let domain = connection.domain_by_name("test").await.unwrap();
        for name in ["one", "two", "three"] {
            domain
                .create_snapshot(format!("<domainsnapshot><name>{name}</name></domainsnapshot>"))
                .await
                .unwrap();
        }
        let dom = raw(&connection, "test").await;
        let all = domain.snapshots().await.unwrap();
        counted_and_listed!(
            client,
            remote::DomainSnapshotNumArgs { dom: dom.clone(), flags: 0 },
            remote::DomainSnapshotListNamesArgs { dom: dom.clone(), maxnames: MOST, flags: 0 },
            names(all.iter().map(|one| one.name()))
        );
        assert_eq!(all.len(), 3);
        let first = domain.snapshot_by_name("one").await.unwrap();
        let snap = remote::NonnullDomainSnapshot { name: "one".to_owned(), dom };
        let children = first.children().await.unwrap();
        counted_and_listed!(
            client,
            remote::DomainSnapshotNumChildrenArgs { snap: snap.clone(), flags: 0 },
            remote::DomainSnapshotListChildrenNamesArgs { snap, maxnames: MOST, flags: 0 },
            names(children.iter().map(|one| one.name()))
        );
        assert_eq!(children.len(), 1);
    });
}

#[test]
fn what_the_simulated_hypervisor_refuses_it_refuses_in_either_way() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let client = connection.client();
        let domain = connection.domain_by_name("test").await.unwrap();
        let dom = raw(&connection, "test").await;
        let xml = "<disk type='file' device='disk'><source file='/a'/><target dev='vdb'/></disk>";
        python.run(&format!("domain = connection.lookupByName('test')\nxml = \"{xml}\""));
        let arguments = remote::DomainAttachDeviceArgs { dom: dom.clone(), xml: xml.to_owned() };
        let refused = client.call(arguments).await.unwrap_err();
        assert!(refused.is_unsupported() && domain.attach_device(xml).await.unwrap_err().is_unsupported());
        python.is_refused("domain.attachDevice(xml)", &refused);
        let refused =
            client.call(remote::DomainDetachDeviceArgs { dom, xml: xml.to_owned() }).await.unwrap_err();
        assert!(refused.is_unsupported() && domain.detach_device(xml).await.unwrap_err().is_unsupported());
        python.is_refused("domain.detachDevice(xml)", &refused);
        let refused =
            client.call(remote::NodeDeviceDettachArgs { name: "computer".to_owned() }).await.unwrap_err();
        python.is_refused("connection.nodeDeviceLookupByName('computer').dettach()", &refused);
        let device = connection.node_device_by_name("computer").await.unwrap();
        let successor = device.detach(None).await.unwrap_err();
        python.is_refused("connection.nodeDeviceLookupByName('computer').detachFlags(None, 0)", &successor);
    });
}

#[test]
fn every_superseded_procedure_is_here() {
    let source = include_str!("superseded.rs");
    for entry in ledger::entries() {
        let (Becomes::Superseded(_), Some(name)) = (entry.becomes, entry.name.strip_prefix("REMOTE_PROC_"))
        else {
            continue;
        };
        let words = name.split('_').map(|word| word[..1].to_owned() + &word[1..].to_lowercase());
        let arguments = format!("remote::{}Args", words.collect::<String>());
        assert!(source.contains(&arguments), "{arguments}");
    }
}

/// What a connection does when a subscription is dropped; closing the connection does it, too, without a call.
#[test]
fn registrations_are_cancelled_by_their_numbers() {
    live(async {
        let daemon = Daemon::start();
        for uri in [TEST, "qemu:///system"] {
            let connection = Connection::open(daemon.uri(uri)).await.unwrap();
            let client = connection.client();
            let register = remote::ConnectDomainEventCallbackRegisterAnyArgs { event_id: 0, dom: None };
            let callback_id = client.call(register).await.unwrap().callback_id;
            let cancel = || remote::ConnectDomainEventCallbackDeregisterAnyArgs { callback_id };
            client.call(cancel()).await.unwrap();
            assert!(client.call(cancel()).await.unwrap_err().remote().is_some());
        }
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let client = connection.client();
        let register = remote::ConnectNodeDeviceEventRegisterAnyArgs { event_id: 0, dev: None };
        let callback_id = client.call(register).await.unwrap().callback_id;
        client.call(remote::ConnectNodeDeviceEventDeregisterAnyArgs { callback_id }).await.unwrap();
        // That one was registered when the connection was opened.
        client.call(remote::ConnectUnregisterCloseCallbackArgs).await.unwrap();
        client.call(remote::ConnectRegisterCloseCallbackArgs).await.unwrap();
    });
}

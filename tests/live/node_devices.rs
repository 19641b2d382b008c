//! Devices of the simulated host.

use libvirt_client::enums::{ConnectListAllNodeDeviceFlags, NodeDeviceCreateXmlFlags};

use crate::{
    simulated,
    support::{
        live,
        python::{list, sorted},
    },
};

const CARD: &str = "<device><parent>scsi_host1</parent><capability type='scsi_host'><capability type='fc_host'>\
                    <wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn></capability></capability></device>";

#[test]
fn devices_are_listed_and_found_again() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let devices = connection.node_devices().await.unwrap();
        assert!(!devices.is_empty());
        let mut ours = Vec::new();
        for device in &devices {
            let parent = device.parent_name().await.unwrap().unwrap_or_else(|| "None".to_owned());
            let caps = list(device.caps().await.unwrap());
            ours.push(format!("[{}, {parent}, {caps}]", device.name()));
        }
        python.agrees(
            "sorted(show([one.name(), one.parent(), one.listCaps()]) for one in connection.listAllDevices())",
            sorted(ours),
        );
        for device in &devices {
            assert_eq!(*device, connection.node_device_by_name(device.name()).await.unwrap());
            let lookup = format!("connection.nodeDeviceLookupByName('{}').XMLDesc()", device.name());
            python.agrees(&lookup, device.xml().await.unwrap());
        }
        let hosts = ConnectListAllNodeDeviceFlags::CAP_SCSI_HOST;
        let hosts = connection.node_devices().matching(hosts).await.unwrap();
        let hosts = sorted(hosts.iter().map(|device| device.name()));
        python.agrees(
            "sorted(one.name() for one in connection.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_SCSI_HOST))",
            hosts,
        );
        let missing = connection.node_device_by_name("none").await.unwrap_err();
        python.is_refused("connection.nodeDeviceLookupByName('none')", &missing);
        assert!(connection.find_node_device_by_name("none").await.unwrap().is_none());
    });
}

#[test]
fn devices_are_made_and_unmade() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let card = connection.create_node_device(CARD).await.unwrap();
        python.run(&format!("device = connection.nodeDeviceLookupByName('{}')", card.name()));
        python.agrees("device.XMLDesc()", card.xml().await.unwrap());
        assert_eq!(card.parent_name().await.unwrap().as_deref(), Some("scsi_host1"));
        python.agrees("device.parent()", "scsi_host1");
        card.destroy().await.unwrap();
        python.is_refused("device.XMLDesc()", &card.xml().await.unwrap_err());
        let flags = NodeDeviceCreateXmlFlags::empty();
        let card = connection.create_node_device_with(CARD, flags).await.unwrap();
        python.agrees(&format!("connection.nodeDeviceLookupByName('{0}').name()", card.name()), card.name());
        card.destroy().await.unwrap();
    });
}

//! Devices and interfaces of the real host, and udev's news of them, compared with Python's binding.

use libvirt_client::{
    Connection, Error,
    enums::{ConnectListAllInterfacesFlags, ConnectListAllNodeDeviceFlags},
};

use crate::{
    QEMU,
    support::{Daemon, compare::Comparison, listener::Listener, live, python::sorted, wait_until},
};

#[test]
fn the_hosts_devices_are_listed_and_told_of() {
    live(async {
        let daemon = Daemon::builder().udevd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        daemon.shell(
            "ip link add pair0 address 52:54:00:00:00:42 type veth peer name pair1 address 52:54:00:00:00:43",
        );
        listener.wait_for("device net_pair0_52_54_00_00_00_42 lifecycle 0 0").await;
        listener.wait_for("device net_pair1_52_54_00_00_00_43 lifecycle 0 0").await;

        let card = connection.node_device_by_name("net_pair0_52_54_00_00_00_42").await.unwrap();
        let mut both = Comparison::new(&daemon, QEMU, {
            "card = connection.nodeDeviceLookupByName('net_pair0_52_54_00_00_00_42')"
        });
        both.same("card.XMLDesc()", card.xml().await.unwrap());
        both.same("card.parent()", card.parent_name().await.unwrap().unwrap());
        let caps = card.caps().await.unwrap();
        assert_eq!(caps, ["net"]);
        both.same("names(card.listCaps())", sorted(caps));
        both.same_bool("card.isActive()", card.is_active().await.unwrap());
        both.same_bool("card.isPersistent()", card.is_persistent().await.unwrap());
        both.same_bool("card.autostart()", card.autostart().await.unwrap());
        both.refused("card.setAutostart(1)", card.set_autostart(true).await);
        both.refused("card.destroy()", card.destroy().await);
        both.refused("card.undefine()", card.undefine().await);
        both.refused("card.create()", card.start().await);
        both.refused("card.reset()", card.reset().await);
        both.refused("card.dettach()", card.detach(None).await);
        both.refused("card.reAttach()", card.reattach().await);

        let devices = connection.node_devices().await.unwrap();
        let ours =
            |devices: &[libvirt_client::NodeDevice]| sorted(devices.iter().map(|device| device.name()));
        both.same("names(one.name() for one in connection.listAllDevices())", ours(&devices));
        for flag in [
            ConnectListAllNodeDeviceFlags::CAP_NET,
            ConnectListAllNodeDeviceFlags::CAP_SYSTEM,
            ConnectListAllNodeDeviceFlags::INACTIVE,
        ] {
            let devices = connection.node_devices().matching(flag).await.unwrap();
            both.same(
                format!("names(one.name() for one in connection.listAllDevices({}))", flag.bits()),
                ours(&devices),
            );
        }
        let computer = connection.node_device_by_name("computer").await.unwrap();
        assert_eq!(computer.parent_name().await.unwrap(), None);
        both.same("connection.nodeDeviceLookupByName('computer').parent()", "None");
        let missing = connection.node_device_by_name("none").await;
        assert!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
        both.refused("connection.nodeDeviceLookupByName('none')", missing);
        let (node, port) = ("2000000012341234", "1000000012341234");
        both.refused(
            format!("connection.nodeDeviceLookupSCSIHostByWWN('{node}', '{port}')"),
            connection.node_device_by_wwn(node, port).await,
        );
        let adapter = "<device><parent>computer</parent><capability type='scsi_host'><capability type='fc_host'>\
                       <wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn></capability></capability></device>";
        both.refused(
            format!("connection.nodeDeviceCreateXML({adapter:?})"),
            connection.create_node_device(adapter).await,
        );
        let mediated =
            "<device><parent>computer</parent><capability type='mdev'><type id='x'/></capability></device>";
        both.refused(
            format!("connection.nodeDeviceDefineXML({mediated:?})"),
            connection.define_node_device(mediated).await,
        );
        both.check();

        daemon.shell("ip link delete pair0");
        listener.wait_for("device net_pair0_52_54_00_00_00_42 lifecycle 1 0").await;
        assert!(connection.find_node_device_by_name(card.name()).await.unwrap().is_none());
        listener.agree().await;
    });
}

#[test]
fn the_hosts_interfaces_are_listed_and_cannot_be_changed() {
    live(async {
        let daemon = Daemon::builder().udevd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        daemon.shell(
            "ip link add pair0 address 52:54:00:00:00:42 type veth peer name pair1 && ip link set pair0 up",
        );
        let found = || daemon.python(QEMU, "print([one.name() for one in connection.listAllInterfaces()])");
        wait_until(|| found().contains("pair0")).await;

        let pair = connection.interface_by_name("pair0").await.unwrap();
        assert_eq!(pair.mac(), "52:54:00:00:00:42");
        assert_eq!(connection.interface_by_mac("52:54:00:00:00:42").await.unwrap(), pair);
        let mut both = Comparison::new(
            &daemon,
            QEMU,
            "pair = connection.interfaceLookupByMACString('52:54:00:00:00:42')",
        );
        both.same("pair.name()", pair.name());
        both.same("pair.XMLDesc()", pair.xml().await.unwrap());
        both.same_bool("pair.isActive()", pair.is_active().await.unwrap());
        let listed =
            |interfaces: &[libvirt_client::Interface]| sorted(interfaces.iter().map(|one| one.name()));
        let all = connection.interfaces().await.unwrap();
        both.same("names(one.name() for one in connection.listAllInterfaces())", listed(&all));
        for flag in [ConnectListAllInterfacesFlags::ACTIVE, ConnectListAllInterfacesFlags::INACTIVE] {
            let ours = connection.interfaces().matching(flag).await.unwrap();
            both.same(
                format!("names(one.name() for one in connection.listAllInterfaces({}))", flag.bits()),
                listed(&ours),
            );
        }
        let missing = connection.interface_by_name("none").await;
        assert!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
        both.refused("connection.interfaceLookupByName('none')", missing);
        both.refused(
            "connection.interfaceLookupByMACString('00:00:00:00:00:99')",
            connection.interface_by_mac("00:00:00:00:00:99").await,
        );
        // This way of looking at interfaces, through udev, only looks.
        both.refused("connection.changeBegin()", connection.begin_interface_change().await);
        both.refused("connection.changeCommit()", connection.commit_interface_change().await);
        both.refused("connection.changeRollback()", connection.rollback_interface_change().await);
        let bond = "<interface type='ethernet' name='eth9'><start mode='none'/></interface>";
        both.refused(
            format!("connection.interfaceDefineXML({bond:?})"),
            connection.define_interface(bond).await,
        );
        both.refused("pair.create()", pair.start().await);
        both.refused("pair.destroy()", pair.destroy().await);
        both.refused("pair.undefine()", pair.undefine().await);
        both.check();
        let unsupported = pair.undefine().await.unwrap_err();
        assert!(unsupported.is_unsupported(), "{unsupported}");
    });
}

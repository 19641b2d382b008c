//! Networks of the simulated hypervisor, and the host's interfaces there.

use libvirt_client::{
    Uuid,
    enums::{
        ConnectListAllInterfacesFlags, ConnectListAllNetworksFlags, InterfaceDefineFlags, InterfaceXmlFlags,
        NetworkCreateFlags, NetworkDefineFlags, NetworkUpdateCommand, NetworkUpdateFlags,
        NetworkUpdateSection, NetworkXmlFlags,
    },
};

use crate::{
    TEST, simulated,
    support::{live, python::sorted},
};

fn network(name: &str) -> String {
    format!(
        "<network><name>{name}</name><bridge name='virbr7'/><forward mode='nat'/>\
         <ip address='192.168.177.1' netmask='255.255.255.0'><dhcp>\
         <range start='192.168.177.2' end='192.168.177.99'/></dhcp></ip></network>"
    )
}

#[test]
fn networks_are_listed_and_found_again() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let networks = connection.networks().await.unwrap();
        let ours = sorted(networks.iter().map(|one| format!("{} {}", one.name(), one.uuid())));
        python.agrees(
            "sorted(one.name() + ' ' + one.UUIDString() for one in connection.listAllNetworks())",
            ours,
        );
        let network = connection.network_by_name("default").await.unwrap();
        assert_eq!(network, connection.network_by_uuid(network.uuid()).await.unwrap());
        assert_eq!(networks, [network]);
        let inactive = connection.networks().matching(ConnectListAllNetworksFlags::INACTIVE).await.unwrap();
        assert_eq!(inactive, []);
        let missing = connection.network_by_name("none").await.unwrap_err();
        python.is_refused("connection.networkLookupByName('none')", &missing);
        assert!(connection.find_network_by_name("none").await.unwrap().is_none());
        let uuid = "00000000-1111-2222-3333-444444444444";
        let missing = connection.network_by_uuid(uuid.parse::<Uuid>().unwrap()).await.unwrap_err();
        python.is_refused(&format!("connection.networkLookupByUUIDString('{uuid}')"), &missing);
    });
}

#[test]
fn networks_come_change_and_go() {
    live(async {
        let (daemon, connection, mut python) = simulated().await;
        let lan = connection.define_network(network("lan")).await.unwrap();
        python.run("network = connection.networkLookupByName('lan')");
        python.agrees("network.UUIDString()", lan.uuid());
        let same = network("lan").replace("<name>", &format!("<uuid>{}</uuid><name>", lan.uuid()));
        let again = connection.define_network_with(&same, NetworkDefineFlags::VALIDATE).await.unwrap();
        assert_eq!(again, lan);
        let off = connection.networks().matching(ConnectListAllNetworksFlags::INACTIVE).await.unwrap();
        assert_eq!(off, std::slice::from_ref(&lan));
        for on in [true, false] {
            lan.set_autostart(on).await.unwrap();
            python.agrees("network.autostart()", i32::from(on));
            assert_eq!(lan.autostart().await.unwrap(), on);
        }
        lan.start().await.unwrap();
        python.agrees("network.isActive()", i32::from(lan.is_active().await.unwrap()));
        python.agrees("network.isPersistent()", i32::from(lan.is_persistent().await.unwrap()));
        python.agrees("network.bridgeName()", lan.bridge_name().await.unwrap());

        let (add, delete) = (NetworkUpdateCommand::ADD_LAST, NetworkUpdateCommand::DELETE);
        let section = NetworkUpdateSection::IP_DHCP_HOST;
        let host = "<host mac='52:54:00:00:00:01' name='web' ip='192.168.177.10'/>";
        lan.update_with(add, section, -1, host, NetworkUpdateFlags::LIVE).await.unwrap();
        python.agrees("network.XMLDesc().count('52:54:00:00:00:01')", 1);
        let xml = lan.xml().await.unwrap();
        assert_eq!(xml.trim_end(), daemon.virsh(TEST, &["net-dumpxml", "lan"]));
        let refused = lan.xml_with(NetworkXmlFlags::INACTIVE).await.unwrap_err();
        python.is_refused("network.XMLDesc(1)", &refused);
        let refused = lan.update_with(add, section, -1, host, NetworkUpdateFlags::LIVE).await.unwrap_err();
        python.is_refused(&format!("network.update(3, 4, -1, \"{host}\", 1)"), &refused);
        lan.update(delete, section, -1, host).await.unwrap();
        python.agrees("network.XMLDesc().count('52:54:00:00:00:01')", 0);

        lan.destroy().await.unwrap();
        python.agrees("network.isActive()", 0);
        lan.undefine().await.unwrap();
        assert!(connection.find_network_by_name("lan").await.unwrap().is_none());

        let lan = connection.create_network(network("lan")).await.unwrap();
        python.run("network = connection.networkLookupByName('lan')");
        python.agrees("[network.isActive(), network.isPersistent()]", "[1, 0]");
        lan.destroy().await.unwrap();
        let flags = NetworkCreateFlags::VALIDATE;
        let lan = connection.create_network_with(network("other"), flags).await.unwrap();
        python.agrees("connection.networkLookupByName('other').UUIDString()", lan.uuid());
        lan.destroy().await.unwrap();
        python.agrees("[one.name() for one in connection.listAllNetworks()]", "[default]");
    });
}

#[test]
fn the_hosts_interfaces_are_listed_and_found_again() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let interfaces = connection.interfaces().await.unwrap();
        let ours = sorted(interfaces.iter().map(|one| format!("{} {}", one.name(), one.mac())));
        python.agrees(
            "sorted(one.name() + ' ' + one.MACString() for one in connection.listAllInterfaces())",
            ours,
        );
        let first = &interfaces[0];
        assert_eq!(*first, connection.interface_by_mac(first.mac()).await.unwrap());
        assert_eq!(*first, connection.interface_by_name(first.name()).await.unwrap());
        python.run(&format!("interface = connection.interfaceLookupByName('{}')", first.name()));
        python.agrees("interface.XMLDesc()", first.xml().await.unwrap());
        let refused = first.xml_with(InterfaceXmlFlags::INACTIVE).await.unwrap_err();
        python.is_refused("interface.XMLDesc(1)", &refused);
        python.agrees("interface.isActive()", i32::from(first.is_active().await.unwrap()));
        for (missing, lookup) in [
            (connection.interface_by_name("none").await, "connection.interfaceLookupByName('none')"),
            (
                connection.interface_by_mac("aa:bb:cc:00:00:00").await,
                "connection.interfaceLookupByMACString('aa:bb:cc:00:00:00')",
            ),
        ] {
            python.is_refused(lookup, &missing.unwrap_err());
        }
        assert!(connection.find_interface_by_name("none").await.unwrap().is_none());
    });
}

#[test]
fn changes_of_interfaces_are_kept_or_taken_back() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let xml = "<interface type='ethernet' name='eth9'><start mode='none'/><mac address='aa:bb:cc:dd:ee:99'/>\
                   </interface>";
        let names = "sorted(one.name() for one in connection.listAllInterfaces())";
        let refused = connection.rollback_interface_change().await.unwrap_err();
        python.is_refused("connection.changeRollback()", &refused);
        let refused = connection.commit_interface_change().await.unwrap_err();
        python.is_refused("connection.changeCommit()", &refused);

        connection.begin_interface_change().await.unwrap();
        let refused = connection.begin_interface_change().await.unwrap_err();
        python.is_refused("connection.changeBegin()", &refused);
        connection.define_interface(xml).await.unwrap();
        python.agrees(names, "[eth1, eth9]");
        connection.rollback_interface_change().await.unwrap();
        python.agrees(names, "[eth1]");

        connection.begin_interface_change().await.unwrap();
        let flags = InterfaceDefineFlags::VALIDATE;
        let eth9 = connection.define_interface_with(xml, flags).await.unwrap();
        connection.commit_interface_change().await.unwrap();
        python.run("interface = connection.interfaceLookupByName('eth9')");
        python.agrees("interface.MACString()", eth9.mac());
        let inactive = ConnectListAllInterfacesFlags::INACTIVE;
        let inactive = connection.interfaces().matching(inactive).await.unwrap();
        let inactive = sorted(inactive.iter().map(|one| one.name()));
        python.agrees("sorted(one.name() for one in connection.listAllInterfaces(1))", inactive);
        eth9.start().await.unwrap();
        python.agrees("interface.isActive()", 1);
        python.is_refused("interface.create()", &eth9.start().await.unwrap_err());
        eth9.destroy().await.unwrap();
        python.agrees("interface.isActive()", 0);
        eth9.undefine().await.unwrap();
        python.is_refused("interface.XMLDesc()", &eth9.xml().await.unwrap_err());
        python.agrees(names, "[eth1]");
    });
}

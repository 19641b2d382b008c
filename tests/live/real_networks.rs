//! Virtual networks of the real daemon, with bridge, DHCP server and ports, compared with Python's binding.

use libvirt_client::{
    Connection, Error, Network, NetworkPort, TypedParams, Uuid,
    enums::{
        ConnectListAllNetworksFlags, NetworkCreateFlags, NetworkDefineFlags, NetworkPortCreateFlags,
        NetworkUpdateCommand, NetworkUpdateFlags, NetworkUpdateSection, NetworkXmlFlags,
    },
};

use crate::{
    QEMU,
    support::{
        Daemon,
        compare::{Comparison, typed},
        listener::Listener,
        live,
        python::sorted,
    },
};

/// A network with addresses of its own, behind a bridge of its own.
fn network(name: &str, number: u8) -> String {
    format!(
        "<network><name>{name}</name><bridge name='virbr{number}'/><forward mode='nat'/>\
         <ip address='192.168.{number}.1' netmask='255.255.255.0'>\
         <dhcp><range start='192.168.{number}.2' end='192.168.{number}.99'/></dhcp></ip></network>"
    )
}

fn by_name(networks: &[Network]) -> String {
    sorted(networks.iter().map(|network| format!("{} {}", network.name(), network.uuid())))
}

#[test]
fn a_network_is_defined_started_updated_and_undefined() {
    live(async {
        let daemon = Daemon::builder().networks().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let web = connection.define_network(network("web", 77)).await.unwrap();
        let with_uuid = network("web", 77).replace("</name>", &format!("</name><uuid>{}</uuid>", web.uuid()));
        let again = connection.define_network_with(with_uuid, NetworkDefineFlags::VALIDATE).await.unwrap();
        assert_eq!(again, web);
        assert!(web.is_persistent().await.unwrap() && !web.is_active().await.unwrap());
        let mut both = Comparison::new(&daemon, QEMU, "web = connection.networkLookupByName('web')");
        both.same("web.isActive()", 0);
        both.refused("web.destroy()", web.destroy().await);
        both.check();

        web.start().await.unwrap();
        web.set_autostart(true).await.unwrap();
        assert!(daemon.shell("ip -brief address show virbr77").contains("192.168.77.1/24"));
        let host = "<host mac='52:54:00:00:00:09' name='nine' ip='192.168.77.9'/>";
        web.update_with(
            NetworkUpdateCommand::ADD_LAST,
            NetworkUpdateSection::IP_DHCP_HOST,
            -1,
            host,
            NetworkUpdateFlags::LIVE | NetworkUpdateFlags::CONFIG,
        )
        .await
        .unwrap();

        let mut both = Comparison::new(&daemon, QEMU, "web = connection.networkLookupByName('web')");
        both.same("web.XMLDesc()", web.xml().await.unwrap());
        let inactive = web.xml_with(NetworkXmlFlags::INACTIVE).await.unwrap();
        assert!(inactive.contains("52:54:00:00:00:09"), "{inactive}");
        both.same("web.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)", inactive);
        both.same("web.bridgeName()", web.bridge_name().await.unwrap());
        both.same_bool("web.isActive()", web.is_active().await.unwrap());
        both.same_bool("web.isPersistent()", web.is_persistent().await.unwrap());
        both.same_bool("web.autostart()", web.autostart().await.unwrap());
        assert!(web.autostart().await.unwrap());
        assert_eq!(web.dhcp_leases(None).await.unwrap(), []);
        both.same("web.DHCPLeases()", "[]");
        assert_eq!(connection.network_by_name("web").await.unwrap(), web);
        assert_eq!(connection.network_by_uuid(web.uuid()).await.unwrap(), web);
        both.same("web.UUIDString()", web.uuid());
        let missing = connection.network_by_name("none").await;
        assert!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
        both.refused("connection.networkLookupByName('none')", missing);
        both.refused("web.create()", web.start().await);
        both.refused(
            "web.update(3, 4, -1, '<host/>', 1)",
            web.update_with(
                NetworkUpdateCommand::ADD_LAST,
                NetworkUpdateSection::IP_DHCP_HOST,
                -1,
                "<host/>",
                NetworkUpdateFlags::LIVE,
            )
            .await,
        );
        both.check();

        web.set_autostart(false).await.unwrap();
        web.destroy().await.unwrap();
        web.undefine().await.unwrap();
        assert!(connection.find_network_by_name("web").await.unwrap().is_none());
        assert!(connection.find_network_by_uuid(web.uuid()).await.unwrap().is_none());
        listener.wait_for("network web lifecycle 1 0").await;
        // Defined twice, started, stopped, undefined.
        let expected = ["0 0", "0 0", "2 0", "3 0", "1 0"].map(|act| format!("network web lifecycle {act}"));
        assert_eq!(listener.agree().await, expected);
    });
}

#[test]
fn transient_networks_are_listed_beside_others() {
    live(async {
        let daemon = Daemon::builder().networks().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let one = connection.create_network(network("one", 78)).await.unwrap();
        let other =
            connection.create_network_with(network("other", 79), NetworkCreateFlags::VALIDATE).await.unwrap();
        connection.define_network(network("idle", 80)).await.unwrap();
        assert!(!one.is_persistent().await.unwrap());

        let mut both = Comparison::new(&daemon, QEMU, "");
        let theirs = "names(f'{one.name()} {one.UUIDString()}' for one in connection.listAllNetworks(FLAGS))";
        both.same(theirs.replace("FLAGS", "0"), by_name(&connection.networks().await.unwrap()));
        for (flag, count) in [
            (ConnectListAllNetworksFlags::ACTIVE, 2),
            (ConnectListAllNetworksFlags::INACTIVE, 1),
            (ConnectListAllNetworksFlags::TRANSIENT, 2),
            (ConnectListAllNetworksFlags::AUTOSTART, 0),
        ] {
            let ours = connection.networks().matching(flag).await.unwrap();
            assert_eq!(ours.len(), count, "{flag:?}");
            both.same(theirs.replace("FLAGS", &flag.bits().to_string()), by_name(&ours));
        }
        both.refused(
            "connection.networkCreateXML('<network/>')",
            connection.create_network("<network/>").await,
        );
        let clash = network("clash", 78);
        both.refused(
            format!("connection.networkCreateXML({clash:?})"),
            connection.create_network(clash).await,
        );
        both.check();
        one.destroy().await.unwrap();
        other.destroy().await.unwrap();
        assert_eq!(connection.networks().await.unwrap().len(), 1);
    });
}

#[test]
fn ports_of_a_network_are_made_and_deleted() {
    live(async {
        let daemon = Daemon::builder().networks().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let network = connection.create_network(network("ports", 81)).await.unwrap();
        let xml = "<networkport><uuid>aaaaaaaa-0000-0000-0000-00000000000f</uuid>\
                   <owner><uuid>aaaaaaaa-0000-0000-0000-000000000001</uuid><name>web</name></owner><group/>\
                   <mac address='52:54:00:00:00:77'/><plug type='network' bridge='virbr81'/></networkport>";
        let port = network.create_port_with(xml, NetworkPortCreateFlags::RECLAIM).await.unwrap();
        assert_eq!(port.network(), network);

        let setup = format!(
            "network = connection.networkLookupByName('ports')\nport = network.portLookupByUUIDString('{}')",
            port.uuid()
        );
        port.set_parameters(TypedParams::new().with("inbound.average", 100_u32)).await.unwrap();
        let mut both = Comparison::new(&daemon, QEMU, setup);
        both.same("port.XMLDesc()", port.xml().await.unwrap());
        let uuids = |ports: &[NetworkPort]| sorted(ports.iter().map(|port| port.uuid().to_string()));
        let ours = network.ports().await.unwrap();
        assert_eq!((ours.len(), &ours[0]), (1, &port));
        both.same("names(one.UUIDString() for one in network.listAllPorts())", uuids(&ours));
        assert_eq!(network.port_by_uuid(port.uuid()).await.unwrap(), port);
        let parameters = port.parameters().await.unwrap();
        assert_eq!(typed(parameters.clone()).u32("inbound.average"), Some(100));
        both.same_params("port.parameters()", parameters);
        let other: Uuid = "aaaaaaaa-0000-0000-0000-0000000000ff".parse().unwrap();
        both.refused(format!("network.portLookupByUUIDString('{other}')"), network.port_by_uuid(other).await);
        assert!(network.find_port_by_uuid(other).await.unwrap().is_none());
        both.check();
        port.delete().await.unwrap();
        assert_eq!(network.ports().await.unwrap(), []);
    });
}

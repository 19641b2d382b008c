//! Network filters and their bindings, compared with what libvirt's Python binding says of them.

use libvirt_client::{Connection, Error, enums::NwFilterDefineFlags};

use crate::{
    QEMU,
    support::{Daemon, compare::Comparison, live, python::sorted},
};

fn filter(name: &str, direction: &str) -> String {
    format!(
        "<filter name='{name}' chain='root'><rule action='drop' direction='{direction}' priority='500'>\
         <mac match='no'/></rule></filter>"
    )
}

#[test]
fn a_filter_is_defined_found_and_undefined() {
    live(async {
        let daemon = Daemon::builder().networks().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let one = connection.define_network_filter(filter("one", "out")).await.unwrap();
        let other = connection
            .define_network_filter_with(filter("other", "in"), NwFilterDefineFlags::VALIDATE)
            .await
            .unwrap();
        assert_eq!(connection.network_filter_by_name("one").await.unwrap(), one);
        assert_eq!(connection.network_filter_by_uuid(other.uuid()).await.unwrap(), other);

        let mut both = Comparison::new(&daemon, QEMU, "one = connection.nwfilterLookupByName('one')");
        both.same("one.XMLDesc()", one.xml().await.unwrap());
        both.same("one.UUIDString()", one.uuid());
        let listed = connection.network_filters().await.unwrap();
        let ours = sorted(listed.iter().map(|filter| format!("{} {}", filter.name(), filter.uuid())));
        both.same("names(f'{one.name()} {one.UUIDString()}' for one in connection.listAllNWFilters())", ours);
        let missing = connection.network_filter_by_name("none").await;
        assert!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
        both.refused("connection.nwfilterLookupByName('none')", missing);
        let wrong = "<filter name='wrong'><nothing/></filter>";
        let refused = connection.define_network_filter_with(wrong, NwFilterDefineFlags::VALIDATE).await;
        both.refused(format!("connection.nwfilterDefineXMLFlags({wrong:?}, 1)"), refused);
        both.check();

        one.undefine().await.unwrap();
        assert!(connection.find_network_filter_by_name("one").await.unwrap().is_none());
        assert!(connection.find_network_filter_by_uuid(one.uuid()).await.unwrap().is_none());
    });
}

#[test]
fn a_filter_is_bound_to_a_port() {
    live(async {
        let daemon = Daemon::builder().networks().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let filter = connection.define_network_filter(filter("bound", "out")).await.unwrap();
        daemon.shell("ip link add port0 type veth peer name port1");
        let xml = "<filterbinding><owner><name>web</name><uuid>aaaaaaaa-0000-0000-0000-000000000001</uuid></owner>\
                   <portdev name='port0'/><mac address='52:54:00:00:00:88'/><filterref filter='bound'/></filterbinding>";
        let binding = connection.create_network_filter_binding(xml).await.unwrap();
        assert_eq!((binding.port_dev(), binding.filter_name()), ("port0", "bound"));

        let mut both =
            Comparison::new(&daemon, QEMU, "binding = connection.nwfilterBindingLookupByPortDev('port0')");
        both.same("binding.XMLDesc()", binding.xml().await.unwrap());
        let listed = connection.network_filter_bindings().await.unwrap();
        assert_eq!((listed.len(), &listed[0]), (1, &binding));
        both.same("names(one.portDev() for one in connection.listAllNWFilterBindings())", "[port0]");
        assert_eq!(connection.network_filter_binding_by_port_dev("port0").await.unwrap(), binding);
        both.refused(
            "connection.nwfilterBindingLookupByPortDev('none')",
            connection.network_filter_binding_by_port_dev("none").await,
        );
        both.refused("connection.nwfilterLookupByName('bound').undefine()", filter.undefine().await);
        both.check();
        assert!(daemon.shell("ebtables -t nat --list").contains("port0"), "the filter is in force");

        binding.delete().await.unwrap();
        assert_eq!(connection.network_filter_bindings().await.unwrap(), []);
        let gone = connection.find_network_filter_binding_by_port_dev("port0").await.unwrap();
        assert!(gone.is_none());
        assert!(!daemon.shell("ebtables -t nat --list").contains("port0"));
        filter.undefine().await.unwrap();
    });
}

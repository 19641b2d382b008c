//! What a domain's XML says of its network interfaces: enough to know whose addresses count, and whether any can come.

use crate::{
    error::Result,
    objects::{Connection, Domain},
};

/// The network interfaces of a domain.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Cards(Vec<Card>);

#[derive(Debug, Default, PartialEq)]
struct Card {
    kind: String,
    mac: Option<String>,
    /// The network that it is plugged into.
    network: Option<String>,
}

impl Cards {
    /// Asks for the domain's XML.
    pub(super) async fn of(domain: &Domain) -> Result<Self> {
        Ok(Self::read(&domain.xml().await?))
    }

    /// Reads XML as libvirt writes it: each attribute in `'`, an element's start in one line.
    fn read(xml: &str) -> Self {
        let devices = xml.find("<devices>").and_then(|place| xml.get(place..)).unwrap_or_default();
        let elements = devices.split("<interface type='").skip(1);
        Self(elements.map(|rest| Card::read(rest.split("</interface>").next().unwrap_or_default())).collect())
    }

    /// Tells whether a MAC address is that of one of them. All are, where there is no interface to compare with: a device of
    /// the host may have been handed over.
    pub(super) fn have(&self, mac: Option<&str>) -> bool {
        let is_mine = |mac: &str| {
            self.0.iter().any(|card| card.mac.as_ref().is_some_and(|mine| mine.eq_ignore_ascii_case(mac)))
        };
        self.0.is_empty() || mac.is_some_and(is_mine)
    }

    /// Tells why libvirt can never have a lease for any of them, or `None` if it can.
    pub(super) async fn no_lease(&self, connection: &Connection) -> Option<String> {
        let mut networks: Vec<&str> = self.0.iter().filter_map(|card| card.network.as_deref()).collect();
        networks.dedup();
        if networks.is_empty() {
            return Some("no interface is in one of libvirt's networks".to_owned());
        }
        for name in &networks {
            // Where this cannot be told, it may have one.
            let xml = connection.network_by_name(*name).await.ok()?.xml().await.ok()?;
            if xml.contains("<dhcp") {
                return None;
            }
        }
        Some(format!("no DHCP in the network {}", networks.join(", ")))
    }

    /// Tells why the host can never see one of them in its ARP table, or `None` if it can.
    pub(super) fn no_neighbour(&self) -> Option<String> {
        let has_any = self.0.iter().any(|card| card.kind != "user");
        (!has_any).then(|| "no interface is in a network of the host".to_owned())
    }
}

impl Card {
    fn read(element: &str) -> Self {
        let kind = element.split('\'').next().unwrap_or_default().to_owned();
        let network = value(element, "<source ", "network").filter(|_| kind == "network");
        Self { mac: value(element, "<mac ", "address"), network, kind }
    }
}

/// Finds an attribute of the first element that starts like this.
fn value(text: &str, element: &str, attribute: &str) -> Option<String> {
    let start = text.split_once(element)?.1.split('>').next()?;
    let value = format!(" {start}").split_once(&format!(" {attribute}='"))?.1.split('\'').next()?.to_owned();
    Some(unescape(&value))
}

fn unescape(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&quot;", "\""), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<domain type='kvm'>
  <devices>
    <interface type='network'>
      <mac address='52:54:00:aa:bb:01'/>
      <source network='a &amp; b' portid='c0ffee' bridge='virbr0'/>
      <target dev='vnet0'/>
    </interface>
    <interface type='user'>
      <mac address='52:54:00:aa:bb:02'/>
    </interface>
  </devices>
</domain>";

    #[test]
    fn interfaces_are_found_with_their_networks() {
        let cards = Cards::read(XML);
        let kinds: Vec<_> =
            cards.0.iter().map(|card| (card.kind.as_str(), card.network.as_deref())).collect();
        assert_eq!(kinds, [("network", Some("a & b")), ("user", None)]);
        assert!(cards.have(Some("52:54:00:AA:BB:02")) && !cards.have(Some("02:42:00:00:00:01")));
        assert!(!cards.have(None), "the guest's own loopback");
        assert_eq!(cards.no_neighbour(), None);
    }

    #[test]
    fn without_interfaces_nothing_is_left_out() {
        let cards = Cards::read("<domain><devices></devices></domain>");
        assert!(cards.have(Some("52:54:00:aa:bb:01")) && cards.have(None));
        assert!(cards.no_neighbour().is_some());
        assert_eq!(Cards::read("no XML"), Cards::default());
    }
}

//! The addresses of a guest, from whoever knows them: its agent, the host's DHCP leases, the host's ARP table.

use std::{
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use super::{Pause, goes_on, interfaces::Cards};
use crate::{
    error::{Error, Result},
    objects::{Domain, enums::DomainInterfaceAddressesSource as Source, results::DomainInterface},
    rpc::expecting,
};

/// All sources, the one that knows most first.
const SOURCES: [Source; 3] = [Source::AGENT, Source::LEASE, Source::ARP];

/// An address of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuestAddress {
    /// The address.
    pub address: IpAddr,
    /// How many bits of it name the network; 0 where the source does not know.
    pub prefix: u8,
    /// The interface's MAC address.
    pub mac: Option<String>,
    /// The interface's name: as the guest calls it where the agent tells, otherwise as the host does (`vnet0`).
    pub interface: String,
    /// Who knows it.
    pub sources: Vec<Source>,
}

impl Domain {
    /// Returns all addresses of the running guest but those of its loopback, from its agent, the DHCP leases of libvirt's
    /// networks and the host's ARP table together. A source that fails is left out: most guests lack one. An agent that hangs
    /// is waited for as long as libvirt does, some 5 seconds.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_INTERFACE_ADDRESSES` (353), C: `virDomainInterfaceAddresses`, since libvirt 1.2.14. Needs
    /// `domain:read`, and `domain:write` for what the agent knows.
    ///
    /// # Errors
    /// What went wrong with the leases, if every source failed.
    #[doc(alias = "virDomainInterfaceAddresses")]
    pub async fn addresses(&self) -> Result<Vec<GuestAddress>> {
        let answers = expecting(|_| true, async {
            let mut answers = Vec::new();
            for source in SOURCES {
                answers.push((source, self.interface_addresses(source).await));
            }
            answers
        });
        self.connection.client().observed(merge(answers.await))
    }

    /// Waits until the guest has an address that it can be reached at, for so long at most: await what this returns, after
    /// narrowing it down where more than one will do.
    ///
    /// All sources are asked at once, again and again: first after some milliseconds, then every second. The first address
    /// wins that is none of loopback, none of a link only (169.254.0.0/16, fe80::/10), and belongs to an interface that the
    /// domain's XML has, not to a bridge within the guest; IPv4 before IPv6.
    ///
    /// ```no_run
    /// # async fn example(domain: libvirt_client::Domain) -> libvirt_client::Result<()> {
    /// # use std::time::Duration;
    /// let found = domain.wait_for_address(Duration::from_secs(60)).ipv4().await?;
    /// println!("ssh root@{}", found.address);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Calls `REMOTE_PROC_DOMAIN_INTERFACE_ADDRESSES` (353), C: `virDomainInterfaceAddresses`, since libvirt 1.2.14. Needs
    /// `domain:read`, and `domain:write` for what the agent knows.
    ///
    /// # Errors
    /// [`Error::GuestTimeout`], which says what each source said last. At once: [in the wrong state](Error::is_invalid_state)
    /// or [not found](Error::is_not_found) when the domain stops, [unsupported](Error::is_unsupported) where no source can
    /// ever have one, such as for a domain that has no agent's channel and no interface; or the connection's end.
    ///
    /// # Cancel safety
    /// Dropping the future ends the waiting.
    pub fn wait_for_address(&self, timeout: Duration) -> WaitForAddress {
        WaitForAddress {
            domain: self.clone(),
            timeout,
            sources: SOURCES.to_vec(),
            family: None,
            mac: None,
            interface: None,
            link_local: false,
        }
    }
}

/// Which address to wait for: see [`Domain::wait_for_address`].
#[derive(Clone, Debug)]
#[must_use = "nothing is waited for until this is awaited"]
pub struct WaitForAddress {
    domain: Domain,
    timeout: Duration,
    sources: Vec<Source>,
    family: Option<Family>,
    mac: Option<String>,
    interface: Option<String>,
    link_local: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Family {
    V4,
    V6,
}

impl WaitForAddress {
    /// Asks these sources only. Of those that know one at the same moment, the first wins.
    pub fn from_sources(mut self, sources: impl IntoIterator<Item = Source>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }

    /// Takes IPv4 addresses only.
    pub fn ipv4(mut self) -> Self {
        self.family = Some(Family::V4);
        self
    }

    /// Takes IPv6 addresses only.
    pub fn ipv6(mut self) -> Self {
        self.family = Some(Family::V6);
        self
    }

    /// Takes addresses of the interface with this MAC address only.
    pub fn of_mac(mut self, mac: impl Into<String>) -> Self {
        self.mac = Some(mac.into());
        self
    }

    /// Takes addresses of the interface with this name only. Only the agent tells the guest's own names (`eth0`); the other
    /// sources have those of the host (`vnet0`).
    pub fn of_interface(mut self, name: impl Into<String>) -> Self {
        self.interface = Some(name.into());
        self
    }

    /// Takes addresses, too, that are good on their link only.
    pub fn or_link_local(mut self) -> Self {
        self.link_local = true;
        self
    }

    async fn wait(self) -> Result<GuestAddress> {
        let said: Vec<_> = self.sources.iter().map(|source| Said(*source, Mutex::default())).collect();
        let found = match tokio::time::timeout(self.timeout, expecting(|_| true, self.search(&said))).await {
            Ok(Ok(Some(found))) => Ok(found),
            Ok(Ok(None)) => {
                let reason = format!("{} cannot have an address ({})", self.domain.name(), list(&said));
                Err(Error::Unsupported(reason))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let what = format!("{} had no address ({})", self.domain.name(), list(&said));
                Err(Error::GuestTimeout { what, after: self.timeout })
            }
        };
        self.domain.connection.client().observed(found)
    }

    /// Asks all sources, each at its own pace: one that hangs holds up no other, and is asked once at a time.
    async fn search(&self, said: &[Said]) -> Result<Option<GuestAddress>> {
        let cards = Cards::of(&self.domain).await?;
        first(said.iter().map(|said| Box::pin(self.ask(said, &cards)) as Asking<'_>).collect()).await
    }

    /// Asks one source until it knows an address that is wanted. `None` once it can have none.
    async fn ask(&self, said: &Said, cards: &Cards) -> Result<Option<GuestAddress>> {
        let mut pause = Pause::up_to(Duration::from_secs(1));
        let Said(source, _) = *said;
        loop {
            let mut addresses = Vec::new();
            match self.domain.interface_addresses(source).await {
                Ok(interfaces) => {
                    addresses = read(source, interfaces);
                    if let Some(found) = self.choose(&addresses, cards) {
                        return Ok(Some(found));
                    }
                    said.note(none_of(&addresses));
                }
                Err(error) => {
                    said.note(error.to_string());
                    if !goes_on(&self.domain, &error).await? {
                        return Ok(None);
                    }
                }
            }
            if addresses.is_empty()
                && let Some(reason) = self.cannot_come(source, cards).await
            {
                said.note(reason);
                return Ok(None);
            }
            pause.wait().await;
        }
    }

    fn choose(&self, addresses: &[GuestAddress], cards: &Cards) -> Option<GuestAddress> {
        let wanted = |found: &&GuestAddress| {
            let address = found.address;
            let is_mine = match &self.mac {
                Some(mac) => found.mac.as_ref().is_some_and(|its| its.eq_ignore_ascii_case(mac)),
                None => cards.have(found.mac.as_deref()),
            };
            let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
            is_mine
                && self.family.is_none_or(|only| only == family)
                && self.interface.as_ref().is_none_or(|name| *name == found.interface)
                && !address.is_loopback()
                && !address.is_unspecified()
                && (self.link_local || !is_link_local(&address))
        };
        addresses.iter().filter(wanted).min_by_key(|found| found.address.is_ipv6()).cloned()
    }

    /// Tells why this source will not have an address, if that is certain.
    async fn cannot_come(&self, source: Source, cards: &Cards) -> Option<String> {
        match source {
            Source::LEASE => cards.no_lease(&self.domain.connection).await,
            Source::ARP => cards.no_neighbour(),
            _ => None,
        }
    }
}

impl IntoFuture for WaitForAddress {
    type Output = Result<GuestAddress>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

/// What a source said last, for the error.
struct Said(Source, Mutex<Option<String>>);

impl Said {
    fn note(&self, what: String) {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }
}

fn list(said: &[Said]) -> String {
    let each = said.iter().map(|Said(source, what)| {
        let what = what.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{}: {}", name(*source), what.as_deref().unwrap_or("no answer yet"))
    });
    each.collect::<Vec<_>>().join("; ")
}

fn name(source: Source) -> &'static str {
    match source {
        Source::AGENT => "agent",
        Source::LEASE => "leases",
        Source::ARP => "ARP table",
        _ => "other source",
    }
}

fn none_of(addresses: &[GuestAddress]) -> String {
    if addresses.is_empty() {
        return "no address yet".to_owned();
    }
    let known: Vec<_> =
        addresses.iter().map(|found| format!("{} of {}", found.address, found.interface)).collect();
    format!("none that is wanted among {}", known.join(", "))
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Option<GuestAddress>>> + Send + 'a>>;

/// Waits for the first that finds something or fails. `None` once all have given up.
async fn first(mut askers: Vec<Asking<'_>>) -> Result<Option<GuestAddress>> {
    std::future::poll_fn(|cx| {
        let mut place = 0;
        while let Some(asker) = askers.get_mut(place) {
            match asker.as_mut().poll(cx) {
                Poll::Pending => place += 1,
                Poll::Ready(Ok(None)) => drop(askers.remove(place)),
                done => return done,
            }
        }
        if askers.is_empty() { Poll::Ready(Ok(None)) } else { Poll::Pending }
    })
    .await
}

/// Reads what a source answered. What is no address is left out.
fn read(source: Source, interfaces: Vec<DomainInterface>) -> Vec<GuestAddress> {
    let mut read = Vec::new();
    for DomainInterface { name, mac, addresses } in interfaces {
        for each in addresses {
            // Some agents name the interface behind a `%`.
            let address = each.address.split('%').next().and_then(|address| address.parse().ok());
            let Some(address) = address else { continue };
            let prefix = u8::try_from(each.prefix).unwrap_or(0);
            let (mac, interface, sources) = (mac.clone(), name.clone(), vec![source]);
            read.push(GuestAddress { address, prefix, mac, interface, sources });
        }
    }
    read
}

/// Joins what the sources know; the first that knows an address also names its interface.
fn merge(answers: Vec<(Source, Result<Vec<DomainInterface>>)>) -> Result<Vec<GuestAddress>> {
    let (mut merged, mut failed): (Vec<GuestAddress>, Vec<(Source, Error)>) = Default::default();
    let asked = answers.len();
    for (source, answer) in answers {
        match answer {
            Ok(interfaces) => {
                for found in read(source, interfaces) {
                    let same = merged.iter_mut().find(|known| {
                        known.address == found.address
                            && known.mac.as_ref().map(|mac| mac.to_lowercase())
                                == found.mac.as_ref().map(|mac| mac.to_lowercase())
                    });
                    match same {
                        Some(known) if known.sources.contains(&source) => {}
                        Some(known) => {
                            known.sources.push(source);
                            known.prefix = known.prefix.max(found.prefix);
                        }
                        None if found.address.is_loopback() => {}
                        None => merged.push(found),
                    }
                }
            }
            Err(error) => failed.push((source, error)),
        }
    }
    if failed.len() == asked {
        let of_leases = failed.iter().position(|(source, _)| *source == Source::LEASE).unwrap_or(0);
        if let Some((_, error)) = failed.into_iter().nth(of_leases) {
            return Err(error);
        }
    }
    Ok(merged)
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

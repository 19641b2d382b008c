//! TCP: every address of a host is tried, and one that is dead does not hold up the others.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    task::JoinSet,
    time::timeout,
};

use crate::error::{Error, Result, phase};

/// How long one address is given before the next is tried beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to `port` of `host`, a name or an address, by the first of its addresses that answers. Small messages are
/// sent at once (`TCP_NODELAY`), and the operating system watches for a peer that is gone (`SO_KEEPALIVE`).
///
/// # Errors
/// [`Error::Connect`]: the name is unknown, or which address answered what.
///
/// # Cancel safety
/// Dropped, it ends all attempts.
pub async fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let addresses: Vec<SocketAddr> =
        match phase::during("looking up the host's name", lookup_host((host, port))).await {
            Ok(addresses) => addresses.collect(),
            Err(error) => return Err(unknown_host(host, port, error)),
        };
    tracing::debug!(host, port, ?addresses, "connecting");
    race(alternating(addresses)).await.map_err(|failures| unreachable(host, port, failures))
}

/// Writes a host and a port as people and URIs do.
pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

type Failure = (SocketAddr, io::Error);

/// Tries one address after the other, each with a head start before the next, and takes the first that answers.
async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, Vec<Failure>> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(async move { attempt(address).await.map_err(|error| (address, error)) });
        }
        let limit = if waiting.len() == 0 { Duration::MAX } else { HEAD_START };
        match timeout(limit, attempts.join_next()).await {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(failure)))) => failures.push(failure),
            Ok(None) => return Err(failures),
            // The next one's turn, or an attempt that the runtime ended.
            Err(_) | Ok(Some(Err(_))) => {}
        }
    }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_keepalive(true)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Puts addresses of both families in turn, in the order in which the system prefers them.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let count = addresses.len();
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut alternating = Vec::with_capacity(count);
    while alternating.len() < count {
        alternating.extend(preferred.next());
        alternating.extend(other.next());
    }
    alternating
}

fn unknown_host(host: &str, port: u16, error: io::Error) -> Error {
    let (hint, error) = match is_for_now(&error) {
        true => (
            format!("the name of the host cannot be resolved now: no name server gives an answer ({error})"),
            io::Error::new(io::ErrorKind::HostUnreachable, error),
        ),
        false => (format!("the name of the host cannot be resolved; is it right? ({error})"), error),
    };
    Error::Connect { address: address(host, port), hint, source: Arc::new(error) }
}

/// Tells whether the system could not ask for the name (`EAI_AGAIN`), of which the error has the words of the C library only,
/// or the number that Windows gives it.
fn is_for_now(error: &io::Error) -> bool {
    const WSATRY_AGAIN: i32 = 11002;
    // Those of glibc and macOS, of FreeBSD, and of musl.
    const WORDS: [&str; 3] =
        ["Temporary failure in name resolution", "Name could not be resolved at this time", "Try again"];
    let said = error.to_string();
    (cfg!(windows) && error.raw_os_error() == Some(WSATRY_AGAIN))
        || WORDS.iter().any(|words| said.contains(words))
}

fn unreachable(host: &str, port: u16, failures: Vec<Failure>) -> Error {
    let tried: Vec<String> = failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    // One that refused is where the host is; it says more than a way that does not exist.
    let told = failures.into_iter().map(|(_, error)| error).min_by_key(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => 0,
        io::ErrorKind::TimedOut => 1,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => 3,
        _ => 2,
    });
    let error = told.unwrap_or_else(|| io::Error::other("the host has no address"));
    let mut hint = explain(&error);
    if tried.len() > 1 {
        hint.push_str(&format!(" (tried {})", tried.join(", ")));
    }
    Error::Connect { address: address(host, port), hint, source: Arc::new(error) }
}

fn explain(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens on this port; libvirtd has to be told to listen (its sockets for TCP and TLS, or --listen), and on \
             which addresses (listen_addr)"
        }
        io::ErrorKind::TimedOut => {
            "no answer; is the host up, and does no firewall drop what comes for this port?"
        }
        io::ErrorKind::HostUnreachable => "no way to the host, or a firewall that says so",
        io::ErrorKind::NetworkUnreachable => "no way to the host's network",
        _ => return error.to_string(),
    };
    advice.to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::net::TcpListener;

    use super::*;

    fn v4(last: u8) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, last), 1).into()
    }

    fn v6(last: u16) -> SocketAddr {
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), 1).into()
    }

    #[test]
    fn families_take_turns_in_the_systems_order() {
        for (given, expected) in [
            (vec![], vec![]),
            (vec![v4(1)], vec![v4(1)]),
            (vec![v6(1), v6(2), v4(1)], vec![v6(1), v4(1), v6(2)]),
            (vec![v4(1), v4(2), v4(3), v6(1)], vec![v4(1), v6(1), v4(2), v4(3)]),
        ] {
            assert_eq!(alternating(given), expected);
        }
    }

    #[tokio::test]
    async fn an_address_that_answers_is_found_behind_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let refusing = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let stream = race(vec![refusing, refusing, there]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        assert!(stream.nodelay().unwrap());
    }

    /// On Linux, a listener whose queue is full answers nothing, as a host that is down.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_answers_nothing_does_not_hold_up_the_next() {
        let full = TcpSocket::new_v4().unwrap();
        full.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let full = full.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(silent)).await {
            queue.push(stream.unwrap());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let reached = timeout(Duration::from_secs(10), race(vec![silent, silent, there])).await;
        assert_eq!(reached.unwrap().unwrap().peer_addr().unwrap(), there);
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_named_with_the_reason() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let error = connect("127.0.0.1", port).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("nobody listens"), "{said}");

        let error = connect("no-such-host.invalid", 16509).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("no-such-host.invalid:16509") && said.contains("resolved"), "{said}");
    }

    #[test]
    fn a_name_server_that_is_away_is_no_wrong_name() {
        for (said, is_transient, hint) in [
            ("Name or service not known", false, "is it right?"),
            ("No address associated with hostname", false, "is it right?"),
            ("Temporary failure in name resolution", true, "no name server gives an answer"),
            ("Name could not be resolved at this time", true, "no name server gives an answer"),
            ("Try again", true, "no name server gives an answer"),
        ] {
            let error = io::Error::other(format!("failed to lookup address information: {said}"));
            let error = unknown_host("h", 1, error);
            let told = error.to_string();
            assert!(told.contains("h:1") && told.contains(said) && told.contains(hint), "{told}");
            assert_eq!(error.is_transient(), is_transient, "{told}");
        }
    }

    #[test]
    fn the_most_telling_of_several_failures_is_told() {
        let failure = |address, kind| (address, io::Error::from(kind));
        let error = unreachable(
            "host",
            1,
            vec![
                failure(v6(1), io::ErrorKind::NetworkUnreachable),
                failure(v4(1), io::ErrorKind::ConnectionRefused),
            ],
        );
        let said = error.to_string();
        assert!(said.contains("host:1: nobody listens") && said.contains("[2001:db8::1]:1"), "{said}");
        assert_eq!(address("::1", 16514), "[::1]:16514");
    }
}

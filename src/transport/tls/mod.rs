//! TLS over TCP, and what libvirtd adds to it: a byte that says that it lets us in.
//!
//! libvirtd looks at the client's certificate after the handshake. Then it sends the byte `0x01`, or closes the
//! connection without a word. So [`connect`] waits for this byte, five seconds at most, after a handshake of at most 30.
//!
//! All failures are an [`Error::Connect`] with the address and what to do. Those that are about certificates have a
//! [`CertificateError`] in them, which [`CertificateError::of`] finds:
//!
//! | what is wrong | [`CertificateError`] | what helps |
//! |---|---|---|
//! | a file is missing or cannot be read, a key is encrypted or another certificate's | `File` | the file that is named |
//! | our certificate, or that of its authority, is out of date, revoked, or of another authority than the daemon's | `Expired`, `NotYetValid`, `Revoked`, `UnknownIssuer` | a new one; `no_sanity=1` in the URI shows it to the daemon nevertheless |
//! | the daemon's certificate is out of date, revoked, or signed by nobody in `cacert.pem` | the same | a new one there, or the right authority here |
//! | it is for other hosts | `WrongHost` | one of the hosts that are named, in the URI |
//! | it has its host's name in the common name alone | `CommonNameOnly` | a certificate with a subjectAltName, or [`Builder::tls_accept_common_name`](crate::Builder::tls_accept_common_name) |
//! | it is not for servers, or of a form that is not understood | `Unusable` | a new one |
//! | the daemon refuses our certificate, misses it, or does not like our address | `Refused`, and [`Error::is_auth`] is so | the daemon's log, its `tls_allowed_dn_list` |
//! | it does not speak TLS, or no version or cipher that both have | none | the port: TLS is 16514, plain TCP 16509; `tls_priority` on both sides |
//! | it speaks TLS, but is no libvirtd | none | the port |
//!
//! TLS 1.2 and 1.3 are spoken, with the ciphers that rustls has. Keys are in PEM form, as PKCS #8, PKCS #1 or SEC 1.

mod error;
mod files;
mod priority;
mod verify;
mod x509;

use std::{
    fmt, io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, AlertDescription, ClientConfig, client::Resumption, crypto::ring, pki_types::ServerName},
};

pub use error::CertificateError;
use files::{Files, pair_unusable};
use priority::Priority;
use verify::Verifier;

use super::tcp;
use crate::error::{Error, Result, phase};

/// How long the handshake may take. Nobody is asked anything in it.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// How long the server may take to say whether it lets us in. libvirtd says it at once.
const CONFIRMATION: Duration = Duration::from_secs(5);

/// What libvirtd sends when it lets us in.
const LET_IN: u8 = 1;

/// Where to connect to, and by which certificates.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The name or the address that the server's certificate has to be for.
    pub host: String,
    /// The port, 16514 for libvirtd.
    pub port: u16,
    /// Whether the server has to prove who it is.
    pub verify: bool,
    /// Whether our own certificate is checked first: its dates, and that the authorities of `authorities` have signed it.
    pub sanity: bool,
    /// The file with the certificates of trusted authorities, in PEM form as all of these.
    pub authorities: PathBuf,
    /// The file with the certificates that have been revoked.
    pub revoked: Option<PathBuf>,
    /// The files with our certificate and its key. Without them the server has to take us without.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// A priority string of GnuTLS, of which the versions of TLS are understood.
    pub priority: Option<String>,
    /// Whether a certificate without subjectAltName may name its host in its common name.
    pub accept_common_name: bool,
}

impl Options {
    /// Connects to `port` of `host`, whose certificate is signed by one of those in the file `authorities`, without one of
    /// our own.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, authorities: impl Into<PathBuf>) -> Self {
        Self {
            host: host.into(),
            port,
            verify: true,
            sanity: true,
            authorities: authorities.into(),
            revoked: None,
            certificate: None,
            priority: None,
            accept_common_name: false,
        }
    }
}

/// A connection to a libvirtd that lets us in, by TLS over `S`.
pub struct TlsConnection<S = TcpStream>(TlsStream<S>);

/// Connects, and waits until the server lets us in.
///
/// # Errors
/// [`Error::Connect`]: see the table above.
///
/// # Cancel safety
/// Dropped, it closes the connection.
pub async fn connect(options: &Options) -> Result<TlsConnection> {
    // Before anything is sent, as libvirt's own client does.
    let setup = Setup::read(options).await?;
    let socket = tcp::connect(&options.host, options.port).await?;
    setup.start(socket).await
}

/// Does the same over a stream that leads to the server already: a tunnel, or a socket of the program's own.
///
/// # Errors
/// As [`connect`].
pub async fn connect_over<S>(stream: S, options: &Options) -> Result<TlsConnection<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Setup::read(options).await?.start(stream).await
}

/// What is needed for a handshake.
struct Setup {
    address: String,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
    /// Our certificate, in words.
    sent: Option<String>,
}

impl Setup {
    /// Reads the files, which may be slow, beside the runtime's tasks.
    async fn read(options: &Options) -> Result<Self> {
        let options = options.clone();
        phase::aside("reading the files with certificates", move || Self::new(&options)).await?
    }

    fn new(options: &Options) -> Result<Self> {
        let address = tcp::address(&options.host, options.port);
        let provider = Arc::new(ring::default_provider());
        let files = Files::read(options, &provider).map_err(|error| error.at(&address))?;
        let sent = files.own.as_ref().map(files::Own::describe);
        let verifier = Verifier::new(options, &files, &provider).map_err(|error| error.at(&address))?;
        let verifier = Arc::new(verifier);

        let versions = versions(options, &address)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| cannot(&address, "TLS could not be set up", io::Error::other(error)))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match files.own {
            None => config.with_no_client_auth(),
            Some(own) => config.with_client_auth_cert(own.chain, own.key).map_err(|error| {
                let mismatch = matches!(error, rustls::Error::InconsistentKeys(_));
                pair_unusable(options, mismatch, error.to_string()).at(&address)
            })?,
        };
        config.resumption = Resumption::disabled();

        // The zone of an IPv6 address says by which interface it is reached; no certificate has it.
        let host = options.host.split_once('%').map_or(options.host.as_str(), |(address, _)| address);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            let hint = "no certificate can be for a host of this name";
            cannot(&address, hint, io::Error::new(io::ErrorKind::InvalidInput, error))
        })?;
        Ok(Self { address, name, config: Arc::new(config), verifier, sent })
    }

    async fn start<S>(self, stream: S) -> Result<TlsConnection<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(self.config.clone());
        let connecting = timeout(HANDSHAKE, connector.connect(self.name.clone(), stream));
        let mut stream = match phase::during("the TLS handshake", connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.no_handshake(error)),
            Err(_) => {
                let hint = format!(
                    "the server did not go through with the TLS handshake within {HANDSHAKE:?}; does it speak TLS on this port?"
                );
                return Err(cannot(&self.address, &hint, io::ErrorKind::TimedOut.into()));
            }
        };
        let (_, session) = stream.get_ref();
        tracing::debug!(
            version = ?session.protocol_version(),
            cipher = ?session.negotiated_cipher_suite().map(|suite| suite.suite()),
            "TLS is established"
        );
        phase::during("the server's verdict on our certificate", self.wait_until_let_in(&mut stream)).await?;
        Ok(TlsConnection(stream))
    }

    async fn wait_until_let_in<S>(&self, stream: &mut TlsStream<S>) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut byte = [0];
        let read = match timeout(CONFIRMATION, stream.read(&mut byte)).await {
            Ok(read) => read,
            Err(_) => {
                let hint = format!(
                    "TLS works, but the server did not say within {CONFIRMATION:?} whether it lets us in, as a libvirtd does \
                     at once; is it one?"
                );
                return Err(cannot(&self.address, &hint, io::ErrorKind::TimedOut.into()));
            }
        };
        match (read, byte) {
            (Ok(0), _) => Err(self.refused("it closed the connection right after the handshake")),
            (Ok(_), [LET_IN]) => Ok(()),
            (Ok(_), [other]) => {
                let hint = format!(
                    "TLS works, but the server begins with the byte {other:#04x}, not with 0x01 as a libvirtd that lets us \
                     in; is it one?"
                );
                Err(cannot(&self.address, &hint, io::ErrorKind::InvalidData.into()))
            }
            (Err(error), _) => Err(match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => {
                    self.refused("it closed the connection right after the handshake")
                }
                _ => self.no_handshake(error),
            }),
        }
    }

    fn refused(&self, how: &str) -> Error {
        CertificateError::Refused { how: how.to_owned(), sent: self.sent.clone() }.at(&self.address)
    }

    /// Explains why there is no TLS.
    fn no_handshake(&self, error: io::Error) -> Error {
        if let Some(problem) = self.verifier.take_problem() {
            return problem.at(&self.address);
        }
        let found = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let hint = match found {
            Some(rustls::Error::AlertReceived(alert)) if is_about_certificate(*alert) => {
                return self.refused(&format!("it sent the alert {alert:?}"));
            }
            Some(rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)) => {
                "the server speaks none of the versions of TLS that are allowed here; there are 1.2 and 1.3, less what \
                 tls_priority forbids"
                    .to_owned()
            }
            Some(rustls::Error::AlertReceived(alert)) => {
                format!("the server ended the TLS handshake with the alert {alert:?}; its log may say why")
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                "the server does not speak TLS on this port; libvirt's port for TLS is 16514, that for plain TCP \
                 (qemu+tcp://…) is 16509"
                    .to_owned()
            }
            Some(rustls::Error::PeerIncompatible(what)) => {
                format!("the server and this client have no version or cipher of TLS in common ({what:?})")
            }
            Some(other) => format!("the TLS handshake failed: {other}"),
            None if is_end(&error) => {
                "the server closed the connection during the TLS handshake; does it speak TLS on this port? libvirt's port for \
                 TLS is 16514"
                    .to_owned()
            }
            None => format!("the TLS handshake failed: {error}"),
        };
        let error = match is_end(&error) {
            true => io::Error::new(io::ErrorKind::ConnectionAborted, error),
            false => error,
        };
        cannot(&self.address, &hint, error)
    }
}

fn versions(options: &Options, address: &str) -> Result<Vec<&'static rustls::SupportedProtocolVersion>> {
    let priority = options.priority.as_deref().map(Priority::read).unwrap_or_default();
    if !priority.ignored.is_empty() {
        tracing::debug!(ignored = ?priority.ignored, "not all of tls_priority is understood");
    }
    let versions = priority.versions();
    if versions.is_empty() {
        let hint = "tls_priority allows neither TLS 1.2 nor TLS 1.3, and there are no others here";
        return Err(cannot(address, hint, io::ErrorKind::InvalidInput.into()));
    }
    Ok(versions)
}

/// Tells whether a server that sends this alert does not like our certificate, or that there is none.
fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::NoCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

/// Tells whether the other side is gone.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// Describes what rustls says of a certificate, if it is about one.
fn certificate_problem(
    error: &rustls::Error,
    describe: impl FnOnce(&rustls::CertificateError) -> CertificateError,
) -> Option<CertificateError> {
    match error {
        rustls::Error::InvalidCertificate(found) => Some(describe(found)),
        _ => None,
    }
}

fn cannot(address: &str, hint: &str, source: io::Error) -> Error {
    Error::Connect { address: address.to_owned(), hint: hint.to_owned(), source: Arc::new(source) }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsConnection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(cx, buffer) {
            // A daemon that ends says no goodbye by TLS. Frames have lengths, so that nothing can be cut off unseen.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsConnection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    /// Says goodbye by TLS, too (`close_notify`).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsConnection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stream, session) = self.0.get_ref();
        f.debug_struct("TlsConnection")
            .field("stream", stream)
            .field("version", &session.protocol_version())
            .finish_non_exhaustive()
    }
}

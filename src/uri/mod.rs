//! What a connection URI means: where to connect to, and what to ask for there.
//!
//! Pure functions: the machine and its files are described to them ([`Environment`], [`Files`]), so that every case is a
//! row of a table in the tests. A URI's text becomes a [`Uri`], and that, with everything else that has a say, a [`Plan`]:
//!
//! ```
//! use libvirt_client::uri::{Environment, NoFiles, Options, Plan, Route, System};
//!
//! let environment = Environment::new(System::Linux, 1000, &NoFiles);
//! let plan = Plan::new("qemu+tcp://host.example/system", Options::default(), &environment)?;
//! assert!(matches!(plan.route, Route::Tcp(endpoint) if endpoint.port == 16509));
//! # Ok::<(), libvirt_client::Error>(())
//! ```

mod admin;
mod auth_conf;
mod client_config;
mod conf;
mod environment;
mod name;
mod parameters;
mod parse;
mod plan;
mod remote;
mod resolve;
mod route;
mod socket;
mod ssh;
#[cfg(test)]
mod tests;
mod tls;

pub use admin::AdminPlan;
pub use auth_conf::{AuthConfig, AuthFile};
pub use client_config::ClientConfig;
pub use environment::{Environment, Files, NoFiles, System};
pub use parse::{Transport, Uri};
pub use plan::{Options, Plan};
pub use remote::RemoteSide;
pub use route::{
    Autostart, CertificateFiles, CommandRoute, Endpoint, HostKeyPolicy, PkiFiles, Route, Socket, SshFlavour,
    SshMethod, SshRoute, TlsRoute,
};

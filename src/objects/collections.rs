//! Lists of objects: narrow them down by conditions, and await them. Each is one call.
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! for domain in connection.domains().running().autostart().await? {
//!     println!("{} runs, and will after the host's next boot", domain.name());
//! }
//! let all = connection.domains().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Conditions about the same thing widen the choice (running or paused), others narrow it (running, and with
//! snapshots); without any, all objects are listed.

use std::{future::Future, pin::Pin};

use super::{
    Connection, Domain, DomainCheckpoint, DomainSnapshot, Interface, Network, NodeDevice, Secret,
    StoragePool, enums,
};
use crate::error::Result;

/// A list on its way.
pub type Listing<T> = Pin<Box<dyn Future<Output = Result<Vec<T>>> + Send>>;

/// Defines a list: whose it is, the method that asks for it, what is in it, and the conditions.
macro_rules! collection {
    (
        $(#[$attribute:meta])*
        $name:ident($owner:ident . $list:ident) -> $item:ty, $flags:ident {
            $($(#[$condition_attribute:meta])* $condition:ident = $flag:ident,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        #[must_use = "nothing is listed until this is awaited"]
        pub struct $name {
            owner: $owner,
            flags: enums::$flags,
        }

        impl $name {
            pub(super) fn of(owner: &$owner) -> Self {
                Self { owner: owner.clone(), flags: enums::$flags::empty() }
            }

            $($(#[$condition_attribute])*
            pub fn $condition(self) -> Self {
                self.matching(enums::$flags::$flag)
            })*

            /// Adds conditions by their flags.
            pub fn matching(mut self, flags: enums::$flags) -> Self {
                self.flags |= flags;
                self
            }
        }

        impl IntoFuture for $name {
            type Output = Result<Vec<$item>>;
            type IntoFuture = Listing<$item>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(async move { self.owner.$list(self.flags).await })
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/collections.rs"));

//! The kinds of events, their decoder, and the methods that ask for them, generated from the definitions and from
//! `protocol/api.toml`.

use bytes::Bytes;

use super::{DomainEventDetail, Event, EventsBuilder, builder::Kind};
use crate::{
    objects::{
        Connection, Domain, Network, NodeDevice, Secret, StoragePool, TypedParams, enums, results, stats,
    },
    protocol::{qemu, remote},
    xdr::{DecodeError, from_bytes},
};

include!(concat!(env!("OUT_DIR"), "/event_enums.rs"));

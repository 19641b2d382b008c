//! The methods that do one call each, generated from the definitions and from `protocol/api.toml`.

#![allow(clippy::clone_on_copy, reason = "whether arguments are Copy does not matter to what is generated")]

use std::{path::Path, time::Duration};

use bytes::Bytes;

use super::{
    Connection, CpuMap, Domain, DomainCheckpoint, DomainSnapshot, Interface, Network, NetworkFilter,
    NetworkFilterBinding, NetworkPort, NodeDevice, Secret, StoragePool, StorageVol, TypedParams, Uuid,
    Version, collections, enums, found, params,
    paths::{absolute, absolute_file},
    results, saturating, stats, there_is,
};
use crate::{
    error::{ErrorCode, Result},
    protocol::{qemu, remote},
};

include!(concat!(env!("OUT_DIR"), "/objects.rs"));

//! What methods return that is more than one value.

use std::time::Duration;

use super::{Connection, CpuMap, Domain, DomainStateReason, TypedParams, enums, stats, text};
// The generated text says where the structs of results are, in lists too.
use super::results;
use crate::protocol::remote;

pub use super::by_hand::{DomainBlockJob, NodeCpuMap, Vcpu};

include!(concat!(env!("OUT_DIR"), "/results.rs"));

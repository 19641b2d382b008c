//! What the generated procedure tables are made of: which procedure a value of arguments calls, and what is
//! known about it.

use crate::xdr::{Decode, Encode};

/// The arguments of one procedure. The generator implements it for every `..Args` type.
pub trait Call: Encode + Send {
    /// What the daemon answers; `()` where a reply carries nothing.
    type Reply: Decode + Send;

    /// The procedure that is called.
    const PROCEDURE: &'static ProcedureInfo;
}

/// A message that the daemon sends by itself. The generator implements it for the `..Msg` type of every event.
pub trait EventMessage: Decode + Encode + Send {
    /// The procedure that carries it.
    const PROCEDURE: &'static ProcedureInfo;
}

/// One of the programs that a daemon serves over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Program {
    /// The number in the header of each frame.
    pub number: u32,
    /// The version of its protocol.
    pub version: u32,
    /// `remote`, `qemu`, `lxc`, `admin`, `keepalive`.
    pub name: &'static str,
}

/// What the protocol definition says about a procedure.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ProcedureInfo {
    /// The name in the definition, as in `REMOTE_PROC_DOMAIN_GET_INFO`.
    pub name: &'static str,
    /// The number in the header of each frame.
    pub number: i32,
    /// The program that it belongs to.
    pub program: Program,
    /// Who starts it.
    pub kind: ProcedureKind,
    /// Whether the message of an event starts with the id of the registration that it belongs to.
    pub has_callback_id: bool,
    /// Whether the daemon keeps workers free for it (`@priority: high`).
    pub priority: Priority,
    /// The data stream that a successful reply opens.
    pub stream: Option<StreamDirection>,
    /// The flag that makes the stream carry holes (`@sparseflag`), with its value.
    pub sparse_flag: Option<SparseFlag>,
    /// The permissions that the daemon's access control asks for (`@acl`), as written in the definition.
    pub acl: &'static [&'static str],
    /// The permissions that its results are filtered by (`@aclfilter`).
    pub acl_filter: &'static [&'static str],
    /// The libvirt version that first had it, as in `9.7.0`, where that is known.
    pub since: Option<&'static str>,
}

/// Who starts a procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ProcedureKind {
    /// The client calls it and the daemon replies.
    Call,
    /// The daemon sends it and nobody replies.
    Event,
}

/// How the daemon queues a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Priority {
    /// It waits for an ordinary worker.
    Low,
    /// A worker kept for such calls may take it, since it cannot block on a hypervisor.
    High,
}

/// Which way the data of a stream flows, as the definition says. `READ` streams of consoles and channels carry
/// data both ways all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum StreamDirection {
    /// To the client (`@readstream`).
    Read,
    /// To the daemon (`@writestream`).
    Write,
}

/// The flag of a call that makes its stream carry holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SparseFlag {
    /// Its name in the public API.
    pub name: &'static str,
    /// Its bit in the `flags` argument.
    pub value: u32,
}

impl ProcedureInfo {
    /// Returns the name without the program's prefix, as in `DOMAIN_GET_INFO`.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.split_once("_PROC_").map_or(self.name, |(_, short)| short)
    }
}

/// Code that is generic over calls, for [`visit_call`](super::visit_call).
pub trait CallVisitor {
    /// What a visit yields.
    type Output;

    /// Called with the type that the number stands for.
    fn visit<C>(self) -> Self::Output
    where
        C: Call + WireType,
        C::Reply: WireType;
}

/// Code that is generic over wire types, for [`visit_types`](super::visit_types).
pub trait TypeVisitor {
    /// Called with each type and its name in the definition.
    fn visit<T: WireType>(&mut self, name: &'static str);
}

/// What all wire types can do.
pub trait WireType: Encode + Decode + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static {}

impl<T> WireType for T where T: Encode + Decode + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static {}

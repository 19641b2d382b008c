//! What goes over the wire: frames, and the messages in them.
//!
//! The modules named after libvirt's programs are generated from the definitions in `protocol/`; names follow
//! the definitions mechanically, so that whoever holds a `.x` file or a packet dump can type them:
//! `remote_domain_get_info_args` is [`remote::DomainGetInfoArgs`], `REMOTE_PROC_DOMAIN_GET_INFO` is
//! [`remote::Procedure::DOMAIN_GET_INFO`].

mod call;
pub mod frame;

pub use call::{
    Call, CallVisitor, EventMessage, Priority, ProcedureInfo, ProcedureKind, Program, SparseFlag,
    StreamDirection, TypeVisitor, WireType,
};

/// The hypervisor API: domains, networks, storage and the rest (`remote_protocol.x`).
pub mod remote {
    include!(concat!(env!("OUT_DIR"), "/remote.rs"));
}

/// What only the QEMU driver has (`qemu_protocol.x`).
pub mod qemu {
    include!(concat!(env!("OUT_DIR"), "/qemu.rs"));
}

/// What only the LXC driver has (`lxc_protocol.x`).
pub mod lxc {
    include!(concat!(env!("OUT_DIR"), "/lxc.rs"));
}

/// The daemon's own administration, on a socket of its own (`admin_protocol.x`).
pub mod admin {
    include!(concat!(env!("OUT_DIR"), "/admin.rs"));
}

/// The header of every frame and the messages that all programs share (`virnetprotocol.x`).
pub mod net {
    include!(concat!(env!("OUT_DIR"), "/net.rs"));
}

/// Pings and their answers (`virkeepaliveprotocol.x`).
pub mod keepalive {
    include!(concat!(env!("OUT_DIR"), "/keepalive.rs"));
}

include!(concat!(env!("OUT_DIR"), "/visit.rs"));

//! Calls whose arguments are passwords: the buffers that they are sent from are overwritten afterwards.

use crate::protocol::{Call, ProcedureInfo, remote};

/// More than such a call has, so that its buffer never grows, which would leave a copy behind.
const ROOM: usize = 256 * 1024;
/// What most calls fit into.
const USUAL_ROOM: usize = 128;

/// Tells whether what is sent with a call is a secret.
pub(super) fn carries_secret(procedure: &ProcedureInfo) -> bool {
    let secret = [
        remote::AuthSaslStartArgs::PROCEDURE,
        remote::AuthSaslStepArgs::PROCEDURE,
        remote::SecretSetValueArgs::PROCEDURE,
        remote::DomainSetUserPasswordArgs::PROCEDURE,
    ];
    // Each procedure has one entry in the tables, so its address tells it.
    secret.iter().any(|&secret| std::ptr::eq(secret, procedure))
}

/// Makes the buffer that a call is encoded into.
pub(super) fn buffer_for(procedure: &ProcedureInfo) -> Vec<u8> {
    Vec::with_capacity(if carries_secret(procedure) { ROOM } else { USUAL_ROOM })
}

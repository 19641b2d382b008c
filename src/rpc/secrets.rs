//! Calls whose arguments are passwords: the buffers that they are sent from are overwritten afterwards.

use zeroize::Zeroize;

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

/// An encoded call on its way to where it is written from. If it carries a secret, it is overwritten wherever that way ends.
pub(super) struct Encoded {
    bytes: Vec<u8>,
    is_secret: bool,
}

impl Encoded {
    pub(super) fn new(procedure: &ProcedureInfo, bytes: Vec<u8>) -> Self {
        Self { bytes, is_secret: carries_secret(procedure) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Hands the bytes over to one who overwrites them.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        if self.is_secret {
            self.bytes.zeroize();
        }
    }
}

/// Makes the buffer that a call is encoded into.
pub(super) fn buffer_for(procedure: &ProcedureInfo) -> Vec<u8> {
    Vec::with_capacity(if carries_secret(procedure) { ROOM } else { USUAL_ROOM })
}

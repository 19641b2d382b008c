//! Overwrites what nobody else should read.

use bytes::Bytes;

use super::recording::{FRAME_HEAD, RecordedFrame};
use crate::{
    protocol::{WireType, remote},
    xdr,
};

/// What secrets are overwritten with.
const MASK: u8 = b'x';

/// Overwrites the secrets of a frame, if it has any, byte by byte, so that lengths stay and it still decodes.
pub(super) fn redact(frame: RecordedFrame) -> RecordedFrame {
    use remote::Procedure as P;
    const CALL: u32 = 0;
    const REPLY: u32 = 1;
    if frame.program() != remote::PROGRAM.number || frame.status() != 0 {
        return frame;
    }
    match (remote::Procedure(frame.procedure()), frame.kind()) {
        (P::AUTH_SASL_START, CALL) => {
            overwrite::<remote::AuthSaslStartArgs>(frame, |args| args.data.fill(MASK))
        }
        (P::AUTH_SASL_START, REPLY) => {
            overwrite::<remote::AuthSaslStartRet>(frame, |ret| ret.data.fill(MASK))
        }
        (P::AUTH_SASL_STEP, CALL) => {
            overwrite::<remote::AuthSaslStepArgs>(frame, |args| args.data.fill(MASK))
        }
        (P::AUTH_SASL_STEP, REPLY) => overwrite::<remote::AuthSaslStepRet>(frame, |ret| ret.data.fill(MASK)),
        (P::SECRET_SET_VALUE, CALL) => {
            overwrite::<remote::SecretSetValueArgs>(frame, |args| mask(&mut args.value))
        }
        (P::SECRET_GET_VALUE, REPLY) => {
            overwrite::<remote::SecretGetValueRet>(frame, |ret| mask(&mut ret.value))
        }
        (P::DOMAIN_SET_USER_PASSWORD, CALL) => {
            overwrite::<remote::DomainSetUserPasswordArgs>(frame, |args| {
                args.password = args.password.as_deref().map(|password| "x".repeat(password.len()));
            })
        }
        _ => frame,
    }
}

fn mask(value: &mut Bytes) {
    *value = vec![MASK; value.len()].into();
}

/// Changes the payload as a value of type `T`. What is no such value may be a secret in whole, so all of it
/// goes.
fn overwrite<T: WireType>(frame: RecordedFrame, change: impl FnOnce(&mut T)) -> RecordedFrame {
    let changed =
        xdr::from_bytes::<T>(&Bytes::copy_from_slice(frame.payload())).ok().and_then(|mut value| {
            change(&mut value);
            xdr::to_vec(&value).ok().filter(|payload| payload.len() == frame.payload().len())
        });
    let payload = changed.unwrap_or_else(|| vec![MASK; frame.payload().len()]);
    let head = frame.bytes().get(..FRAME_HEAD).unwrap_or_default();
    match RecordedFrame::new(frame.direction(), [head, &payload].concat()) {
        Ok(changed) => changed.with_descriptors(frame.descriptors()).with_redacted(true),
        // Its length is what it was.
        Err(_) => frame,
    }
}

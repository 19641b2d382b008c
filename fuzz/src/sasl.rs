//! The exchange of SASL with a daemon that says anything.
//!
//! Input: a byte that chooses the mechanism, then messages: a byte of flags (complete, missing, begun as SCRAM's answer to
//! our first message), one with the length, and as many.

use libvirt_client::auth::sasl::{Exchange, Identity, Mechanism, Next};

use super::Input;

const COMPLETE: u8 = 1;
const MISSING: u8 = 2;
const ANSWERS_NONCE: u8 = 4;

/// Has one exchange; tells whether the daemon's first message was understood.
pub fn run(data: &[u8]) -> bool {
    let mut input = Input(data);
    let mechanism = Mechanism::ALL[usize::from(input.byte()) % Mechanism::ALL.len()];
    let mut identity = Identity::default();
    identity.name = Some("fred".to_owned());
    identity.password = Some("secret".into());
    let (mut exchange, first) =
        Exchange::begin(mechanism, identity).expect("there are a name and a password");

    let (mut failed, mut understood, mut rounds) = (false, 0, 0);
    while !input.is_empty() && rounds < 100 {
        rounds += 1;
        let flags = input.byte();
        let length = input.byte();
        let mut message = Vec::new();
        if flags & ANSWERS_NONCE != 0 {
            message.extend_from_slice(nonce(first.as_deref().unwrap_or_default()));
        }
        message.extend_from_slice(input.take(usize::from(length)));
        if asks_for_work(&message) {
            return understood > 0;
        }
        let message = (flags & MISSING == 0).then_some(message.as_slice());
        match exchange.answered(flags & COMPLETE != 0, message) {
            Ok(next) => {
                assert!(!failed, "it goes on after an error");
                understood += 1;
                if next == Next::Done {
                    assert!(flags & COMPLETE != 0, "the daemon is not content");
                    assert!(!mechanism.name().starts_with("SCRAM"), "nobody has proved anything");
                    return true;
                }
            }
            Err(error) => {
                assert!(error.is_auth(), "{error:?}");
                failed = true;
            }
        }
    }
    assert!(failed || understood == rounds);
    assert!(understood < 10, "a daemon that is never content is left");
    understood > 0
}

/// Tells whether a message asks for so many iterations that they would take most of a fuzzer's time. More than a million are
/// refused.
fn asks_for_work(message: &[u8]) -> bool {
    let asked = message.split(|byte| *byte == b',').filter_map(|attribute| attribute.strip_prefix(b"i="));
    let numbers = asked.filter_map(|number| std::str::from_utf8(number).ok()?.parse::<u32>().ok());
    numbers.into_iter().any(|number| (5_000..=1_000_000).contains(&number))
}

/// Our nonce, as the daemon has to repeat it.
fn nonce(first: &[u8]) -> &[u8] {
    let at = first.windows(3).position(|window| window == b",r=");
    at.map_or(&[], |at| &first[at + 1..])
}

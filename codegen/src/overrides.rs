//! Every exception from the rules, by hand, with its reason. An exception that matches nothing fails the build,
//! so that none outlives its cause; one that belongs to a procedure or program which an older set of definitions
//! lacks is skipped there.

pub mod objects;

/// The exceptions, for the check that each of them is used.
#[must_use]
pub fn all() -> Vec<(Subject, &'static str)> {
    let types = TYPE_NAMES.iter().map(|rename| (rename.subject, rename.wire));
    let bodiless = MESSAGES_WITHOUT_BODY.iter().map(|&procedure| (Subject::Program("keepalive"), procedure));
    let prefixes = ENUMERATOR_PREFIXES.iter().map(|entry| (Subject::Api, entry.c_enum));
    let flags = FLAGS.iter().map(|&(c_enum, _)| (Subject::Api, c_enum));
    let sentinels = SENTINELS.iter().chain(&NO_SENTINELS).map(|&enumerator| (Subject::Api, enumerator));
    types.chain(bodiless).chain(prefixes).chain(flags).chain(sentinels).collect()
}

/// What must be there for an exception to be expected to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The program of this module.
    Program(&'static str),
    /// The tables of the public API.
    Api,
}

/// A wire type under another name.
struct TypeName {
    subject: Subject,
    wire: &'static str,
    rust: &'static str,
}

/// By rule these would be `String`, and hide Rust's own in their module.
const TYPE_NAMES: [TypeName; 2] = [
    TypeName { subject: Subject::Program("remote"), wire: "remote_string", rust: "OptionalString" },
    TypeName { subject: Subject::Program("admin"), wire: "admin_string", rust: "OptionalString" },
];

/// Returns the name that replaces the one by rule.
#[must_use]
pub fn type_name(wire: &str) -> Option<&'static str> {
    TYPE_NAMES.iter().find(|rename| rename.wire == wire).map(|rename| rename.rust)
}

/// Messages that either side sends by itself, with nothing in them: there is no `_msg` struct to tell them by,
/// and without arguments they would be taken for calls.
const MESSAGES_WITHOUT_BODY: [&str; 2] = ["KEEPALIVE_PROC_PING", "KEEPALIVE_PROC_PONG"];

/// Tells whether a procedure is a message without a body.
#[must_use]
pub fn is_message_without_body(procedure: &str) -> bool {
    MESSAGES_WITHOUT_BODY.contains(&procedure)
}

/// What the names of an enum's constants lose, where what they share is too much or too little. The first
/// prefix that fits is taken.
struct EnumeratorPrefix {
    c_enum: &'static str,
    prefixes: &'static [&'static str],
}

const ENUMERATOR_PREFIXES: [EnumeratorPrefix; 6] = [
    // Warnings among the errors: `WAR_NO_NETWORK` beside `NO_NETWORK`.
    EnumeratorPrefix { c_enum: "virErrorNumber", prefixes: &["VIR_ERR_", "VIR_"] },
    // `VIR_DOMAIN_NONE` stands beside `VIR_DOMAIN_START_PAUSED`.
    EnumeratorPrefix { c_enum: "virDomainCreateFlags", prefixes: &["VIR_DOMAIN_START_", "VIR_DOMAIN_"] },
    // Both that exist today begin with `SECLABEL`; the next one may not.
    EnumeratorPrefix { c_enum: "virDomainFDAssociateFlags", prefixes: &["VIR_DOMAIN_FD_ASSOCIATE_"] },
    // The single constant says `PARAM` where the enum says `Parameter`.
    EnumeratorPrefix { c_enum: "virTypedParameterFlags", prefixes: &["VIR_TYPED_PARAM_"] },
    // The single constant is the whole name.
    EnumeratorPrefix { c_enum: "virNodeGetCPUStatsAllCPUs", prefixes: &["VIR_NODE_CPU_STATS_"] },
    EnumeratorPrefix { c_enum: "virNodeGetMemoryStatsAllCells", prefixes: &["VIR_NODE_MEMORY_STATS_"] },
];

/// Returns the prefixes that replace the one by rule.
#[must_use]
pub fn enumerator_prefixes(c_enum: &str) -> Option<&'static [&'static str]> {
    ENUMERATOR_PREFIXES.iter().find(|entry| entry.c_enum == c_enum).map(|entry| entry.prefixes)
}

/// Enums whose values are combined, though their names do not end in `Flags`; with who combines them.
const FLAGS: [(&str, &str); 6] = [
    ("virDomainMessageType", "flags of virDomainGetMessages"),
    ("virDomainModificationImpact", "flags of virDomainSetMemoryFlags and many more"),
    ("virDomainStatsTypes", "stats of virConnectGetAllDomainStats"),
    ("virDomainGuestInfoTypes", "types of virDomainGetGuestInfo"),
    ("virStreamEventType", "events of virStreamEventAddCallback"),
    ("virEventHandleType", "events of virEventAddHandle"),
];

/// Tells whether the values of an enum are combined, in spite of its name.
#[must_use]
pub fn is_flags(c_enum: &str) -> bool {
    FLAGS.iter().any(|&(name, _)| name == c_enum)
}

/// Ends of enums that are not called `_LAST`: the number of values, not a value.
const SENTINELS: [&str; 1] = ["VIR_DOMAIN_MEMORY_STAT_NR"];

/// Values that are called as ends of enums are.
const NO_SENTINELS: [&str; 1] = ["VIR_NETWORK_UPDATE_COMMAND_ADD_LAST"];

/// Tells whether an enumerator only marks the end of its enum.
#[must_use]
pub fn is_sentinel(enumerator: &str) -> bool {
    enumerator.ends_with("_LAST") && !NO_SENTINELS.contains(&enumerator) || SENTINELS.contains(&enumerator)
}

//! Every renaming rule, from the names of the definitions and of the C API to Rust's.
//!
//! The rules are mechanical, so that whoever holds a `.x` file, a packet dump or a C program can type the Rust
//! name: drop the program's prefix, split into words, join them in Rust's case. The table at the bottom shows
//! each of them at work; what does not follow them stands in [`overrides`].

use std::collections::BTreeMap;

use crate::{emit::Problem, overrides, spec::Location};

/// The names of one `.x` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    module: String,
}

impl Prefix {
    /// Takes the prefix from a file's stem: `remote_protocol` is `remote`, `virnetprotocol` is `net`.
    #[must_use]
    pub fn of_file(stem: &str) -> Self {
        let base = stem.strip_suffix("protocol").unwrap_or(stem).trim_end_matches('_');
        let module = base.strip_prefix("vir").filter(|rest| !rest.is_empty()).unwrap_or(base);
        Self { module: if module.is_empty() { snake(stem) } else { snake(module) } }
    }

    /// Returns the Rust module: `remote`, `net`.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// Names a struct, union, enum or typedef: `remote_domain_get_info_args` is `DomainGetInfoArgs`,
    /// `virNetMessageHeader` is `MessageHeader`.
    #[must_use]
    pub fn type_name(&self, wire: &str) -> String {
        if let Some(name) = overrides::type_name(wire) {
            return name.to_owned();
        }
        let camel_module = camel(&self.module);
        let rest = wire
            .strip_prefix(&format!("{}_", self.module))
            .or_else(|| wire.strip_prefix(&format!("vir{camel_module}")))
            .filter(|rest| rest.starts_with(char::is_alphabetic))
            .unwrap_or(wire);
        escape_type(camel(rest))
    }

    /// Names a constant: `REMOTE_STRING_MAX` is `STRING_MAX`, `VIR_NET_MESSAGE_MAX` is `MESSAGE_MAX`.
    #[must_use]
    pub fn constant(&self, wire: &str) -> String {
        let upper = self.module.to_uppercase();
        let rest = wire
            .strip_prefix(&format!("{upper}_"))
            .or_else(|| wire.strip_prefix(&format!("VIR_{upper}_")))
            .filter(|rest| rest.starts_with(char::is_alphabetic))
            .unwrap_or(wire);
        screaming(rest)
    }

    /// Returns the names that the two constants of a program have in this file.
    #[must_use]
    pub fn program_constants(&self) -> (String, String) {
        let upper = self.module.to_uppercase();
        (format!("{upper}_PROGRAM"), format!("{upper}_PROTOCOL_VERSION"))
    }

    /// Returns the name that the enum of procedures has in this file.
    #[must_use]
    pub fn procedure_enum(&self) -> String {
        format!("{}_procedure", self.module)
    }

    /// Names a procedure without its prefix: `REMOTE_PROC_DOMAIN_GET_INFO` is `DOMAIN_GET_INFO`.
    #[must_use]
    pub fn procedure(&self, wire: &str) -> String {
        let prefix = format!("{}_PROC_", self.module.to_uppercase());
        screaming(wire.strip_prefix(&prefix).filter(|rest| !rest.is_empty()).unwrap_or(wire))
    }

    /// Returns what the structs of a procedure start with: `remote_domain_get_info`.
    #[must_use]
    pub fn structs_of(&self, procedure: &str) -> String {
        format!("{}_{}", self.module, self.procedure(procedure).to_lowercase())
    }
}

/// Names a field: `usageType` is `usage_type`, `type` is `type_`.
#[must_use]
pub fn field(wire: &str) -> String {
    escape_value(snake(wire))
}

/// Names the type of an anonymous body: field `address` of `Lease` is `LeaseAddress`.
#[must_use]
pub fn anonymous(owner: &str, field: &str) -> String {
    format!("{owner}{}", camel(field))
}

/// Names the variant of a union's arm after its case: `INT` is `Int`.
#[must_use]
pub fn variant(case: &str) -> String {
    escape_type_keyword(camel(case))
}

/// Names the constants of an enum: what all of them start with is dropped, at the end of a word. Where there is
/// only one, the words that the enum's own name has are dropped.
#[must_use]
pub fn enumerators(enum_name: &str, names: &[&str]) -> Vec<String> {
    let prefixes: Vec<String> = match overrides::enumerator_prefixes(enum_name) {
        Some(prefixes) => prefixes.iter().map(|&prefix| prefix.to_owned()).collect(),
        None if names.len() == 1 => names.iter().map(|name| prefix_like(name, enum_name)).collect(),
        None => vec![common_prefix(names)],
    };
    names
        .iter()
        .map(|name| {
            let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_str())).unwrap_or(name);
            if rest.starts_with(|first: char| first.is_ascii_digit()) {
                let kept = name.len() - rest.len();
                let word = name.get(..kept).unwrap_or_default().trim_end_matches('_');
                let word = word.rsplit('_').next().unwrap_or_default();
                return screaming(&format!("{word}_{rest}"));
            }
            screaming(rest)
        })
        .collect()
}

/// Names an enum of the C API: `virDomainState` is `DomainState`, `virDomainShutdownFlagValues` is
/// `DomainShutdownFlags`.
#[must_use]
pub fn api_enum(c_name: &str) -> String {
    let name = c_name.strip_prefix("vir").unwrap_or(c_name);
    let name = ["FlagsValues", "FlagValues"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .map_or_else(|| name.to_owned(), |base| format!("{base}Flags"));
    escape_type(camel(&name))
}

/// Names a field of typed parameters: `VIR_DOMAIN_BLKIO_WEIGHT` is `DOMAIN_BLKIO_WEIGHT`.
#[must_use]
pub fn api_field(macro_name: &str) -> String {
    screaming(macro_name.strip_prefix("VIR_").unwrap_or(macro_name))
}

/// Says a constant's name in words: `NO_AUTOSTART` is `no autostart`.
#[must_use]
pub fn spoken(constant: &str) -> String {
    constant.to_lowercase().replace('_', " ")
}

/// Joins the words of a name as types are written: `migrate_prepare3` is `MigratePrepare3`.
#[must_use]
pub fn camel(name: &str) -> String {
    words(name)
        .iter()
        .map(|word| {
            let mut characters = word.chars();
            characters
                .next()
                .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
        })
        .collect()
}

/// Joins the words of a name as fields are written.
#[must_use]
pub fn snake(name: &str) -> String {
    words(name).join("_")
}

/// Writes a constant's name, whose words are set apart already.
fn screaming(name: &str) -> String {
    let upper = name.to_uppercase();
    if upper.starts_with(|first: char| first.is_ascii_digit()) { format!("_{upper}") } else { upper }
}

/// Splits a name into lower-case words, at underscores and where the case says so. An acronym is one word, with
/// the `s` of its plural: `getCPUStatsAllCPUs` is `get cpu stats all cpus`.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let characters: Vec<char> = part.chars().collect();
        let at = |index: usize| characters.get(index).copied();
        let is_upper = |index: usize| at(index).is_some_and(char::is_uppercase);
        let is_lower = |index: usize| at(index).is_some_and(char::is_lowercase);
        let mut word = String::new();
        for (index, character) in characters.iter().enumerate() {
            let starts = is_upper(index)
                && (index.checked_sub(1).is_some_and(|before| !is_upper(before))
                    || is_lower(index + 1)
                        && !(at(index + 1) == Some('s') && !is_lower(index + 2) && index > 0));
            if starts && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.extend(character.to_lowercase());
        }
        words.push(word);
    }
    words
}

/// Returns what all of `names` start with, up to and including an underscore, leaving each at least a word.
fn common_prefix(names: &[&str]) -> String {
    let Some((first, others)) = names.split_first() else { return String::new() };
    let mut end = 0;
    for (underscore, _) in first.match_indices('_') {
        let prefix = first.get(..=underscore).unwrap_or_default();
        if others.iter().chain([first]).all(|name| name.len() > prefix.len() && name.starts_with(prefix)) {
            end = underscore + 1;
        }
    }
    first.get(..end).unwrap_or_default().to_owned()
}

/// Returns the words at the start of an enumerator that occur in the enum's name in the same order, some of the
/// name's left out; `PMSUSPENDED` is found in `PMSuspended` too. At least a word is left.
fn prefix_like(enumerator: &str, enum_name: &str) -> String {
    let name_words = words(enum_name);
    let mut rest = name_words.as_slice();
    let mut end = 0;
    for (underscore, _) in enumerator.match_indices('_') {
        let word = enumerator.get(end..underscore).unwrap_or_default().to_lowercase();
        let found = (0..rest.len()).find_map(|start| {
            (start + 1..=rest.len())
                .find(|&stop| rest.get(start..stop).is_some_and(|several| several.concat() == word))
        });
        let Some(stop) = found else { break };
        rest = rest.get(stop..).unwrap_or_default();
        end = underscore + 1;
    }
    enumerator.get(..end).unwrap_or_default().to_owned()
}

fn escape_value(name: String) -> String {
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("_{name}")
    } else if KEYWORDS.contains(&name.as_str()) {
        format!("{name}_")
    } else {
        name
    }
}

fn escape_type_keyword(name: String) -> String {
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("_{name}")
    } else if name == "Self" {
        "Self_".to_owned()
    } else {
        name
    }
}

/// A type may not shadow what the emitted code itself uses.
fn escape_type(name: String) -> String {
    if USED_TYPES.contains(&name.as_str()) { format!("{name}_") } else { escape_type_keyword(name) }
}

/// The words that Rust keeps for itself, in all editions.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield", "union",
];

/// What emitted modules import or take from the prelude.
const USED_TYPES: [&str; 31] = [
    "Bound",
    "Box",
    "Bytes",
    "Call",
    "Clone",
    "Copy",
    "Debug",
    "Decode",
    "DecodeError",
    "Default",
    "Display",
    "Encode",
    "EncodeError",
    "Err",
    "EventMessage",
    "From",
    "None",
    "Ok",
    "Option",
    "Priority",
    "ProcedureInfo",
    "ProcedureKind",
    "Program",
    "Reader",
    "Result",
    "Some",
    "SparseFlag",
    "StreamDirection",
    "String",
    "Vec",
    "Writer",
];

/// The names of one place, where each may stand for one thing.
#[derive(Debug)]
pub struct Scope {
    what: String,
    taken: BTreeMap<String, (String, Option<Location>)>,
}

impl Scope {
    /// Opens an empty one; `what` says in messages which place it is: `module remote`, `struct remote_error`.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), taken: BTreeMap::new() }
    }

    /// Takes a name for a definition.
    ///
    /// # Errors
    /// The name is taken. The message names both definitions.
    pub fn take(&mut self, rust: &str, wire: &str, location: Option<&Location>) -> Result<(), Problem> {
        if let Some((other, other_location)) = self.taken.get(rust) {
            let place = other_location
                .as_ref()
                .map_or_else(String::new, |place| format!(" ({}:{})", place.file.display(), place.line));
            return Err(Problem::new(
                location,
                format!(
                    "{wire} and {other}{place} would both be called {rust} in {}; \
                     give one of them another name in codegen/src/overrides.rs",
                    self.what
                ),
            ));
        }
        self.taken.insert(rust.to_owned(), (wire.to_owned(), location.cloned()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_after_files() {
        for (stem, module) in [
            ("remote_protocol", "remote"),
            ("qemu_protocol", "qemu"),
            ("virnetprotocol", "net"),
            ("virkeepaliveprotocol", "keepalive"),
            ("lxc_monitor_protocol", "lxc_monitor"),
            ("sample", "sample"),
            ("protocol", "protocol"),
            ("vir", "vir"),
        ] {
            assert_eq!(Prefix::of_file(stem).module(), module, "{stem}");
        }
    }

    #[test]
    fn types() {
        for (stem, wire, rust) in [
            ("remote_protocol", "remote_nonnull_domain", "NonnullDomain"),
            ("remote_protocol", "remote_domain_get_info_args", "DomainGetInfoArgs"),
            ("remote_protocol", "remote_domain_migrate_prepare3_args", "DomainMigratePrepare3Args"),
            (
                "remote_protocol",
                "remote_domain_migrate_prepare_tunnel3_params_args",
                "DomainMigratePrepareTunnel3ParamsArgs",
            ),
            ("remote_protocol", "remote_domain_event_block_job_2_msg", "DomainEventBlockJob2Msg"),
            ("remote_protocol", "remote_nonnull_nwfilter", "NonnullNwfilter"),
            ("remote_protocol", "remote_error", "Error"),
            ("remote_protocol", "remote_string", "OptionalString"),
            ("remote_protocol", "remote_uuid", "Uuid"),
            ("remote_protocol", "remote_program", "Program_"),
            ("remote_protocol", "remote_2_things", "Remote2Things"),
            ("remote_protocol", "other_thing", "OtherThing"),
            ("virnetprotocol", "virNetMessageHeader", "MessageHeader"),
            ("virnetprotocol", "virNetMessageError", "MessageError"),
            ("virnetprotocol", "virNetMessageNonnullDomain", "MessageNonnullDomain"),
            ("virnetprotocol", "virNetMessageUUID", "MessageUuid"),
            ("virnetprotocol", "virNetMessageString", "MessageString"),
            ("virnetprotocol", "virNetStreamHole", "StreamHole"),
        ] {
            assert_eq!(Prefix::of_file(stem).type_name(wire), rust, "{wire}");
        }
    }

    #[test]
    fn constants() {
        for (stem, wire, rust) in [
            ("remote_protocol", "REMOTE_STRING_MAX", "STRING_MAX"),
            ("virnetprotocol", "VIR_NET_MESSAGE_MAX", "MESSAGE_MAX"),
            ("virkeepaliveprotocol", "KEEPALIVE_PROTOCOL_VERSION", "PROTOCOL_VERSION"),
            ("remote_protocol", "VIR_UUID_BUFLEN", "VIR_UUID_BUFLEN"),
            ("sample", "lower_limit", "LOWER_LIMIT"),
        ] {
            assert_eq!(Prefix::of_file(stem).constant(wire), rust, "{wire}");
        }
    }

    #[test]
    fn procedures() {
        let remote = Prefix::of_file("remote_protocol");
        assert_eq!(remote.procedure("REMOTE_PROC_DOMAIN_GET_INFO"), "DOMAIN_GET_INFO");
        assert_eq!(remote.structs_of("REMOTE_PROC_DOMAIN_GET_INFO"), "remote_domain_get_info");
        assert_eq!(remote.procedure_enum(), "remote_procedure");
        assert_eq!(remote.program_constants().0, "REMOTE_PROGRAM");
    }

    #[test]
    fn fields() {
        for (wire, rust) in [
            ("name", "name"),
            ("usageType", "usage_type"),
            ("callbackID", "callback_id"),
            ("nrVirtCpu", "nr_virt_cpu"),
            ("type", "type_"),
            ("union", "union_"),
            ("self", "self_"),
            ("URI", "uri"),
            ("srcURIs", "src_uris"),
            ("memory_unit", "memory_unit"),
            ("rd_bytes2", "rd_bytes2"),
            ("model", "model"),
        ] {
            assert_eq!(field(wire), rust, "{wire}");
        }
    }

    #[test]
    fn enumerators_lose_what_they_share() {
        for (enum_name, names, rust) in [
            ("remote_auth_type", vec!["REMOTE_AUTH_NONE", "REMOTE_AUTH_SASL"], vec!["NONE", "SASL"]),
            (
                "virNetMessageType",
                vec!["VIR_NET_CALL", "VIR_NET_CALL_WITH_FDS"],
                vec!["CALL", "CALL_WITH_FDS"],
            ),
            ("virDomainBlockedReason", vec!["VIR_DOMAIN_BLOCKED_UNKNOWN"], vec!["UNKNOWN"]),
            ("virDomainPMSuspendedReason", vec!["VIR_DOMAIN_PMSUSPENDED_UNKNOWN"], vec!["UNKNOWN"]),
            ("virDomainSetTimeFlags", vec!["VIR_DOMAIN_TIME_SYNC"], vec!["SYNC"]),
            ("virNWFilterDefineFlags", vec!["VIR_NWFILTER_DEFINE_VALIDATE"], vec!["VALIDATE"]),
            ("virStreamFlags", vec!["VIR_STREAM_FLAGS"], vec!["FLAGS"]),
            ("numbers", vec!["SET_1", "SET_2"], vec!["SET_1", "SET_2"]),
            ("nothing_shared", vec!["RED", "GREEN"], vec!["RED", "GREEN"]),
            ("one_is_the_prefix", vec!["A_B", "A_B_C"], vec!["B", "B_C"]),
            ("virErrorNumber", vec!["VIR_ERR_OK", "VIR_WAR_NO_SECRET"], vec!["OK", "WAR_NO_SECRET"]),
        ] {
            assert_eq!(enumerators(enum_name, &names), rust, "{enum_name}");
        }
    }

    #[test]
    fn api_names() {
        for (c, rust) in [
            ("virDomainState", "DomainState"),
            ("virCPUCompareResult", "CpuCompareResult"),
            ("virNodeGetCPUStatsAllCPUs", "NodeGetCpuStatsAllCpus"),
            ("virDomainXMLFlags", "DomainXmlFlags"),
            ("virDomainEventIOErrorAction", "DomainEventIoErrorAction"),
            ("virDomainEventID", "DomainEventId"),
            ("virNWFilterDefineFlags", "NwFilterDefineFlags"),
            ("virIPAddrType", "IpAddrType"),
            ("virDomainAuthorizedSSHKeysSetFlags", "DomainAuthorizedSshKeysSetFlags"),
            ("virDomainShutdownFlagValues", "DomainShutdownFlags"),
            ("virDomainUndefineFlagsValues", "DomainUndefineFlags"),
        ] {
            assert_eq!(api_enum(c), rust, "{c}");
        }
        assert_eq!(api_field("VIR_DOMAIN_BLKIO_WEIGHT"), "DOMAIN_BLKIO_WEIGHT");
        assert_eq!(spoken("NO_AUTOSTART"), "no autostart");
    }

    #[test]
    fn variants_and_anonymous_types() {
        assert_eq!(variant("INT"), "Int");
        assert_eq!(variant("NO_SPACE"), "NoSpace");
        assert_eq!(variant("SELF"), "Self_");
        assert_eq!(anonymous("Lease", "ip_address"), "LeaseIpAddress");
    }

    #[test]
    fn a_name_is_taken_once() {
        let mut scope = Scope::new("module remote");
        scope.take("ABC", "remote_a_bc", None).unwrap();
        let problem = scope.take("ABC", "remote_ab_c", None).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "remote_ab_c and remote_a_bc would both be called ABC in module remote; \
             give one of them another name in codegen/src/overrides.rs"
        );
    }
}

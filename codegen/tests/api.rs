//! `api.toml`: what is refused, with its place, and what a method becomes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fs, path::Path};

use libvirt_client_codegen::{
    Api, Error,
    emit::{self, Tables},
    read_directory, read_str,
};

const PROTOCOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol");

fn own(file: &str) -> String {
    fs::read_to_string(Path::new(PROTOCOL).join(file)).unwrap()
}

fn tables() -> Tables {
    let mut tables = Tables::default();
    tables.add_enums(Path::new("enums.tsv"), &own("enums.tsv")).unwrap();
    tables
}

/// Reads the entries and holds them against our own definitions.
fn check(api: &str, complete: bool) -> Result<(), Error> {
    let (spec, _) = read_directory(Path::new(PROTOCOL)).unwrap();
    let api = Api::read(Path::new("api.toml"), api)?;
    emit::objects(&spec, &tables(), &api, complete).map(drop)
}

#[test]
fn our_own_is_right() {
    check(&own("api.toml"), true).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_does_not_fit_is_shown_at_its_place() {
    let own = own("api.toml");
    for (from, to, essentials) in [
        ("[remote.DOMAIN_GET_INFO]", "[remote.DOMAIN_GET_INFOS]", &["DOMAIN_GET_INFO", "no entry"][..]),
        ("method = \"Domain::info\"", "", &["`DOMAIN_GET_INFO` says exactly one of", "says none"]),
        (
            "method = \"Domain::info\"",
            "methods = \"Domain::info\"",
            &["unknown key `methods`", "did you mean `method`"],
        ),
        ("method = \"Domain::info\"", "method = \"info\"", &["an object and a name, as in \"Domain::info\""]),
        ("method = \"Domain::info\"", "method = \"Domain::getInfo\"", &["not in snake_case"]),
        ("method = \"Domain::info\"", "method = \"Domain::get_info\"", &["no `get_`"]),
        (
            "method = \"Domain::info\"",
            "method = \"Domain::xml\"",
            &["DOMAIN_GET_XML_DESC is `Domain::xml` already"],
        ),
        ("method = \"Domain::info\"", "method = \"Network::info\"", &["no argument that is a Network"]),
        ("method = \"Domain::info\"", "method = 1", &["`method` is a text in quotes, not a number"]),
        ("method = \"Domain::info\"", "method = \"Domain::info", &["expected"]),
        ("method = \"Domain::info\"", "event = \"DomainEvent::Info\"", &["cannot be an event"]),
        (
            "method = \"Domain::info\"",
            "superseded = \"DOMAIN_GET_STAT\"",
            &["no procedure DOMAIN_GET_STAT", "`DOMAIN_GET_STATE`"],
        ),
        ("method = \"Domain::info\"", "superseded = \"CONNECT_OPEN\"", &["has to be a method itself"]),
        ("none = \"NO_DOMAIN_METADATA\"", "none = \"NO_DOMAIN_META\"", &["no error VIR_ERR_NO_DOMAIN_META"]),
        ("max_mem = \"KiB\"", "max_men = \"KiB\"", &["no argument or result called max_men", "max_mem"]),
        (
            "enums = { state = \"DomainState\" }",
            "enums = { state = \"DomainStat\" }",
            &["no enum virDomainStat", "`DomainState`"],
        ),
        (
            "flags = \"DomainXMLFlags\"",
            "flags = \"DomainState\"",
            &["virDomainState are not bits to combine"],
        ),
        ("flags = \"DomainXMLFlags\"", "flags = \"DomainXMLFlag\"", &["did you mean `DomainXMLFlags`"]),
        (
            "params = \"params::MemoryParameters\"",
            "params = \"MemoryParameters\"",
            &["the path of a struct in the crate, as in \"params::MemoryParameters\""],
        ),
        (
            "method = \"Domain::info\"",
            "method = \"Domain::info\"\nparams = \"params::Info\"",
            &["DOMAIN_GET_INFO has no typed parameters in it"],
        ),
        (
            "method = \"Domain::cpu_stats\"",
            "method = \"Domain::cpu_stats\"\nparams = \"stats::CpuStats\"",
            &["DOMAIN_GET_CPU_STATS has a method that is written by hand"],
        ),
        (
            "event = \"DomainEvent::Reboot\"",
            "event = \"DomainEvent::Reboot\"\nparams = \"stats::Reboot\"",
            &["DOMAIN_EVENT_REBOOT has no typed parameters in it"],
        ),
        (
            "internal = \"the opening of a connection\"",
            "internal = \"the opening of a connection\"\nparams = \"params::Opening\"",
            &["CONNECT_OPEN is neither a method nor an event"],
        ),
        ("repeat = \"safe\"", "repeat = \"perhaps\"", &["repeat is \"safe\" or \"unsafe\""]),
        (
            "event = \"DomainEvent::Lifecycle\"",
            "method = \"Domain::lifecycle\"",
            &["can only be an event or internal"],
        ),
    ] {
        assert!(own.contains(from), "{from}");
        let error = check(&own.replacen(from, to, 1), true).expect_err(to);
        let said = error.to_string();
        for essential in essentials {
            assert!(said.contains(essential), "{essential:?} is expected for {to:?} in:\n{said}");
        }
        let place = error.location().expect(&said);
        assert!(place.line > 1 && said.starts_with("error: "), "{said}");
    }
}

#[test]
fn a_summary_is_a_sentence_without_its_full_stop() {
    for (summary, essential) in
        [("Returns it.", "full stop"), ("returns it", "upper case"), ("", "one line"), ("A\\nb", "one line")]
    {
        let text = format!("[remote.X]\nmethod = \"Domain::x\"\nsummary = \"{summary}\"\n");
        let said = Api::read(Path::new("api.toml"), &text).unwrap_err().to_string();
        assert!(said.contains(essential) && said.contains("api.toml:3:11"), "{summary:?}: {said}");
    }
    let said =
        Api::read(Path::new("api.toml"), "[remote.X]\nmethod = \"Domain::x\"\n").unwrap_err().to_string();
    assert!(said.contains("`X` has no summary") && said.contains("api.toml:1:9"), "{said}");
}

/// Another libvirt's definitions may lack procedures, and have others.
#[test]
fn of_other_definitions_what_is_there_is_taken() {
    let own = own("api.toml");
    let without = own.replacen("[remote.DOMAIN_GET_INFO]", "[remote.DOMAIN_GET_INFOS]", 1);
    assert!(check(&without, true).is_err());
    check(&without, false).unwrap_or_else(|error| panic!("{error}"));
}

const DEFINITIONS: &str = "
    typedef string remote_string<64>;
    struct remote_nonnull_domain { string name<64>; opaque uuid[16]; int id; };
    struct remote_nonnull_disk { string target<64>; unsigned hyper size; int kind; };
    struct remote_domain_resize_args { remote_nonnull_domain dom; string disk<64>; unsigned hyper size; int on; unsigned flags; };
    struct remote_domain_get_disks_args { remote_nonnull_domain dom; int need_results; unsigned flags; };
    struct remote_domain_get_disks_ret { remote_nonnull_disk disks<8>; int ret; };
    struct remote_domain_lookup_by_name_args { string name<64>; };
    struct remote_domain_lookup_by_name_ret { remote_nonnull_domain dom; };
    struct remote_typed_param { string field<80>; int value; };
    struct remote_domain_get_limits_args { remote_nonnull_domain dom; };
    struct remote_domain_get_limits_ret { remote_typed_param params<16>; };
    struct remote_domain_set_limits_args { remote_nonnull_domain dom; remote_typed_param params<16>; };
    struct remote_domain_record { remote_nonnull_domain dom; remote_typed_param params<16>; };
    struct remote_connect_get_records_ret { remote_domain_record records<16>; };
    const REMOTE_PROGRAM = 1;
    const REMOTE_PROTOCOL_VERSION = 1;
    enum remote_procedure {
        /* @acl: domain:write:!VIR_DOMAIN_AFFECT_CONFIG */
        REMOTE_PROC_DOMAIN_RESIZE = 1,
        /* @acl: none */
        REMOTE_PROC_DOMAIN_GET_DISKS = 2,
        REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME = 3,
        REMOTE_PROC_DOMAIN_GET_LIMITS = 4,
        REMOTE_PROC_DOMAIN_SET_LIMITS = 5,
        REMOTE_PROC_CONNECT_GET_RECORDS = 6
    };
";

const ENTRIES: &str = r#"
[remote.DOMAIN_RESIZE]
method = "Domain::resize"
summary = "Gives a disk another size"
c = "virDomainResize"
since = "1.2.3"
flags = "DomainModificationImpact"
enums = { on = "bool" }
units = { size = "KiB" }

[remote.DOMAIN_GET_DISKS]
method = "Domain::disks"
summary = "Returns all disks"
enums = { "disks.kind" = "DomainState" }
units = { "disks.size" = "ms" }
names = { "disks.kind" = "what" }

[remote.DOMAIN_LOOKUP_BY_NAME]
method = "Connection::domain_by_name"
summary = "Returns the domain of this name"

[remote.DOMAIN_GET_LIMITS]
method = "Domain::limits"
summary = "Returns the limits"
params = "params::Limits"

[remote.DOMAIN_SET_LIMITS]
method = "Domain::set_limits"
summary = "Sets the limits"
params = "params::Limits"

[remote.CONNECT_GET_RECORDS]
method = "Connection::records"
summary = "Returns what is recorded of all domains"
params = "stats::Record"
names = { "records.params" = "stats" }
"#;

#[test]
fn methods_have_types_documentation_and_variants() {
    let spec = read_str("remote_protocol.x", DEFINITIONS).unwrap_or_else(|error| panic!("{error}"));
    let api = Api::read(Path::new("api.toml"), ENTRIES).unwrap();
    let files = emit::objects(&spec, &tables(), &api, false).unwrap_or_else(|error| panic!("{error}"));
    let file = |name: &str| files.iter().find(|file| file.name == name).unwrap().text.as_str();
    for (name, parts) in [
        (
            "objects.rs",
            &[
                "    /// Gives a disk another size.\n    ///\n    \
                 /// Calls `REMOTE_PROC_DOMAIN_RESIZE` (1), C: `virDomainResize`, since libvirt 1.2.3. \
                 Needs `domain:write` (without `VIR_DOMAIN_AFFECT_CONFIG`).\n",
                "    pub async fn resize(&self, disk: impl Into<String>, size_kib: u64, on: bool) -> Result<()> {\n        \
                 self.resize_with(disk, size_kib, on, Default::default()).await\n",
                "    pub async fn resize_with(&self, disk: impl Into<String>, size_kib: u64, on: bool, \
                 flags: enums::DomainModificationImpact) -> Result<()> {\n        \
                 self.connection.client().call(remote::DomainResizeArgs { dom: self.to_wire(), disk: disk.into(), \
                 size: size_kib, on: on.into(), flags: flags.bits() }).await\n",
                "    pub async fn disks(&self) -> Result<Vec<results::NonnullDisk>> {\n",
                "DomainGetDisksArgs { dom: self.to_wire(), need_results: 1, flags: 0 }",
                "        Ok(reply.disks.into_iter().map(|wire| results::NonnullDisk::of(wire, &self.connection)).collect())\n",
                "    pub async fn find_domain_by_name(&self, name: impl Into<String>) -> Result<Option<Domain>> {\n",
                "        Ok(Domain::new(reply.dom, self))\n",
                "    pub async fn limits(&self) -> Result<params::Limits> {\n",
                "        Ok(TypedParams::from_wire(reply.params).into())\n",
                "    /// Takes [`params::Limits`](crate::params::Limits), or other [`TypedParams`](crate::TypedParams).\n",
                "    pub async fn set_limits(&self, params: impl Into<TypedParams>) -> Result<()> {\n",
            ][..],
        ),
        (
            "results.rs",
            &[
                "    /// Target (`target`).\n    pub target: String,\n",
                "    /// Size (`size`).\n    pub size: Duration,\n",
                "    pub what: enums::DomainState,\n",
                "            size: Duration::from_millis(wire.size),\n",
                "            what: enums::DomainState(wire.kind),\n",
                "    pub stats: stats::Record,\n",
                "            stats: TypedParams::from_wire(wire.params).into(),\n",
            ],
        ),
        (
            "ledger.md",
            &[
                "# `remote`: 6 procedures\n",
                "| 1 | `DOMAIN_RESIZE` | [`Domain::resize`](crate::Domain::resize) |\n",
            ],
        ),
    ] {
        for part in parts {
            assert!(file(name).contains(part), "expected\n{part}\nin {name}:\n{}", file(name));
        }
    }
}

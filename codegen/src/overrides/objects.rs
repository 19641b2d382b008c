//! What the definitions do not say about the objects that users hold, and `api.toml` cannot.

/// The structs that are handles, with the object that each becomes.
const HANDLES: [(&str, &str); 14] = [
    ("remote_nonnull_domain", "Domain"),
    ("remote_nonnull_domain_checkpoint", "DomainCheckpoint"),
    ("remote_nonnull_domain_snapshot", "DomainSnapshot"),
    ("remote_nonnull_interface", "Interface"),
    ("remote_nonnull_network", "Network"),
    ("remote_nonnull_network_port", "NetworkPort"),
    ("remote_nonnull_node_device", "NodeDevice"),
    ("remote_nonnull_nwfilter", "NetworkFilter"),
    ("remote_nonnull_nwfilter_binding", "NetworkFilterBinding"),
    ("remote_nonnull_secret", "Secret"),
    ("remote_nonnull_storage_pool", "StoragePool"),
    ("remote_nonnull_storage_vol", "StorageVol"),
    ("admin_nonnull_client", "Client"),
    ("admin_nonnull_server", "Server"),
];

/// Returns the object that a struct is the handle of.
#[must_use]
pub fn handle(wire: &str) -> Option<&'static str> {
    HANDLES.iter().find(|(name, _)| *name == wire).map(|(_, object)| *object)
}

/// The structs that are typed parameters.
const TYPED_PARAMS: [&str; 2] = ["remote_typed_param", "admin_typed_param"];

/// Tells whether a struct is a typed parameter.
#[must_use]
pub fn is_typed_param(wire: &str) -> bool {
    TYPED_PARAMS.contains(&wire)
}

/// The program whose objects are apart from those of the others.
pub const ADMINISTRATION: &str = "admin";

/// The object that is named by a plain `name` in the procedures of its own.
pub const NAMED: (&str, &str) = ("NodeDevice", "name");

/// What fields of bytes are called that have a bit for each CPU.
pub const CPU_MAP: &str = "cpumap";

/// Methods that are written by hand in `src/objects`, with what they do besides calling.
const BY_HAND: [(&str, &str); 26] = [
    ("REMOTE_PROC_DOMAIN_MEMORY_STATS", "names what the tags mean"),
    ("REMOTE_PROC_DOMAIN_RENAME", "returns the handle by its new name"),
    ("REMOTE_PROC_NODE_GET_CPU_STATS", "names what the fields mean"),
    ("REMOTE_PROC_NODE_GET_MEMORY_STATS", "names what the fields mean"),
    ("REMOTE_PROC_DOMAIN_GET_VCPUS", "asks for the sizes of the maps, and takes the maps apart"),
    ("REMOTE_PROC_DOMAIN_GET_VCPU_PIN_INFO", "asks for the sizes of the maps, and takes the maps apart"),
    ("REMOTE_PROC_DOMAIN_GET_EMULATOR_PIN_INFO", "asks for the size of the map"),
    ("REMOTE_PROC_DOMAIN_GET_CPU_STATS", "asks for the sizes, and sorts the numbers by CPU"),
    ("REMOTE_PROC_DOMAIN_GET_BLOCK_JOB_INFO", "has None where no job is found"),
    ("REMOTE_PROC_DOMAIN_GET_TIME", "is a time of Rust's"),
    ("REMOTE_PROC_DOMAIN_SET_TIME", "is a time of Rust's, or another method"),
    ("REMOTE_PROC_DOMAIN_LOOKUP_BY_ID", "takes the number as `Domain::id` gives it"),
    ("REMOTE_PROC_NODE_GET_CPU_MAP", "asks for both results, which are left out otherwise"),
    ("REMOTE_PROC_DOMAIN_OPEN_GRAPHICS", "passes a socket"),
    ("REMOTE_PROC_DOMAIN_OPEN_GRAPHICS_FD", "takes a socket"),
    ("REMOTE_PROC_DOMAIN_CREATE_XML_WITH_FILES", "passes files"),
    ("REMOTE_PROC_DOMAIN_CREATE_WITH_FILES", "passes files"),
    ("REMOTE_PROC_DOMAIN_FD_ASSOCIATE", "passes files"),
    ("QEMU_PROC_DOMAIN_MONITOR_COMMAND_WITH_FILES", "passes and takes files"),
    ("LXC_PROC_DOMAIN_OPEN_NAMESPACE", "takes files"),
    ("REMOTE_PROC_STORAGE_VOL_DOWNLOAD", "opens a data stream"),
    ("REMOTE_PROC_STORAGE_VOL_UPLOAD", "opens a data stream"),
    ("REMOTE_PROC_DOMAIN_SCREENSHOT", "opens a data stream"),
    ("REMOTE_PROC_DOMAIN_OPEN_CONSOLE", "opens a data stream"),
    ("REMOTE_PROC_DOMAIN_OPEN_CHANNEL", "opens a data stream"),
    ("REMOTE_PROC_NETWORK_UPDATE", "gives the arguments in the order that the daemon takes them in"),
];

/// Tells whether a method is written by hand.
#[must_use]
pub fn is_by_hand(procedure: &str) -> bool {
    BY_HAND.iter().any(|(name, _)| *name == procedure)
}

/// Flags that are no condition for what a procedure lists: the same bit means another one there.
const NO_FILTERS: [(&str, &str); 4] = [
    ("REMOTE_PROC_DOMAIN_LIST_ALL_CHECKPOINTS", "VIR_DOMAIN_CHECKPOINT_LIST_DESCENDANTS"),
    ("REMOTE_PROC_DOMAIN_LIST_ALL_SNAPSHOTS", "VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS"),
    ("REMOTE_PROC_DOMAIN_CHECKPOINT_LIST_ALL_CHILDREN", "VIR_DOMAIN_CHECKPOINT_LIST_ROOTS"),
    ("REMOTE_PROC_DOMAIN_SNAPSHOT_LIST_ALL_CHILDREN", "VIR_DOMAIN_SNAPSHOT_LIST_ROOTS"),
];

/// Tells whether a flag is no condition for what a procedure lists.
#[must_use]
pub fn is_no_filter(procedure: &str, flag: &str) -> bool {
    NO_FILTERS.contains(&(procedure, flag))
}

/// Conditions whose names would not be words.
const CONDITIONS: [(&str, &str); 2] =
    [("MANAGEDSAVE", "managed_save"), ("NO_MANAGEDSAVE", "no_managed_save")];

/// Returns the name that replaces the one by rule.
#[must_use]
pub fn condition(flag: &str) -> Option<&'static str> {
    CONDITIONS.iter().find(|(name, _)| *name == flag).map(|(_, rust)| *rust)
}

/// Getters that leave out parameters which are strings, unless a flag says that the client knows these. Others do
/// not have the flag and always give strings.
const ASK_FOR_STRINGS: [&str; 12] = [
    "REMOTE_PROC_DOMAIN_BLOCK_STATS_FLAGS",
    "REMOTE_PROC_DOMAIN_GET_BLKIO_PARAMETERS",
    "REMOTE_PROC_DOMAIN_GET_BLOCK_IO_TUNE",
    "REMOTE_PROC_DOMAIN_GET_CPU_STATS",
    "REMOTE_PROC_DOMAIN_GET_INTERFACE_PARAMETERS",
    "REMOTE_PROC_DOMAIN_GET_LAUNCH_SECURITY_INFO",
    "REMOTE_PROC_DOMAIN_GET_MEMORY_PARAMETERS",
    "REMOTE_PROC_DOMAIN_GET_NUMA_PARAMETERS",
    "REMOTE_PROC_DOMAIN_GET_PERF_EVENTS",
    "REMOTE_PROC_DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS",
    "REMOTE_PROC_NODE_GET_MEMORY_PARAMETERS",
    "REMOTE_PROC_NODE_GET_SEV_INFO",
];

/// Tells whether a getter has to be asked for strings.
#[must_use]
pub fn asks_for_strings(procedure: &str) -> bool {
    ASK_FOR_STRINGS.contains(&procedure)
}

/// Calls after which a domain has another number: that of a domain in the reply, or none.
const NUMBER_DOMAINS: [(&str, Option<&str>); 5] = [
    ("REMOTE_PROC_DOMAIN_CREATE_WITH_FLAGS", Some("dom")),
    ("REMOTE_PROC_DOMAIN_DESTROY_FLAGS", None),
    ("REMOTE_PROC_DOMAIN_MANAGED_SAVE", None),
    ("REMOTE_PROC_DOMAIN_SAVE_FLAGS", None),
    ("REMOTE_PROC_DOMAIN_SAVE_PARAMS", None),
];

/// Returns where a call says the number that a domain has after it, if it changes it.
#[must_use]
pub fn numbers_domain(procedure: &str) -> Option<Option<&'static str>> {
    NUMBER_DOMAINS.iter().find(|(name, _)| *name == procedure).map(|(_, result)| *result)
}

/// Arguments that name a file of the daemon's host, or typed parameters that do. Users mean it from their own working
/// directory.
const PATHS: [(&str, &str); 7] = [
    ("REMOTE_PROC_DOMAIN_CORE_DUMP_WITH_FORMAT", "to"),
    ("REMOTE_PROC_DOMAIN_RESTORE_FLAGS", "from"),
    ("REMOTE_PROC_DOMAIN_RESTORE_PARAMS", "params"),
    ("REMOTE_PROC_DOMAIN_SAVE_FLAGS", "to"),
    ("REMOTE_PROC_DOMAIN_SAVE_IMAGE_DEFINE_XML", "file"),
    ("REMOTE_PROC_DOMAIN_SAVE_IMAGE_GET_XML_DESC", "file"),
    ("REMOTE_PROC_DOMAIN_SAVE_PARAMS", "params"),
];

/// Returns the argument of a call that names a file.
#[must_use]
pub fn path(procedure: &str) -> Option<&'static str> {
    PATHS.iter().find(|(name, _)| *name == procedure).map(|(_, argument)| *argument)
}

/// Texts that the protocol lets be absent and libvirt does not.
const REQUIRED: [(&str, &str); 3] = [
    ("REMOTE_PROC_DOMAIN_DEL_THROTTLE_GROUP", "group"),
    ("REMOTE_PROC_DOMAIN_SET_USER_PASSWORD", "password"),
    ("REMOTE_PROC_DOMAIN_SET_USER_PASSWORD", "user"),
];

/// Tells whether a text has to be there, whatever the protocol says.
#[must_use]
pub fn is_required(procedure: &str, argument: &str) -> bool {
    REQUIRED.contains(&(procedure, argument))
}

/// Results that say nothing: they count what is in a list beside them, are always 0, or are what was given.
const IDLE_RESULTS: [(&str, &str); 4] = [
    ("REMOTE_PROC_DOMAIN_AGENT_SET_RESPONSE_TIMEOUT", "result"),
    ("REMOTE_PROC_DOMAIN_CREATE_WITH_FLAGS", "dom"),
    ("ADMIN_PROC_CONNECT_GET_LOGGING_FILTERS", "nfilters"),
    ("ADMIN_PROC_CONNECT_GET_LOGGING_OUTPUTS", "noutputs"),
];

/// Tells whether a result says nothing.
#[must_use]
pub fn is_idle_result(procedure: &str, field: &str) -> bool {
    IDLE_RESULTS.contains(&(procedure, field))
}

/// Numbers that mean something else for each value of another field: their struct, the number, the type that says what
/// it means, and the other field.
const TOLD_BY: [(&str, &str, &str, &str); 2] = [
    ("remote_domain_event_lifecycle_msg", "detail", "DomainEventDetail", "event"),
    ("remote_domain_get_state_ret", "reason", "DomainStateReason", "state"),
];

/// Returns the type of a number whose meaning another field tells, and that field.
#[must_use]
pub fn told_by(owner: &str, field: &str) -> Option<(&'static str, &'static str)> {
    TOLD_BY
        .iter()
        .find(|(wire, number, ..)| (*wire, *number) == (owner, field))
        .map(|(.., ty, by)| (*ty, *by))
}

/// The events that users get, in families, each with the C enum that numbers its kinds where they are registered one by
/// one, and with what it is about.
pub const EVENTS: [(&str, Option<&str>, &str); 7] = [
    ("DomainEvent", Some("virDomainEventID"), "What happens to domains"),
    ("NetworkEvent", Some("virNetworkEventID"), "What happens to networks"),
    ("StoragePoolEvent", Some("virStoragePoolEventID"), "What happens to storage pools"),
    ("NodeDeviceEvent", Some("virNodeDeviceEventID"), "What happens to devices of the host"),
    ("SecretEvent", Some("virSecretEventID"), "What happens to secrets"),
    ("QemuEvent", None, "What QEMU itself reports"),
    ("ConnectionEvent", None, "What happens to the daemon's own connection to the hypervisor"),
];

/// Structs in results that would have an unfit name by rule.
const RESULT_NAMES: [(&str, &str); 2] = [
    ("remote_domain_fsinfo", "DomainFsInfo"),
    ("remote_storage_vol_get_info_flags_ret", "StorageVolInfoByFlags"),
];

/// Returns the name that replaces the one by rule.
#[must_use]
pub fn result_name(wire: &str) -> Option<&'static str> {
    RESULT_NAMES.iter().find(|(name, _)| *name == wire).map(|(_, rust)| *rust)
}

/// Fields and arguments whose names say less than they could, wherever they are. `api.toml` has the last word.
const FIELDS: [(&str, &str); 48] = [
    ("addr", "address"),
    ("addrs", "addresses"),
    ("clientid", "client_id"),
    ("cmd", "command"),
    ("codeset", "code_set"),
    ("cpumap", "cpus"),
    ("destxml", "destination_xml"),
    ("dev_aliases", "device_aliases"),
    ("devAlias", "device_alias"),
    ("domainXml", "xml"),
    ("doms", "domains"),
    ("dst", "disk"),
    ("dumpformat", "format"),
    ("dxml", "xml"),
    ("emulatorbin", "emulator"),
    ("errs", "errors"),
    ("expirytime", "expires_at"),
    ("fstype", "fs_type"),
    ("holdtime", "hold_time"),
    ("hwaddr", "mac"),
    ("iface", "interface_name"),
    ("iothreads_id", "iothread_id"),
    ("ipaddr", "address"),
    ("maxcells", "cell_count"),
    ("memProcessed", "memory_processed"),
    ("memRemaining", "memory_remaining"),
    ("memTotal", "memory_total"),
    ("mountpoint", "mount_point"),
    ("mountpoints", "mount_points"),
    ("newSrcPath", "new_source_path"),
    ("nsuri", "namespace"),
    ("nvcpus", "count"),
    ("oldSrcPath", "old_source_path"),
    ("pid_value", "pid"),
    ("rd_bytes", "read_bytes"),
    ("rd_req", "read_requests"),
    ("rx_drop", "rx_dropped"),
    ("rx_errs", "rx_errors"),
    ("signum", "signal"),
    ("srcPath", "source_path"),
    ("tx_drop", "tx_dropped"),
    ("tx_errs", "tx_errors"),
    ("type", "kind"),
    ("vcpuid", "vcpu"),
    ("virttype", "virt_type"),
    ("wr_bytes", "write_bytes"),
    ("wr_req", "write_requests"),
    ("xml_desc", "xml"),
];

/// Returns the name that replaces the one by rule.
#[must_use]
pub fn field(wire: &str) -> Option<&'static str> {
    FIELDS.iter().find(|(name, _)| *name == wire).map(|(_, rust)| *rust)
}

/// All fields and arguments that are renamed, which must be there in some struct of the definitions.
pub fn renamed_fields() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|(name, _)| *name)
}

/// All names that must be there in the definitions that `api.toml` was written for.
#[must_use]
pub fn all() -> Vec<&'static str> {
    let first = |(name, _): &(&'static str, &'static str)| *name;
    let told_by = TOLD_BY.iter().map(|(wire, ..)| *wire);
    let numbering = NUMBER_DOMAINS.iter().map(|(name, _)| *name);
    let pairs = HANDLES
        .iter()
        .chain(&BY_HAND)
        .chain(&PATHS)
        .chain(&IDLE_RESULTS)
        .chain(&RESULT_NAMES)
        .chain(&NO_FILTERS)
        .chain(&REQUIRED)
        .map(first);
    pairs.chain(told_by).chain(numbering).chain(TYPED_PARAMS).chain(ASK_FOR_STRINGS).collect()
}

//! The feature `serde`: what public data looks like in JSON, and that it comes back the same from JSON and from a format
//! that nobody reads. The wire types are in `tests/wire/formats.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use libvirt_client::{
    Connection, CpuMap, ErrorCode, ErrorDomain, ErrorLevel, KeepaliveConfig, MigrateOptions, RemoteError,
    TypedParams, TypedValue, Uuid, Version, Waiting,
    enums::*,
    guest, ledger,
    migration::{MigratePhase, MigrateSide, MigrateWhereabouts},
    params::MemoryParameters,
    protocol::remote,
    results::*,
    rpc,
    stats::JobStats,
    testing::Replay,
    uri::{AdminPlan, ClientConfig, Environment, NoFiles, Options, Plan, System},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, from_value, json, to_value};

/// Reads what people write, writes it again, and takes it through bytes on the way.
#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + Debug>(json: Value) -> T {
    let value: T = from_value(json.clone()).unwrap_or_else(|error| panic!("{error}: {json}"));
    let compact = postcard::to_stdvec(&value).unwrap();
    let again: T = postcard::from_bytes(&compact).unwrap();
    assert_eq!(to_value(&again).unwrap(), json);
    value
}

#[track_caller]
fn refused<T: DeserializeOwned + Debug>(json: Value) -> String {
    from_value::<T>(json).unwrap_err().to_string()
}

#[test]
fn enums_are_names_or_numbers() {
    assert_eq!(comes_back::<DomainState>(json!("RUNNING")), DomainState::RUNNING);
    assert_eq!(comes_back::<DomainState>(json!(99)), DomainState(99));
    assert_eq!(comes_back::<DomainState>(json!(-7)), DomainState(-7));
    assert_eq!(comes_back::<ErrorCode>(json!("NO_DOMAIN")), ErrorCode::NO_DOMAIN);
    assert_eq!(comes_back::<ErrorDomain>(json!("QEMU")), ErrorDomain::QEMU);
    assert_eq!(comes_back::<ErrorLevel>(json!("WARNING")), ErrorLevel::WARNING);
    assert_eq!(comes_back::<remote::AuthType>(json!("POLKIT")), remote::AuthType::POLKIT);
    let procedure = comes_back::<remote::Procedure>(json!("DOMAIN_GET_INFO"));
    assert_eq!(procedure, remote::Procedure::DOMAIN_GET_INFO);

    // A number is taken where there is a name, too; the same in text, since keys of maps are that.
    assert_eq!(from_value::<DomainState>(json!(1)).unwrap(), DomainState::RUNNING);
    comes_back::<BTreeMap<DomainState, u32>>(json!({"RUNNING": 2, "99": 1}));
    assert_eq!(
        refused::<DomainState>(json!("RUNING")),
        "invalid value: string \"RUNING\", expected the name of a DomainState or its number"
    );
    assert!(refused::<DomainState>(json!(1_u64 << 40)).contains("expected the name"));
    assert!(refused::<DomainState>(json!(true)).contains("expected the name"));
    assert_eq!(postcard::to_stdvec(&DomainState::RUNNING).unwrap(), postcard::to_stdvec(&1_i32).unwrap());
}

#[test]
fn plans_are_data() {
    let environment = Environment::new(System::Linux, 1000, &NoFiles);
    for uri in [
        "qemu:///system",
        "qemu+unix:///system?socket=/a#b",
        "qemu+tcp://[::1]/system",
        "qemu://h/system?no_verify=1",
        "qemu+libssh2://u@h:7/system?sshauth=agent,password",
        "qemu+ssh://h/system?command=/a&proxy=native",
        "qemu+ext:///system?command=/a",
    ] {
        let plan = Plan::new(uri, Options::default(), &environment).unwrap();
        assert_eq!(comes_back::<Plan>(to_value(&plan).unwrap()), plan);
    }
    let plan = AdminPlan::new("libvirtd:///system", &environment).unwrap();
    assert_eq!(comes_back::<AdminPlan>(to_value(&plan).unwrap()), plan);
    let config = ClientConfig::parse(b"uri_default = 'a'\nuri_aliases = ['a=qemu:///system']").unwrap();
    assert_eq!(comes_back::<ClientConfig>(to_value(&config).unwrap()), config);
    comes_back::<Options>(json!({"read_only": true, "system_ssh": false}));
}

#[test]
fn flags_are_names_and_bits() {
    let flags = comes_back::<DomainCreateFlags>(json!("PAUSED | AUTODESTROY | 0x40000000"));
    assert_eq!(flags.bits(), 1 << 30 | 3);
    assert_eq!(comes_back::<DomainCreateFlags>(json!("")), DomainCreateFlags::empty());
    assert_eq!(from_value::<DomainCreateFlags>(json!(3)).unwrap().bits(), 3);
    assert_eq!(from_value::<DomainCreateFlags>(json!("NONE|PAUSED")).unwrap(), DomainCreateFlags::PAUSED);
    let all = DomainStatsTypes::from_bits_retain(u32::MAX);
    assert_eq!(from_value::<DomainStatsTypes>(to_value(all).unwrap()).unwrap(), all);
    assert!(
        refused::<DomainCreateFlags>(json!("PAUSED | NOW")).contains("expected names of DomainCreateFlags")
    );
    assert!(refused::<DomainCreateFlags>(json!(-1)).contains("expected names of DomainCreateFlags"));
    assert!(refused::<DomainCreateFlags>(json!(1_u64 << 32)).contains("expected names"));
    assert_eq!(postcard::to_stdvec(&flags).unwrap(), postcard::to_stdvec(&flags.bits()).unwrap());
}

#[test]
fn uuids_and_cpu_maps_are_text() {
    let text = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0";
    assert_eq!(comes_back::<Uuid>(json!(text)), text.parse().unwrap());
    assert!(refused::<Uuid>(json!("4dea22b3")).contains("32 hexadecimal digits"));
    assert_eq!(comes_back::<CpuMap>(json!("0-3,7")), CpuMap::from([0, 1, 2, 3, 7]));
    assert_eq!(comes_back::<CpuMap>(json!("")), CpuMap::default());
    assert!(refused::<CpuMap>(json!("0-4294967295")).contains("below 16384"));
    let too_short = postcard::to_stdvec(&[0_u8; 15].as_slice()).unwrap();
    assert!(postcard::from_bytes::<Uuid>(&too_short).is_err());
}

#[test]
fn typed_parameters_keep_order_repetition_and_types() {
    let params = comes_back::<TypedParams>(json!([
        {"name": "int", "type": "i32", "value": -1},
        {"name": "uint", "type": "u32", "value": 2},
        {"name": "llong", "type": "i64", "value": i64::MIN},
        {"name": "ullong", "type": "u64", "value": u64::MAX},
        {"name": "double", "type": "f64", "value": 0.1},
        {"name": "boolean", "type": "bool", "value": true},
        {"name": "disk", "type": "string", "value": "vda"},
        {"name": "disk", "type": "string", "value": "vdb"},
    ]));
    let expected = TypedParams::new()
        .with("int", -1)
        .with("uint", 2_u32)
        .with("llong", i64::MIN)
        .with("ullong", u64::MAX)
        .with("double", 0.1)
        .with("boolean", true)
        .with("disk", "vda")
        .with("disk", "vdb");
    assert_eq!(params, expected);
    // People may write the fields in any order, and whole numbers for fractions.
    let any_order = json!([{"value": 1, "type": "f64", "name": "double"}]);
    assert_eq!(from_value::<TypedParams>(any_order).unwrap(), TypedParams::from([("double", 1.0)]));
    assert!(refused::<TypedParams>(json!([{"name": "uint", "type": "u32", "value": -1}])).contains("-1"));
    assert!(refused::<TypedParams>(json!([{"name": "uint", "type": "u16", "value": 1}])).contains("u16"));
    assert_eq!(comes_back::<TypedValue>(json!({"type": "u64", "value": 2048})), TypedValue::U64(2048));
}

#[test]
fn results_come_back() {
    let second = json!({"secs": 1, "nanos": 500_000_000});
    let info = comes_back::<DomainInfo>(json!({
        "state": "RUNNING", "max_memory_kib": 2, "memory_kib": 1, "vcpus": 1, "cpu_time": second
    }));
    assert_eq!((info.state, info.cpu_time), (DomainState::RUNNING, Duration::from_millis(1500)));
    comes_back::<DomainStateInfo>(json!({"state": "SHUTOFF", "reason": {"shutoff": "SHUTDOWN"}}));
    comes_back::<DomainControlInfo>(json!({"state": "OK", "details": "NONE", "state_time": second}));
    let stats = TypedParams::new().with("time_elapsed", 7_u64).with("operation", 6_i32);
    let job = comes_back::<DomainJobStats>(json!({"kind": "UNBOUNDED", "stats": JobStats::from(stats)}));
    assert_eq!(job.stats.operation, Some(DomainJobOperation::SNAPSHOT));
    comes_back::<DomainJobInfo>(json!({
        "kind": "NONE", "time_elapsed": second, "time_remaining": second,
        "data_total": 1, "data_processed": 2, "data_remaining": 3,
        "memory_total": 4, "memory_processed": 5, "memory_remaining": 6,
        "file_total": 7, "file_processed": 8, "file_remaining": 9
    }));
    let iothread = comes_back::<DomainIothreadInfo>(json!({"iothread_id": 1, "cpus": "0,2"}));
    assert_eq!(iothread.cpus, CpuMap::from([0, 2]));
    comes_back::<DomainSecurityLabel>(json!({"label": "none", "enforcing": true}));
    comes_back::<DomainSchedulerType>(json!({"kind": "posix", "nparams": 3}));
    comes_back::<DomainDiskError>(json!({"disk": "vda", "error": "NO_SPACE"}));
    comes_back::<DomainBlockInfo>(json!({"allocation": 1, "capacity": 2, "physical": 3}));
    comes_back::<DomainBlockStats>(
        json!({"read_requests": 1, "read_bytes": 2, "write_requests": 3, "write_bytes": 4, "errors": null}),
    );
    comes_back::<DomainInterfaceStats>(json!({
        "rx_bytes": 1, "rx_packets": 2, "rx_errors": 3, "rx_dropped": 4,
        "tx_bytes": 5, "tx_packets": 6, "tx_errors": 7, "tx_dropped": null
    }));
    comes_back::<DomainFsInfo>(
        json!({"mount_point": "/", "name": "vda1", "fs_type": "ext4", "device_aliases": ["vda"]}),
    );
    let interface = comes_back::<DomainInterface>(json!({
        "name": "lo", "mac": null, "addresses": [{"kind": "IPV4", "address": "127.0.0.1", "prefix": 8}]
    }));
    assert_eq!(interface.addresses[0].kind, IpAddrType::IPV4);
    comes_back::<NetworkDhcpLease>(json!({
        "interface_name": "virbr0", "expires_at_s": 1, "kind": "IPV6", "mac": "52:54:00:12:34:56", "iaid": null,
        "address": "::1", "prefix": 64, "hostname": "web", "client_id": null
    }));
    comes_back::<StoragePoolInfo>(
        json!({"state": "RUNNING", "capacity": 3, "allocation": 1, "available": 2}),
    );
    comes_back::<StorageVolInfo>(json!({"kind": "FILE", "capacity": 2, "allocation": 1}));
    comes_back::<StorageVolInfoByFlags>(json!({"kind": "BLOCK", "capacity": 2, "allocation": 1}));
    comes_back::<NodeInfo>(json!({
        "model": "x86_64", "memory_kib": 1, "cpus": 2, "mhz": 3, "nodes": 1, "sockets": 1, "cores": 2, "threads": 1
    }));
    comes_back::<NodeSecurityModel>(json!({"model": "selinux", "doi": "0"}));
    comes_back::<NodeCpuMap>(json!({"cpus": 4, "online": "0-3"}));
    comes_back::<Vcpu>(
        json!({"number": 0, "state": "RUNNING", "cpu_time": second, "cpu": null, "allowed": "0-3"}),
    );
    comes_back::<DomainBlockJob>(json!({"kind": "COPY", "bandwidth": 0, "current": 1, "end": 2}));
}

#[test]
fn what_guests_tell_comes_back() {
    let found: guest::GuestAddress = comes_back(json!({
        "address": "192.168.122.9", "prefix": 24, "mac": "52:54:00:00:00:01", "interface": "eth0",
        "sources": ["AGENT", "LEASE"],
    }));
    assert!(found.address.is_ipv4() && found.sources[1] == DomainInterfaceAddressesSource::LEASE);
    let output: guest::ExecOutput = comes_back(json!({
        "status": {"exited": 3}, "stdout": [104, 105], "stderr": [], "stdout_truncated": true, "stderr_truncated": false,
    }));
    assert_eq!((output.status, output.stdout.as_slice()), (guest::ExecStatus::Exited(3), &b"hi"[..]));
    // As the agent itself tells it, but for what nobody asks for.
    let info: guest::AgentInfo = comes_back(json!({
        "version": "7.2.17", "supported_commands": [{"name": "guest-exec", "enabled": false}],
    }));
    assert!(!info.allows("guest-exec"));
}

#[test]
fn settings_come_back() {
    let keepalive = comes_back::<KeepaliveConfig>(json!({"interval": {"secs": 5, "nanos": 0}, "count": 5}));
    assert_eq!(keepalive, KeepaliveConfig::default());
    let config = comes_back::<rpc::Config>(
        json!({"in_flight": 8, "call_timeout": null, "event_queue": 16, "stream_buffer": 65536}),
    );
    assert_eq!((config.in_flight, config.event_queue, config.stream_buffer), (8, 16, 65536));
    let config: rpc::Config = from_value(json!({"in_flight": 8})).unwrap();
    assert_eq!((config.in_flight, config.event_queue), (8, 1024), "the rest is as by default");
    assert_eq!(comes_back::<Waiting>(json!("for_answer")), Waiting::ForAnswer);
}

#[test]
fn errors_and_the_ledger_are_written() {
    let mut error = RemoteError::new(
        "REMOTE_PROC_DOMAIN_GET_INFO",
        ErrorCode::NO_DOMAIN,
        ErrorDomain::TEST,
        ErrorLevel::ERROR,
    );
    error.message = Some("no domain".to_owned());
    assert_eq!(
        to_value(&error).unwrap(),
        json!({
            "procedure": "REMOTE_PROC_DOMAIN_GET_INFO", "code": "NO_DOMAIN", "domain": "TEST", "level": "ERROR",
            "message": "no domain", "about_domain": null, "about_network": null,
            "strings": [null, null, null], "numbers": [0, 0], "since": null
        })
    );
    let entry = ledger::entries().find(|entry| entry.name == "REMOTE_PROC_DOMAIN_GET_INFO").unwrap();
    let written = to_value(entry).unwrap();
    assert_eq!((&written["number"], &written["becomes"]), (&json!(16), &json!({"method": "Domain::info"})));
    let all = to_value(ledger::entries().collect::<Vec<_>>()).unwrap();
    assert_eq!(all.as_array().map(Vec::len), Some(483));
}

#[test]
fn migrations_are_described() {
    let options: MigrateOptions = from_value(json!({"flags": "LIVE | PERSIST_DEST", "parameters": {
        "migrate_uri": "tcp://there", "bandwidth_mib_per_s": 100
    }}))
    .unwrap();
    let expected =
        MigrateOptions::live().persist_destination().migrate_uri("tcp://there").bandwidth_mib_per_s(100);
    assert_eq!(options, expected);
    assert_eq!(from_value::<MigrateOptions>(to_value(&options).unwrap()).unwrap(), options);
    assert_eq!(comes_back::<MigratePhase>(json!("perform")), MigratePhase::Perform);
    assert_eq!(comes_back::<MigrateSide>(json!("destination")), MigrateSide::Destination);
    assert_eq!(comes_back::<MigrateWhereabouts>(json!("post_copy")), MigrateWhereabouts::PostCopy);
}

#[test]
fn parameters_by_name_are_written_and_read() {
    let params = TypedParams::new().with("hard_limit", 700_000_u64).with("of a newer libvirt", true);
    let memory = MemoryParameters::from(params.clone());
    let written = to_value(&memory).unwrap();
    assert_eq!(written["hard_limit_kib"], json!(700_000));
    assert_eq!(written["rest"][0]["name"], json!("of a newer libvirt"));
    let read: MemoryParameters = from_value(written).unwrap();
    assert_eq!(TypedParams::from(read), params);
    // What a configuration does not mention is not set.
    let read: MemoryParameters = from_value(json!({"hard_limit_kib": 5})).unwrap();
    assert_eq!(read, MemoryParameters { hard_limit_kib: Some(5), ..MemoryParameters::default() });
    assert_eq!(to_value(Version::new(9, 7, 0)).unwrap(), json!("9.7.0"));
    assert_eq!(from_value::<Version>(json!("9.7.0")).unwrap(), Version::new(9, 7, 0));
}

#[tokio::test]
async fn events_are_written_by_family_and_kind() {
    let replay = Replay::parse(include_str!("../fixtures/recordings/tour.rec")).unwrap();
    let name = "test:///default".to_owned();
    let connection = Connection::builder(&name).open_over(replay.start(), name).await.unwrap();
    let mut events = connection.events().domain_lifecycle().subscribe().await.unwrap();
    for domain in connection.domains().await.unwrap() {
        domain.info().await.unwrap();
    }
    connection.capabilities().await.unwrap();
    let event = to_value(events.next().await.unwrap().unwrap()).unwrap();
    let lifecycle = &event["domain"]["lifecycle"];
    assert_eq!(lifecycle["domain"]["name"], json!("web"));
    assert_eq!(lifecycle["event"], json!("SUSPENDED"));
    assert_eq!(lifecycle["detail"], json!({"suspended": "PAUSED"}));
}

#[tokio::test]
async fn handles_are_written_as_what_they_are_known_by() {
    let replay = Replay::parse(include_str!("../fixtures/recordings/tour.rec")).unwrap();
    let name = "test:///default".to_owned();
    let connection = Connection::builder(&name).open_over(replay.start(), name).await.unwrap();
    let domains = connection.domains().await.unwrap();
    let written = to_value(&domains).unwrap();
    for (domain, written) in domains.iter().zip(written.as_array().unwrap()) {
        let expected = json!({"name": domain.name(), "uuid": domain.uuid().to_string(), "id": domain.id()});
        assert_eq!(*written, expected);
    }
    assert!(!domains.is_empty());
}

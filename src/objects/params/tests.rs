use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use arbtest::arbitrary::{Result, Unstructured};

use super::{
    declare::{Micros, Millis, Secs, ZeroOrOne, params},
    *,
};
use crate::{
    TypedParams, TypedValue,
    enums::DomainState,
    stats::{BlockStats, CpuStats, DomainStats, GuestInfo, JobStats},
};

params! {
    /// Has one of each.
    pub struct Sample {
        /// Plain.
        limit_kib: u64 = "limit",
        /// With a sign.
        quota: i64 = "quota",
        /// Narrow.
        weight: u32 = "weight",
        /// Narrow, with a sign.
        level: i32 = "level",
        /// A text.
        name: String = "name",
        /// A fraction.
        load: f64 = "load",
        /// A truth value.
        enabled: bool = "enabled",
        /// A truth value in disguise.
        merge: bool as ZeroOrOne = "merge",
        /// An enum.
        state: DomainState = "state.state",
        /// A time.
        period: Duration as Micros = "period",
        /// A time in few bits.
        pause: Duration as Millis<i32> = "pause",
        /// A moment.
        since: SystemTime as Secs = "since",
        /// How many there are.
        disk_count: u32 = "disk.count",
    }
    lists {
        /// Several.
        tags: String = "tag",
    }
    groups {
        /// Numbered.
        disks: SampleDisk = "disk.",
    }
    parts {
        /// A struct.
        cpu: CpuStats = "cpu.",
        /// Whatever it is.
        other: TypedParams = "other.",
    }
}

params! {
    /// One of many.
    pub struct SampleDisk[number] {
        /// A number.
        reads: u64 = "rd.reqs",
    }
    groups {
        /// Numbered in turn.
        parts: SamplePart = "part.",
    }
}

params! {
    /// One of many in one of many.
    pub struct SamplePart[number] {
        /// A text.
        alias: String = "alias",
    }
}

/// Names and values, whatever the order and the type of the integers.
fn content(params: &TypedParams) -> Vec<(String, String)> {
    let mut content: Vec<_> =
        params.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
    content.sort();
    content
}

#[track_caller]
fn there_and_back<T: From<TypedParams> + Into<TypedParams> + Clone>(params: &TypedParams) -> T {
    let made = T::from(params.clone());
    assert_eq!(content(&made.clone().into()), content(params));
    made
}

fn all() -> Sample {
    Sample {
        limit_kib: Some(u64::MAX),
        quota: Some(-1),
        weight: Some(500),
        level: Some(-2),
        name: Some("web".to_owned()),
        load: Some(0.5),
        enabled: Some(true),
        merge: Some(true),
        state: Some(DomainState::RUNNING),
        period: Some(Duration::from_micros(100_000)),
        pause: Some(Duration::from_millis(20)),
        since: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        disk_count: Some(1),
        tags: vec!["first".to_owned(), "second".to_owned()],
        disks: vec![SampleDisk {
            number: 3,
            reads: Some(7),
            parts: vec![SamplePart { number: 1, alias: Some("vda".to_owned()), ..Default::default() }],
            ..Default::default()
        }],
        cpu: TypedParams::new().with("cpu_time", 9_u64).into(),
        other: TypedParams::new().with("x.sum", 1_u64),
        rest: TypedParams::new().with("newer", true),
    }
}

#[test]
fn each_value_goes_to_the_wire_in_the_type_that_is_declared() {
    let params = TypedParams::from(all());
    let values: BTreeMap<&str, &TypedValue> = params.iter().collect();
    assert_eq!(values.len() + 1, params.len(), "two tags");
    for (name, value) in [
        ("limit", TypedValue::U64(u64::MAX)),
        ("quota", TypedValue::I64(-1)),
        ("weight", TypedValue::U32(500)),
        ("level", TypedValue::I32(-2)),
        ("name", TypedValue::String("web".to_owned())),
        ("load", TypedValue::F64(0.5)),
        ("enabled", TypedValue::Bool(true)),
        ("merge", TypedValue::U32(1)),
        ("state.state", TypedValue::I32(1)),
        ("period", TypedValue::U64(100_000)),
        ("pause", TypedValue::I32(20)),
        ("since", TypedValue::U64(1_700_000_000)),
        ("disk.count", TypedValue::U32(1)),
        ("disk.3.rd.reqs", TypedValue::U64(7)),
        ("disk.3.part.1.alias", TypedValue::String("vda".to_owned())),
        ("cpu.cpu_time", TypedValue::U64(9)),
        ("other.x.sum", TypedValue::U64(1)),
        ("newer", TypedValue::Bool(true)),
    ] {
        assert_eq!(values.get(name), Some(&&value), "{name}");
    }
    assert_eq!(there_and_back::<Sample>(&params), all());
    assert_eq!(TypedParams::from(Sample::default()), TypedParams::new(), "what is not said is not sent");
}

#[test]
fn integers_of_other_types_are_taken_where_they_fit() {
    let params = TypedParams::new()
        .with("limit", 1_i32)
        .with("quota", 2_u32)
        .with("weight", 3_i64)
        .with("level", 4_u64)
        .with("state.state", 5_u32)
        .with("period", 6_i32);
    let sample: Sample = there_and_back(&params);
    assert_eq!(
        sample,
        Sample {
            limit_kib: Some(1),
            quota: Some(2),
            weight: Some(3),
            level: Some(4),
            state: Some(DomainState(5)),
            period: Some(Duration::from_micros(6)),
            ..Default::default()
        }
    );
}

#[test]
fn what_does_not_fit_is_kept() {
    for (name, value) in [
        ("limit", TypedValue::I64(-1)),
        ("limit", TypedValue::String("much".to_owned())),
        ("limit", TypedValue::F64(1.0)),
        ("limit", TypedValue::Bool(true)),
        ("weight", TypedValue::U64(1 << 32)),
        ("level", TypedValue::U32(1 << 31)),
        ("name", TypedValue::U32(1)),
        ("load", TypedValue::U32(1)),
        ("enabled", TypedValue::I32(1)),
        ("merge", TypedValue::U32(2)),
        ("state.state", TypedValue::U64(1 << 40)),
        ("period", TypedValue::I64(-1)),
        ("since", TypedValue::U64(u64::MAX)),
        ("tag", TypedValue::U32(1)),
        ("disk.count", TypedValue::String("two".to_owned())),
        ("unknown", TypedValue::U32(1)),
        ("", TypedValue::U32(1)),
        // Of numbers there is one spelling, and names of groups have something behind it.
        ("disk.01.rd.reqs", TypedValue::U64(1)),
        ("disk.+1.rd.reqs", TypedValue::U64(1)),
        ("disk.-1.rd.reqs", TypedValue::U64(1)),
        ("disk.4294967296.rd.reqs", TypedValue::U64(1)),
        ("disk..rd.reqs", TypedValue::U64(1)),
        ("disk.1", TypedValue::U64(1)),
        ("disk.one.rd.reqs", TypedValue::U64(1)),
    ] {
        let params = TypedParams::from([(name, value)]);
        let sample: Sample = there_and_back(&params);
        assert_eq!(sample, Sample { rest: params, ..Default::default() }, "{name}");
    }
}

#[test]
fn the_first_of_a_name_counts_and_the_others_are_kept() {
    let params = TypedParams::new().with("limit", "none").with("limit", 1_u64).with("limit", 2_u64);
    let sample: Sample = there_and_back(&params);
    assert_eq!(sample.limit_kib, Some(1));
    assert_eq!(sample.rest, TypedParams::new().with("limit", "none").with("limit", 2_u64));
}

#[test]
fn groups_are_sorted_by_their_numbers_whatever_their_order() {
    let params = TypedParams::new()
        .with("disk.10.rd.reqs", 10_u64)
        .with("disk.2.part.1.alias", "second")
        .with("disk.2.newer", true)
        .with("disk.4294967295.rd.reqs", 11_u64)
        .with("disk.2.part.0.alias", "first")
        .with("disk.2.part.0.x", 1)
        .with("disk.0.rd.reqs", 0_u64)
        .with("disk.2.rd.reqs", "none")
        .with("disk.2.", 5);
    let sample: Sample = there_and_back(&params);
    let disks: Vec<_> = sample.disks.iter().map(|disk| (disk.number, disk.reads)).collect();
    assert_eq!(disks, [(0, Some(0)), (2, None), (10, Some(10)), (u32::MAX, Some(11))]);
    let second = sample.disks.get(1).unwrap();
    let parts: Vec<_> = second.parts.iter().map(|part| (part.number, part.alias.as_deref())).collect();
    assert_eq!(parts, [(0, Some("first")), (1, Some("second"))]);
    assert_eq!(second.rest, TypedParams::new().with("newer", true).with("rd.reqs", "none").with("", 5_i32));
    assert_eq!(second.parts.first().unwrap().rest, TypedParams::new().with("x", 1));
    assert!(sample.rest.is_empty());
}

/// As a domain has that is shut off: five values for each, which take less memory than its struct.
#[test]
fn all_of_many_disks_have_their_structs() {
    let mut params = TypedParams::new().with("block.count", 200_u32);
    for number in 0..200 {
        params.push(format!("block.{number}.name"), format!("vd{number}"));
        params.push(format!("block.{number}.path"), format!("/images/{number}.qcow2"));
        for size in ["allocation", "capacity", "physical"] {
            params.push(format!("block.{number}.{size}"), 1_u64 << 30);
        }
    }
    let stats: DomainStats = there_and_back(&params);
    assert_eq!(stats.blocks.len(), 200);
    assert!(stats.blocks.iter().all(|block| block.capacity.is_some() && block.rest.is_empty()));
    assert!(stats.rest.is_empty());
}

#[test]
fn times_that_are_too_long_become_the_longest() {
    let sample = Sample {
        period: Some(Duration::MAX),
        pause: Some(Duration::from_secs(1 << 40)),
        since: Some(SystemTime::UNIX_EPOCH - Duration::from_secs(1)),
        ..Default::default()
    };
    let expected = TypedParams::new().with("period", u64::MAX).with("pause", i32::MAX).with("since", 0_u64);
    assert_eq!(TypedParams::from(sample), expected);
}

#[test]
fn only_what_is_there_is_shown() {
    assert_eq!(format!("{:?}", Sample::default()), "Sample");
    let sample = Sample { limit_kib: Some(1), disks: all().disks, ..Default::default() };
    assert_eq!(
        format!("{sample:?}"),
        "Sample { limit_kib: 1, disks: [SampleDisk { number: 3, reads: 7, \
         parts: [SamplePart { number: 1, alias: \"vda\" }] }] }"
    );
}

/// Any names made of these, with any values: nothing may be lost on the way there and back.
#[test]
fn nothing_is_lost_of_anything() {
    const PIECES: [&str; 24] = [
        "vcpu.",
        "net.",
        "block.",
        "perf.",
        "cpu.",
        "cache.monitor.",
        "bank.",
        "dirtyrate.",
        "state.",
        "fs.",
        "disk.",
        "0.",
        "1.",
        "01.",
        "7.",
        "count",
        "state",
        "time",
        "name",
        "rd.reqs",
        "bytes",
        "limit",
        "tag",
        "disk.3.",
    ];
    fn value(u: &mut Unstructured<'_>) -> Result<TypedValue> {
        Ok(match u.int_in_range(0..=6)? {
            0 => TypedValue::I32(u.arbitrary()?),
            1 => TypedValue::U32(u.int_in_range(0..=2)?),
            2 => TypedValue::I64(u.arbitrary()?),
            3 => TypedValue::U64(u.arbitrary()?),
            4 => TypedValue::F64(u.int_in_range(0..=9).map(f64::from)?),
            5 => TypedValue::Bool(u.arbitrary()?),
            _ => TypedValue::String((*u.choose(&PIECES)?).to_owned()),
        })
    }
    arbtest::arbtest(|u| {
        let mut params = TypedParams::new();
        for _ in 0..u.int_in_range(0..=30)? {
            let pieces = u.int_in_range(1..=4)?;
            let name = (0..pieces).map(|_| u.choose(&PIECES).copied()).collect::<Result<String>>()?;
            params.push(name, value(u)?);
        }
        there_and_back::<Sample>(&params);
        there_and_back::<DomainStats>(&params);
        there_and_back::<GuestInfo>(&params);
        there_and_back::<MigrationParameters>(&params);
        Ok(())
    })
    .budget_ms(300);
}

/// Makes a struct, and returns what that has no field for.
type Rest = fn(TypedParams) -> TypedParams;

macro_rules! families {
    ($($prefix:literal: $name:ident,)*) => {
        &[$(($prefix, |params| $name::from(params).rest),)*]
    };
}

/// The structs whose fields are called by C macros that begin so.
const FAMILIES: &[(&str, Rest)] = families! {
    "VIR_CLIENT_INFO_": ClientInfo,
    "VIR_CONNECT_IDENTITY_": Identity,
    "VIR_DOMAIN_BANDWIDTH_": Bandwidth,
    "VIR_DOMAIN_BLKIO_": BlkioParameters,
    "VIR_DOMAIN_BLOCK_COPY_": BlockCopyParameters,
    "VIR_DOMAIN_BLOCK_IOTUNE_": BlockIoTune,
    "VIR_DOMAIN_BLOCK_STATS_": BlockStats,
    "VIR_DOMAIN_CPU_STATS_": CpuStats,
    "VIR_DOMAIN_IOTHREAD_": IothreadParameters,
    "VIR_DOMAIN_JOB_": JobStats,
    "VIR_DOMAIN_LAUNCH_SECURITY_": LaunchSecurityInfo,
    "VIR_DOMAIN_LAUNCH_SECURITY_": LaunchSecurityState,
    "VIR_DOMAIN_MEMORY_": MemoryParameters,
    "VIR_DOMAIN_NUMA_": NumaParameters,
    "VIR_DOMAIN_SAVE_PARAM_": SaveParameters,
    "VIR_DOMAIN_SCHEDULER_": SchedulerParameters,
    "VIR_MIGRATE_PARAM_": MigrationParameters,
    "VIR_NETWORK_PORT_BANDWIDTH_": Bandwidth,
    "VIR_NODE_MEMORY_SHARED_": NodeMemoryParameters,
    "VIR_NODE_SEV_": SevInfo,
    "VIR_SERVER_CLIENTS_": ClientLimits,
    "VIR_THREADPOOL_": ThreadPoolParameters,
};

/// Events' own, what has lists of names and values on the wire, and names that each host has others of.
const NO_STRUCTS: [&str; 4] =
    ["VIR_DOMAIN_TUNABLE_", "VIR_NODE_CPU_STATS_", "VIR_NODE_MEMORY_STATS_", "VIR_PERF_PARAM_"];

#[test]
fn all_names_that_libvirt_has_are_fields() {
    let mut seen = 0;
    for line in include_str!("../../../protocol/names.tsv").lines().filter(|line| !line.starts_with('#')) {
        let [_, c_name, name] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        if NO_STRUCTS.iter().any(|prefix| c_name.starts_with(prefix)) {
            continue;
        }
        let values: [TypedValue; 3] = [1_u32.into(), true.into(), "text".into()];
        let families = FAMILIES.iter().filter(|(prefix, _)| c_name.starts_with(prefix));
        let mut tried = families.flat_map(|(_, rest)| {
            values.iter().map(move |value| rest(TypedParams::from([(name, value.clone())])))
        });
        assert!(tried.any(|rest| rest.is_empty()), "{c_name}, {name}: no field");
        seen += 1;
    }
    assert!(seen > 150, "{seen}");
}

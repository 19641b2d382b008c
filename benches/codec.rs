//! The codec against serde-xdr, on the same data in one run: `cargo bench --bench codec`.

#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a benchmark whose data does not fit has nothing to measure"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use libvirt_client::{
    protocol::remote,
    xdr::{from_bytes, to_vec},
};

/// The types of a domain list as serde-xdr needs them.
mod oracle {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    pub(super) struct List {
        pub(super) domains: Vec<Domain>,
        pub(super) ret: u32,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Domain {
        pub(super) name: String,
        /// Four words and not sixteen bytes, each of which would take a word.
        pub(super) uuid: (u32, u32, u32, u32),
        pub(super) id: i32,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Info {
        pub(super) state: u32,
        pub(super) max_mem: u64,
        pub(super) memory: u64,
        pub(super) nr_virt_cpu: u32,
        pub(super) cpu_time: u64,
    }
}

fn list(domains: u32) -> remote::ConnectListAllDomainsRet {
    let domain = |number: u32| remote::NonnullDomain {
        name: format!("domain-{number:05}"),
        uuid: u128::from(number).to_be_bytes(),
        id: number as i32,
    };
    remote::ConnectListAllDomainsRet { domains: (0..domains).map(domain).collect(), ret: domains }
}

fn domain_list(c: &mut Criterion) {
    let value = list(10_000);
    let bytes = Bytes::from(to_vec(&value).expect("the list is within its bounds"));
    let theirs: oracle::List = serde_xdr::from_bytes(&bytes).expect("serde-xdr reads our bytes");
    assert_eq!(serde_xdr::to_bytes(&theirs).expect("serde-xdr writes what it read"), bytes);

    let mut group = c.benchmark_group("list of 10,000 domains");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("decode", |b| {
        b.iter(|| from_bytes::<remote::ConnectListAllDomainsRet>(black_box(&bytes)).expect("decodes"));
    });
    group.bench_function("decode, serde-xdr", |b| {
        b.iter(|| serde_xdr::from_bytes::<_, oracle::List>(black_box(&bytes)).expect("decodes"));
    });
    group.bench_function("encode", |b| b.iter(|| to_vec(black_box(&value)).expect("encodes")));
    group.bench_function("encode, serde-xdr", |b| {
        b.iter(|| serde_xdr::to_bytes(black_box(&theirs)).expect("encodes"));
    });
    group.finish();
}

fn domain_info(c: &mut Criterion) {
    let value = remote::DomainGetInfoRet {
        state: 1,
        max_mem: 4 << 20,
        memory: 2 << 20,
        nr_virt_cpu: 4,
        cpu_time: 1 << 40,
    };
    let bytes = Bytes::from(to_vec(&value).expect("numbers have no bounds"));
    let theirs: oracle::Info = serde_xdr::from_bytes(&bytes).expect("serde-xdr reads our bytes");

    let mut group = c.benchmark_group("domain info");
    group.bench_function("decode", |b| {
        b.iter(|| from_bytes::<remote::DomainGetInfoRet>(black_box(&bytes)).expect("decodes"));
    });
    group.bench_function("decode, serde-xdr", |b| {
        b.iter(|| serde_xdr::from_bytes::<_, oracle::Info>(black_box(&bytes)).expect("decodes"));
    });
    group.bench_function("encode", |b| b.iter(|| to_vec(black_box(&value)).expect("encodes")));
    group.bench_function("encode, serde-xdr", |b| {
        b.iter(|| serde_xdr::to_bytes(black_box(&theirs)).expect("encodes"));
    });
    group.finish();
}

criterion_group!(benches, domain_list, domain_info);
criterion_main!(benches);

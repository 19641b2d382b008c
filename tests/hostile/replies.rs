//! What a connection holds of replies: those that nobody asked for, and those whose callers take their time.

use std::time::Duration;

use bytes::Bytes;
use libvirt_client::{
    Error,
    enums::DomainStatsTypes,
    protocol::{
        Call, frame,
        net::{MessageError, MessageHeader, MessageStatus, MessageType},
        remote,
    },
    rpc::Config,
    xdr::to_vec,
};

use crate::{
    MIB,
    peer::{LONGEST, Peer, framed, held, held_open, poll_once},
};

#[test]
fn replies_to_nobody_are_not_kept() {
    let daemon = |peer: &mut Peer| {
        let header = MessageHeader {
            prog: remote::PROGRAM.number,
            vers: 1,
            proc: 59,
            type_: MessageType::REPLY,
            serial: 99,
            status: MessageStatus::OK,
        };
        peer.flood(&framed(header, &[0; 64]), 100_000);
        peer.flood(&framed(header, &vec![0; LONGEST - frame::PREFIX]), 4);
    };
    let (_, bytes) = held(Config::default(), daemon, async |client| client.closed().await);
    assert!(bytes < 50 * MIB, "{bytes} bytes were held");
}

/// Callers that are not polled leave their replies where they are: at most as many as there are calls at once.
#[test]
fn callers_that_sleep_hold_a_message_each() {
    let daemon = |peer: &mut Peer| {
        let calls: Vec<_> = (0..4).map(|_| peer.call().0).collect();
        for call in calls {
            peer.send(&framed(
                MessageHeader { type_: MessageType::REPLY, ..call },
                &vec![0; LONGEST - frame::PREFIX],
            ));
        }
        // And nothing more can be asked for.
        peer.0.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let _ = std::io::Read::read(&mut peer.0, &mut [0]);
    };
    let (_, bytes) = held(Config::default(), daemon, async |client| {
        let procedure = remote::ConnectGetHostnameArgs::PROCEDURE;
        let mut calls = Vec::new();
        for _ in 0..16 {
            let mut call = Box::pin(client.call_raw(procedure, Bytes::new(), Vec::new()));
            // Sent, and then not looked at.
            assert!(poll_once(&mut call).await.is_none());
            calls.push(call);
        }
        client.closed().await
    });
    assert!(bytes > 4 * 32 * MIB, "the replies have come: {bytes} bytes were held");
    assert!(bytes < 4 * 33 * MIB + 20 * MIB, "{bytes} bytes were held");
}

/// Each of an error's texts may have 4 MiB, and each byte that is no text becomes three.
#[test]
fn an_error_full_of_nonsense_takes_a_small_multiple_of_its_bytes() {
    let daemon = |peer: &mut Peer| {
        let text = Some("x".repeat(4 << 20));
        let error = MessageError {
            code: 1,
            message: text.clone(),
            str1: text.clone(),
            str2: text.clone(),
            str3: text,
            ..Default::default()
        };
        let mut body = to_vec(&error).unwrap();
        body.iter_mut().filter(|byte| **byte == b'x').for_each(|byte| *byte = 0xff);
        let (call, _) = peer.call();
        let header = MessageHeader { type_: MessageType::REPLY, status: MessageStatus::ERROR, ..call };
        peer.send(&framed(header, &body));
        peer.wait();
    };
    let (error, bytes) = held(Config::default(), daemon, async |client| {
        client.call(remote::ConnectGetHostnameArgs).await.unwrap_err()
    });
    assert!(matches!(error, Error::Remote(_)));
    assert!(bytes < 6 * 16 * MIB, "{bytes} bytes were held of 16 MiB");
}

/// What is small on the wire and large in memory: texts without a letter, and structures around them.
#[test]
fn results_take_a_small_multiple_of_their_bytes() {
    let param = |field: &str| remote::TypedParam {
        field: field.to_owned(),
        value: remote::TypedParamValue::String(String::new()),
    };
    let stats = |params: usize, records: usize| remote::ConnectGetAllDomainStatsRet {
        ret_stats: vec![
            remote::DomainStatsRecord {
                dom: remote::NonnullDomain::default(),
                params: vec![param(""); params],
            };
            records
        ],
    };
    // What the methods make of them besides is in the next test.
    for reply in [stats(4096, 100), stats(0, 16_384), stats(16, 16_384)] {
        let bytes = Bytes::from(to_vec(&reply).unwrap());
        drop(reply);
        let mut decoded = None;
        let info = allocation_counter::measure(|| {
            decoded =
                Some(libvirt_client::xdr::from_bytes::<remote::ConnectGetAllDomainStatsRet>(&bytes).unwrap());
        });
        let factor = info.bytes_max as f64 / bytes.len() as f64;
        println!("{} bytes become {}: {factor:.1} times as many", bytes.len(), info.bytes_max);
        assert!(factor < 8.0, "{factor}");
    }
}

/// A struct for each disk, of which there are as many as the daemon says, with one value each.
#[test]
fn statistics_take_a_small_multiple_of_their_bytes() {
    let (told, sent) = std::sync::mpsc::channel();
    let daemon = move |peer: &mut Peer| {
        let disk = |number| remote::TypedParam {
            field: format!("block.{number}."),
            value: remote::TypedParamValue::Int(0),
        };
        let record = remote::DomainStatsRecord {
            dom: remote::NonnullDomain::default(),
            params: (0..4096).map(disk).collect(),
        };
        let reply = to_vec(&remote::ConnectGetAllDomainStatsRet { ret_stats: vec![record; 64] }).unwrap();
        let call = peer.opening();
        told.send(reply.len() as u64).unwrap();
        peer.send(&framed(MessageHeader { type_: MessageType::REPLY, ..call }, &reply));
        peer.wait();
    };
    let (values, bytes) = held_open(daemon, async |connection| {
        let records = connection.domain_stats(&[], DomainStatsTypes::BLOCK).await.unwrap();
        assert!(records.iter().all(|record| record.stats.blocks.len() > 500));
        records.iter().map(|record| record.stats.blocks.len() + record.stats.rest.len()).sum::<usize>()
    });
    assert_eq!(values, 64 * 4096, "nothing is lost");
    let sent = sent.recv().unwrap();
    let factor = bytes as f64 / sent as f64;
    println!("{sent} bytes become {bytes}: {factor:.1} times as many");
    assert!(factor < 12.0, "{factor}");
}

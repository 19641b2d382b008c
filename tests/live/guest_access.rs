//! A small Linux in QEMU: its addresses found, programs run and files written in it, its file systems at rest; compared with
//! virsh, and with what the guest's own programs say.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use libvirt_client::{
    Connection, Domain, Error,
    enums::DomainInterfaceAddressesSource as Source,
    guest::{ExecStatus, Guest},
};
use serde_json::{Value, json};

use crate::{
    QEMU, examples,
    qemu::BIOS_ONLY,
    qemu_guest::{AGENT, LIMIT, MAC, boot},
    support::{
        Daemon, command, live, live_within,
        machine::{disk, image},
        wait_until,
    },
};

/// Long enough for a guest that starts on a busy machine.
const BOOT: Duration = Duration::from_secs(100);

/// A network, with or without a DHCP server.
fn network(name: &str, number: u8, dhcp: bool) -> String {
    let range = format!("<dhcp><range start='192.168.{number}.2' end='192.168.{number}.99'/></dhcp>");
    format!(
        "<network><name>{name}</name><bridge name='virbr{number}'/>\
         <ip address='192.168.{number}.1' netmask='255.255.255.0'>{}</ip></network>",
        if dhcp { &range } else { "" }
    )
}

fn card(network: &str) -> String {
    format!(
        "<interface type='network'><mac address='{MAC}'/><source network='{network}'/>\
         <model type='virtio'/><rom enabled='no'/></interface>"
    )
}

/// The address that virsh has from a source, without its prefix.
fn virsh_address(daemon: &Daemon, name: &str, source: &str) -> Option<String> {
    let table = daemon.virsh(QEMU, &["domifaddr", name, "--source", source]);
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mine = rows.find(|words| words.get(1) == Some(&MAC) && words.get(2) == Some(&"ipv4"))?;
    mine[3].split('/').next().map(str::to_owned)
}

/// What the agent answers to virsh.
fn virsh_agent(daemon: &Daemon, name: &str, command: &str) -> Value {
    let command = json!({ "execute": command }).to_string();
    let answer = daemon.virsh(QEMU, &["qemu-agent-command", name, &command]);
    serde_json::from_str::<Value>(&answer).unwrap()["return"].take()
}

async fn shell(guest: &Guest, line: &str) -> String {
    let output = guest.exec("/bin/sh").args(["-c", line]).output().await.unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn a_guest_is_found_and_worked_in() {
    live_within(LIMIT, async {
        let daemon = Daemon::builder().virtlogd().networks().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        connection.create_network(network("guests", 91, true)).await.unwrap();
        let domain = boot(&connection, "worker", &card("guests")).await;

        // By the first that knows it, which is the lease; then by the agent.
        let leased = domain.wait_for_address(BOOT).from_sources([Source::LEASE]).ipv4().await.unwrap();
        assert_eq!(virsh_address(&daemon, "worker", "lease"), Some(leased.address.to_string()));
        assert_eq!((leased.prefix, leased.mac.as_deref()), (24, Some(MAC)));
        let guest = domain.guest();
        guest.wait_until_ready(BOOT).await.unwrap();
        let told = domain.wait_for_address(BOOT).from_sources([Source::AGENT]).ipv4().await.unwrap();
        assert_eq!(virsh_address(&daemon, "worker", "agent"), Some(told.address.to_string()));
        assert_eq!((told.address, told.interface.as_str()), (leased.address, "eth0"));
        let any = domain.wait_for_address(BOOT).of_mac(MAC).await.unwrap();
        assert_eq!(any.address, leased.address);
        let all = domain.addresses().await.unwrap();
        let known: Vec<_> = all.iter().filter(|one| one.address == leased.address).collect();
        assert!(known.len() == 1 && known[0].sources.starts_with(&[Source::AGENT, Source::LEASE]), "{all:?}");
        assert!(all.iter().all(|one| !one.address.is_loopback()), "{all:?}");

        guest.ping().await.unwrap();
        let info = guest.agent_info().await.unwrap();
        assert_eq!(json!(info.version), virsh_agent(&daemon, "worker", "guest-info")["version"]);
        assert!(info.allows("guest-exec") && !info.allows("guest-nonsense"));

        let uri = daemon.uri(QEMU);
        let said = examples::run("guest", &[&uri, "worker", "ip"]).expect_success();
        assert!(all.iter().any(|one| one.address.to_string() == said), "{said}");
        let line = "echo out; echo err >&2; exit 3";
        let finished = examples::run("guest", &[&uri, "worker", "run", "sh", "-c", line]);
        assert_eq!(finished.status.code(), Some(3), "{finished}");
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));

        programs(&guest).await;
        files(&daemon, &guest).await;

        // Whoever waits for what does not come is told when the domain stops.
        let waiting = tokio::spawn(domain.wait_for_address(LIMIT).of_interface("none").into_future());
        domain.destroy().await.unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        assert!(error.is_invalid_state(), "{error:?}");
        assert!(guest.ping().await.unwrap_err().is_invalid_state());
    });
}

async fn programs(guest: &Guest) {
    let output = guest.exec("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output().await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(output.status, ExecStatus::Exited(3));
    let killed = guest.exec("sh").args(["-c", "kill -TERM $$"]).output().await.unwrap();
    assert_eq!((killed.status, killed.stdout.len()), (ExecStatus::Signaled(15), 0));

    let input: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let output = guest.exec("/bin/cat").input(input.as_slice()).output().await.unwrap();
    assert!(output.status.success() && output.stdout == input, "what went in came out");
    let output = guest.exec("/bin/env").env("FRUIT", "a pear").output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "FRUIT=a pear\n");
    let output = guest.exec("printf").args(["%s", "$HOME; `id`"]).output().await.unwrap();
    assert_eq!(output.stdout, b"$HOME; `id`", "no shell is between");
    let output = guest.exec("head").args(["-c", "1000000", "/dev/zero"]).output().await.unwrap();
    assert_eq!((output.stdout.len(), output.stdout_truncated), (1_000_000, false));

    let longest: Vec<u8> = input.iter().copied().cycle().take(120 << 10).collect();
    let output = guest.exec("/bin/cat").input(longest.as_slice()).output().await.unwrap();
    assert!(output.stdout == longest, "what went in came out");
    let error = guest.exec("/bin/cat").input(vec![0; 1 << 20]).output().await.unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "the daemon would damage it: {error}");

    let error = guest.exec("/bin/none").output().await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    let sleeper = guest.exec("sleep").arg("4711").start().await.unwrap();
    let error = sleeper.wait(Duration::from_millis(500)).await.unwrap_err();
    assert!(matches!(error, Error::GuestTimeout { .. }), "{error:?}");
    let command = shell(guest, &format!("tr '\\0' ' ' </proc/{}/cmdline", sleeper.pid())).await;
    assert_eq!(command, "sleep 4711", "it runs on");
    shell(guest, &format!("kill -KILL {}", sleeper.pid())).await;
    assert_eq!(sleeper.wait(BOOT).await.unwrap().status, ExecStatus::Signaled(9));
    // The agent tells it once.
    assert!(matches!(sleeper.wait(BOOT).await.unwrap_err(), Error::Qmp { .. }));
}

async fn files(daemon: &Daemon, guest: &Guest) {
    let open = "ls /proc/$(cat /run/agent.pid)/fd | wc -l";
    let before = shell(guest, open).await;
    // Several parts, the last one short, and what is in no text.
    let mut contents: Vec<u8> =
        (0..1_u32 << 20).map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    contents.extend_from_slice(b"the end");
    guest.write_file("/root/file", &contents).await.unwrap();
    let here = daemon.directory().join("contents");
    std::fs::write(&here, &contents).unwrap();
    let mut sum = Command::new("sha256sum");
    sum.arg(&here);
    let sum = command::run(sum, Duration::from_secs(30)).expect_success();
    let theirs = shell(guest, "sha256sum /root/file").await;
    assert_eq!(theirs.split(' ').next(), sum.split(' ').next());
    assert!(guest.read_file("/root/file", contents.len()).await.unwrap() == contents, "it is read back");
    let error = guest.read_file("/root/file", contents.len() - 1).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
    guest.write_file("/root/file", "").await.unwrap();
    assert_eq!(guest.read_file("/root/file", 0).await.unwrap(), b"");
    // Files that do not say how long they are.
    let uptime = guest.read_file("/proc/cpuinfo", 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&uptime).contains("processor"));

    for missing in [
        guest.read_file("/root/none", 1).await.map(drop),
        guest.write_file("/none/file", "x").await,
        guest.open_file("/root/none", "r").await.map(drop),
    ] {
        let error = missing.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
    }
    // One that is dropped is closed by somebody who is not waited for.
    drop(guest.open_file("/etc/passwd", "r").await.unwrap());
    let end = Instant::now() + BOOT;
    while shell(guest, open).await != before {
        assert!(Instant::now() < end, "{before} files were open, and {} are", shell(guest, open).await);
    }
}

#[test]
fn file_systems_are_thawed_whatever_happens() {
    live_within(LIMIT, async {
        let daemon = Daemon::builder().virtlogd().start();
        // One call at a time, so that a call follows those before it.
        let connection = Connection::builder(daemon.uri(QEMU)).max_in_flight(1).open().await.unwrap();
        image(&daemon, "vda.qcow2", "qcow2", "32M");
        let domain = boot(&connection, "still", &disk(&daemon, "vda.qcow2", "qcow2", "vda")).await;
        let guest = domain.guest();
        guest.wait_until_ready(BOOT).await.unwrap();
        let status = || virsh_agent(&daemon, "still", "guest-fsfreeze-status");

        let frozen = guest.freeze().await.unwrap();
        assert_eq!((frozen.count(), status()), (1, json!("frozen")));
        let error = guest.read_file("/etc/passwd", 1000).await.unwrap_err();
        assert!(matches!(&error, Error::Qmp { .. }) && !error.is_unsupported(), "for now: {error:?}");
        assert_eq!((frozen.thaw().await.unwrap(), status()), (1, json!("thawed")));

        let frozen = guest.freeze_only(["/disk"]).await.unwrap();
        assert_eq!(status(), json!("frozen"));
        drop(frozen);
        wait_until(|| status() == "thawed").await;

        for patience in [1, 2, 5, 10, 20, 50] {
            let freezing = tokio::time::timeout(Duration::from_millis(patience), guest.freeze());
            drop(freezing.await);
            // It comes after the freezing, which goes on.
            domain.info().await.unwrap();
            wait_until(|| status() == "thawed").await;
        }
        // Thawing that nobody waits for, too.
        let frozen = guest.freeze().await.unwrap();
        drop(tokio::time::timeout(Duration::ZERO, frozen.thaw()).await);
        wait_until(|| status() == "thawed").await;
        let written = guest.exec("sh").args(["-c", "echo x >/disk/file && sync"]).output().await.unwrap();
        assert!(written.status.success(), "{written:?}");
        domain.destroy().await.unwrap();
    });
}

#[test]
fn where_no_address_and_no_agent_can_come_nobody_waits() {
    live(async {
        let daemon = Daemon::builder().virtlogd().networks().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        connection.create_network(network("plain", 92, false)).await.unwrap();
        connection.create_network(network("leasing", 93, true)).await.unwrap();
        let start = async |devices: &str| -> Domain {
            connection
                .create_domain(BIOS_ONLY.replace("</devices>", &format!("{devices}</devices>")))
                .await
                .unwrap()
        };
        let long = Duration::from_secs(3600);
        let said = |error: &Error, essentials: &[&str]| {
            let said = error.to_string();
            for essential in essentials {
                assert!(said.contains(essential), "{essential:?} is expected in: {said}");
            }
        };

        let lonely = start("").await;
        let error = lonely.wait_for_address(long).await.unwrap_err();
        assert!(error.is_unsupported(), "{error:?}");
        said(&error, &["bios cannot have an address", "agent is not configured", "leases: no interface"]);
        let error = lonely.guest().wait_until_ready(long).await.unwrap_err();
        assert!(error.is_unsupported(), "{error:?}");
        lonely.destroy().await.unwrap();

        let plain = start(&card("plain")).await;
        let error = plain.wait_for_address(long).from_sources([Source::LEASE]).await.unwrap_err();
        said(&error, &["bios cannot have an address", "no DHCP in the network plain"]);
        plain.destroy().await.unwrap();

        // Here they could come, but the BIOS does nothing for it.
        let patience = Duration::from_secs(3);
        let idle = start(&format!("{}{AGENT}", card("leasing"))).await;
        let error = idle.wait_for_address(patience).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        said(&error, &["bios had no address", "agent is not connected", "leases: no address yet"]);
        let error = idle.guest().wait_until_ready(patience).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        said(&error, &["the agent of bios did not answer", "agent is not connected"]);
        // A transient domain is gone when it stops.
        let waiting = tokio::spawn(idle.wait_for_address(long).into_future());
        idle.destroy().await.unwrap();
        let error = waiting.await.unwrap().unwrap_err();
        assert!(error.is_not_found() || error.is_invalid_state(), "{error:?}");
    });
}

//! Consoles, channels and screens, of guests that answer.

use std::time::{Duration, Instant};

use libvirt_client::{
    Connection, Domain, Error,
    enums::{DomainChannelFlags, DomainConsoleFlags},
    streams::GuestStream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    QEMU, TEST,
    lxc::{self, LXC},
    qemu::BIOS_ONLY,
    support::{
        Daemon, PATIENCE, compare::Comparison, guest, live, live_within, machine::machine, wait_until,
    },
};

/// Reads until `expected` has come.
async fn expect(guest: &mut (impl AsyncReadExt + Unpin), expected: &str) {
    let mut said = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&said).contains(expected) {
            let mut chunk = [0; 4096];
            let count = guest.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the guest ended after {:?}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&chunk[..count]);
        }
    };
    if tokio::time::timeout(PATIENCE, reading).await.is_err() {
        panic!("the guest said only {:?}", String::from_utf8_lossy(&said));
    }
}

/// Opens a console that was dropped: the daemon hears of that, but nobody waits until it has.
async fn open_once_it_is_free(domain: &Domain) -> GuestStream {
    let end = Instant::now() + PATIENCE;
    loop {
        match domain.open_console().await {
            Err(error) if Instant::now() < end => drop(error),
            opened => break opened.unwrap(),
        }
    }
}

#[test]
fn a_containers_console_is_talked_to() {
    live(async {
        let daemon = Daemon::builder().lxc().start();
        let connection = Connection::open(daemon.uri(LXC)).await.unwrap();
        let (_, domain) = lxc::with_a_shell(&daemon, &connection).await;

        let mut console = domain.open_console().await.unwrap();
        console.write_all(b"echo $((6 * 7))-there\n").await.unwrap();
        console.flush().await.unwrap();
        expect(&mut console, "42-there").await;

        // This driver has no flags, and none but consoles.
        let mut both = Comparison::of_domain(&daemon, LXC, domain.name());
        let theirs = |arguments| format!("domain.openConsole({arguments})");
        let flags = DomainConsoleFlags::SAFE;
        both.refused(theirs("None, connection.newStream(), 2"), domain.open_console_with(None, flags).await);
        let none = DomainConsoleFlags::empty();
        both.refused(
            theirs("'none', connection.newStream(), 0"),
            domain.open_console_with("none", none).await,
        );
        both.refused("domain.openChannel('none', connection.newStream())", domain.open_channel("none").await);
        both.check();
        console.close().await.unwrap();

        let (mut reader, mut writer) = {
            let mut console = domain.open_console_with("console0", none).await.unwrap();
            console.write_all(b"echo $((2 + 3))-again\n").await.unwrap();
            console.into_split()
        };
        expect(&mut reader, "5-again").await;
        let reading = tokio::spawn(async move {
            expect(&mut reader, "17-half").await;
            reader
        });
        writer.write_all(b"echo $((8 + 9))-half\n").await.unwrap();
        drop(reading.await.unwrap());
        // Whatever is said now is nobody's.
        writer.write_all(b"echo to nobody\n").await.unwrap();
        connection.hostname().await.unwrap();
        writer.close().await.unwrap();
        // Closed or dropped, the next one is let in.
        drop(domain.open_console().await.unwrap());
        let mut last = open_once_it_is_free(&domain).await;
        domain.destroy().await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, last.read_to_end(&mut Vec::new())).await;
        ended.expect("the console of a domain that is gone waits on").ok();
    });
}

#[test]
fn a_guest_under_qemu_is_talked_to_by_console_and_channel() {
    live_within(Duration::from_secs(150), async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let channels = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
                        <channel type='unix'><target type='virtio' name='org.example.echo'/></channel>";
        let xml = machine("talk", 256, &guest::boot(), channels);
        let domain = connection.create_domain(xml).await.unwrap();
        guest::wait_for_agent(&daemon, &domain).await;

        let mut console = domain.open_console().await.unwrap();
        console.write_all(b"\necho $((6 * 7))-there\n").await.unwrap();
        expect(&mut console, "42-there").await;
        // It is taken, unless by force.
        let mut both = Comparison::of_domain(&daemon, QEMU, domain.name());
        let safe = DomainConsoleFlags::SAFE;
        both.refused(
            "domain.openConsole(None, connection.newStream(), 2)",
            domain.open_console_with(None, safe).await,
        );
        both.refused(
            "domain.openConsole('none', connection.newStream(), 0)",
            domain.open_console_with("none", DomainConsoleFlags::empty()).await,
        );
        both.check();
        let force = DomainConsoleFlags::FORCE | safe;
        let mut forced = domain.open_console_with("serial0", force).await.unwrap();
        // Whoever had it hears of its end.
        let ended = tokio::time::timeout(PATIENCE, console.read_to_end(&mut Vec::new())).await;
        ended.expect("who lost the console waits on").ok();
        forced.write_all(b"\necho $((2 + 3))-forced\n").await.unwrap();
        expect(&mut forced, "5-forced").await;
        forced.close().await.unwrap();
        drop(domain.open_console().await.unwrap());
        let console = open_once_it_is_free(&domain).await;

        // The second port is the one that is no agent's. In the guest it is at its end whenever nobody holds the other side.
        let echo = "port=$(echo /dev/vport*p2); exec 3<>$port; while true; do cat <&3 >&3; sleep 1; done";
        guest::run(&domain, echo).await;
        let mut channel = domain.open_channel("org.example.echo").await.unwrap();
        let mut both = Comparison::of_domain(&daemon, QEMU, domain.name());
        both.refused(
            "domain.openChannel('org.example.echo', connection.newStream())",
            domain.open_channel("org.example.echo").await,
        );
        both.refused("domain.openChannel('none', connection.newStream())", domain.open_channel("none").await);
        both.check();
        for round in 0..3 {
            let line = format!("round {round}\n");
            channel.write_all(line.as_bytes()).await.unwrap();
            expect(&mut channel, &line).await;
        }
        let flags = DomainChannelFlags::FORCE;
        let mut forced = domain.open_channel_with("org.example.echo", flags).await.unwrap();
        forced.write_all(b"forced\n").await.unwrap();
        expect(&mut forced, "forced\n").await;
        forced.close().await.unwrap();
        console.close().await.unwrap();
        domain.destroy().await.unwrap();
    });
}

/// Returns the size of a picture in pixels, and how many of them there are when it is decoded.
fn decoded(mime_type: &str, image: &[u8]) -> ((u32, u32), usize) {
    match mime_type {
        "image/png" => {
            let mut reader = png::Decoder::new(std::io::Cursor::new(image)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let frame = reader.next_frame(&mut pixels).unwrap();
            let each = frame.color_type.samples() * frame.bit_depth as usize / 8;
            ((frame.width, frame.height), frame.buffer_size() / each)
        }
        "image/x-portable-pixmap" => {
            let header = image.splitn(4, |byte| byte.is_ascii_whitespace()).collect::<Vec<_>>();
            let number = |place: usize| std::str::from_utf8(header[place]).unwrap().parse::<u32>().unwrap();
            let pixels = header[3].splitn(2, |byte| byte.is_ascii_whitespace()).nth(1).unwrap();
            ((number(1), number(2)), pixels.len() / 3)
        }
        other => panic!("a picture of type {other}"),
    }
}

#[test]
fn a_screen_is_a_picture_that_decodes() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let domain = connection.domain_by_name("test").await.unwrap();
        let screenshot = domain.screenshot(0).await.unwrap();
        assert_eq!(screenshot.mime_type, "image/png");
        let image = screenshot.bytes().await.unwrap();
        let (size, pixels) = decoded("image/png", &image);
        assert_eq!(pixels, size.0 as usize * size.1 as usize);
        let theirs = daemon.directory().join("theirs");
        daemon.virsh(TEST, &["screenshot", "test", &theirs.display().to_string()]);
        assert_eq!(image, std::fs::read(&theirs).unwrap());

        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let video = "<graphics type='vnc' socket='VNC'/><video><model type='vga'/></video></devices>"
            .replace("VNC", &daemon.directory().join("vnc").display().to_string());
        let domain = connection.create_domain(BIOS_ONLY.replace("</devices>", &video)).await.unwrap();
        let mut screenshot = domain.screenshot(0).await.unwrap();
        let mut image = Vec::new();
        screenshot.image.read_to_end(&mut image).await.unwrap();
        let (size, pixels) = decoded(&screenshot.mime_type, &image);
        assert!(size.0 >= 640 && size.1 >= 350, "{size:?}");
        assert_eq!(pixels, size.0 as usize * size.1 as usize);
        let error = domain.screenshot(7).await.unwrap_err();
        assert!(matches!(error, Error::Remote(_)), "{error}");
        domain.destroy().await.unwrap();
        wait_until(|| daemon.virsh(QEMU, &["list", "--name"]).is_empty()).await;
    });
}

//! Open files and sockets that go to the daemon and come from it.

use std::{
    fs::{self, File, OpenOptions},
    io::Read,
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, net::UnixStream},
    },
    time::Duration,
};

use libvirt_client::{Connection, Error};
use serde_json::{Value, json};

use crate::{
    QEMU, TEST,
    lxc::{CONTAINERS, knows_first_process},
    qemu::BIOS_ONLY,
    support::{Daemon, daemon::said, live, wait_until},
    test_domain,
};

/// Describes a container that shares the host's files, greets over what it was started with, and sleeps.
fn container(name: &str, seconds: u32) -> String {
    format!(
        "<domain type='lxc'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type>exe</type><init>/bin/sh</init><initarg>-c</initarg>\
         <initarg>echo from inside >&amp;3; exec sleep {seconds}</initarg></os>\
         <devices><console type='pty'/></devices></domain>"
    )
}

/// Reads with what a VNC server greets its viewers.
fn greeting(viewer: impl Into<UnixStream>) -> String {
    let mut viewer: UnixStream = viewer.into();
    viewer.set_nonblocking(false).unwrap();
    viewer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut greeting = [0; 12];
    viewer.read_exact(&mut greeting).unwrap();
    String::from_utf8_lossy(&greeting).into_owned()
}

#[test]
fn displays_are_opened_over_both_ends() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let display = "<graphics type='vnc' port='-1' autoport='yes'/></devices>";
        let domain = connection.create_domain(BIOS_ONLY.replace("</devices>", display)).await.unwrap();

        let socket = domain.open_graphics_fd(0).await.unwrap();
        assert_eq!(greeting(socket), "RFB 003.008\n");
        let (ours, theirs) = UnixStream::pair().unwrap();
        domain.open_graphics(0, theirs).await.unwrap();
        assert_eq!(greeting(ours), "RFB 003.008\n");

        let error = domain.open_graphics_fd(7).await.unwrap_err();
        let statement = "connection.lookupByName('bios').openGraphicsFD(7, 0)";
        assert_eq!(said(&error), daemon.python_error(QEMU, statement));
        assert!(domain.is_active().await.unwrap(), "the connection goes on");
    });
}

#[test]
fn monitor_commands_take_files() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let domain = connection.create_domain(BIOS_ONLY).await.unwrap();
        let file = File::open("/dev/null").unwrap();
        let command = json!({"execute": "add-fd", "arguments": {"fdset-id": 42, "opaque": "ours"}});
        let (answer, files) =
            domain.qemu_monitor_command_with_files(command.to_string(), [file]).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["return"]["fdset-id"], files.len()), (&json!(42), 0));

        let sets = daemon.virsh(QEMU, &["qemu-monitor-command", "bios", "{\"execute\": \"query-fdsets\"}"]);
        let sets: Value = serde_json::from_str(&sets).unwrap();
        let ours = sets["return"].as_array().unwrap().iter().find(|set| set["fdset-id"] == 42).unwrap();
        assert_eq!(ours["fds"], json!([{"fd": answer["return"]["fd"], "opaque": "ours"}]));
    });
}

#[test]
fn a_disk_is_a_file_that_was_handed_over() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let path = daemon.file("disk.img", "");
        let disk = format!(
            "<disk type='file'><driver name='qemu' type='raw'/><source file='{}' fdgroup='system'/>\
             <target dev='vda' bus='virtio'/></disk></devices>",
            path.display()
        );
        let domain = connection.define_domain(BIOS_ONLY.replace("</devices>", &disk)).await.unwrap();
        let error = domain.start().await.unwrap_err();
        assert!(error.to_string().contains("system"), "there is no such group: {error}");

        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        domain.associate_fds("system", [file]).await.unwrap();
        // The name has gone; the file that was handed over is what QEMU has.
        fs::remove_file(&path).unwrap();
        domain.start().await.unwrap();
        let blocks = daemon.virsh(QEMU, &["qemu-monitor-command", "bios", "{\"execute\": \"query-block\"}"]);
        let blocks: Value = serde_json::from_str(&blocks).unwrap();
        assert_eq!(blocks["return"][0]["inserted"]["image"]["virtual-size"], 1 << 20);
    });
}

#[test]
fn domains_start_with_files() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let files = || [File::open("/dev/null").unwrap(), File::open("/dev/zero").unwrap()];
        let web = connection.create_domain_with_files(test_domain("web"), files()).await.unwrap();
        assert_eq!(daemon.virsh(TEST, &["domstate", "web"]), "running");
        assert_eq!(web.name(), "web");
        let db = connection.define_domain(test_domain("db")).await.unwrap();
        db.start_with_files(files()).await.unwrap();
        assert_eq!(daemon.virsh(TEST, &["domstate", "db"]), "running");

        let error = web.lxc_open_namespace().await.unwrap_err();
        let statement = "import libvirt_lxc; libvirt_lxc.lxcOpenNamespace(connection.lookupByName('web'), 0)";
        assert_eq!(said(&error), daemon.python_error(TEST, statement));
        let many: Vec<OwnedFd> = (0..33).map(|_| File::open("/dev/null").unwrap().into()).collect();
        let error = db.associate_fds("many", many).await.unwrap_err();
        assert!(matches!(error, Error::Encode { .. }), "{error}");
        assert!(db.is_active().await.unwrap(), "the connection goes on");
    });
}

#[test]
fn a_container_gets_a_socket_and_its_namespaces_are_opened() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri("lxc:///system")).await.unwrap();
        let mut attempt = 0;
        let (container, sleeper) = loop {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let xml = container(&format!("c{attempt}"), 4711 + attempt);
            let container = connection.create_domain_with_files(xml, [theirs]).await.unwrap();
            ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut said = [0; 12];
            ours.read_exact(&mut said).unwrap();
            assert_eq!(said, *b"from inside\n");
            if knows_first_process(&container).await {
                break (container, format!("pgrep -x -f 'sleep {}'", 4711 + attempt));
            }
            container.destroy().await.unwrap();
            attempt += 1;
            assert!(attempt < CONTAINERS, "the daemon learnt the first process of none of {attempt}");
        };
        wait_until(|| !daemon.shell(&format!("{sleeper} || true")).is_empty()).await;
        let files = container.lxc_open_namespace().await.unwrap();
        let mut ours: Vec<u64> =
            files.into_iter().map(|file| File::from(file).metadata().unwrap().ino()).collect();
        // What the container's first process is in, by the numbers that name namespaces.
        let mut theirs: Vec<u64> = daemon
            .shell(&format!(
                "stat --dereference --format %i /proc/$({sleeper})/ns/{{ipc,mnt,net,pid,user,uts}}"
            ))
            .lines()
            .map(|number| number.parse().unwrap())
            .collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs);
        container.destroy().await.unwrap();
    });
}

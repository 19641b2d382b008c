//! Devices that come to a running QEMU machine and leave it, its screen, and its monitor.

use std::{io::Read, os::unix::net::UnixStream, time::Duration};

use libvirt_client::{
    Connection,
    enums::{DomainDeviceModifyFlags, DomainQemuMonitorCommandFlags, KeycodeSet},
    protocol::remote,
};

use crate::{
    QEMU,
    support::{
        Daemon,
        compare::Comparison,
        listener::Listener,
        live,
        machine::{image, machine},
        wait_until,
    },
};

/// A disk that can be taken out without the guest's help.
fn usb_disk(daemon: &Daemon, file: &str, target: &str) -> String {
    let path = image(daemon, file, "qcow2", "1M");
    format!(
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/>\
         <target dev='{target}' bus='usb'/></disk>",
        path.display()
    )
}

fn cdrom(source: Option<&str>) -> String {
    let source = source.map(|file| format!("<source file='{file}'/>")).unwrap_or_default();
    format!(
        "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>{source}\
         <target dev='hdc' bus='ide'/><readonly/></disk>"
    )
}

#[test]
fn devices_are_attached_changed_and_detached() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let (medium, other) =
            (image(&daemon, "one.iso", "raw", "64K"), image(&daemon, "other.iso", "raw", "64K"));
        let (medium, other) = (medium.display().to_string(), other.display().to_string());
        let xml = machine("changing", 64, "", &cdrom(Some(&medium)));
        let domain = connection.define_domain(xml).await.unwrap();
        domain.start().await.unwrap();
        let disks = || daemon.virsh(QEMU, &["domblklist", "changing"]);
        let live = DomainDeviceModifyFlags::LIVE;

        let one = usb_disk(&daemon, "sda", "sda");
        domain.attach_device(&one).await.unwrap();
        listener.wait_for("domain changing device-added usb-disk0").await;
        assert!(disks().contains("sda"), "{}", disks());
        let mut both = Comparison::of_domain(&daemon, QEMU, "changing");
        both.same("domain.XMLDesc()", domain.xml().await.unwrap());
        both.refused(format!("domain.attachDevice({one:?})"), domain.attach_device(&one).await);
        both.refused("domain.attachDevice('<disk/>')", domain.attach_device("<disk/>").await);
        both.refused(
            "domain.detachDeviceAlias('none', 1)",
            domain.detach_device_by_alias_with("none", live).await,
        );
        let missing = usb_disk(&daemon, "sdz", "sdz");
        both.refused(format!("domain.detachDevice({missing:?})"), domain.detach_device(&missing).await);
        both.refused(format!("domain.updateDeviceFlags({missing:?}, 1)"), {
            domain.update_device_with(&missing, live).await
        });
        both.check();
        domain.detach_device(&one).await.unwrap();
        listener.wait_for("domain changing device-removed usb-disk0").await;
        assert!(!disks().contains("sda"), "{}", disks());

        let both_now = live | DomainDeviceModifyFlags::CONFIG;
        let other_disk = usb_disk(&daemon, "sdb", "sdb");
        domain.attach_device_with(&other_disk, both_now).await.unwrap();
        listener.wait_for("domain changing device-added usb-disk1").await;
        domain.detach_device_by_alias_with("usb-disk1", live).await.unwrap();
        listener.wait_for("domain changing device-removed usb-disk1").await;
        assert!(daemon.virsh(QEMU, &["domblklist", "--inactive", "changing"]).contains("sdb"));
        domain.detach_device_with(&other_disk, DomainDeviceModifyFlags::CONFIG).await.unwrap();
        assert!(!daemon.virsh(QEMU, &["domblklist", "--inactive", "changing"]).contains("sdb"));

        // The older calls, which the methods have no use for, do the same.
        let client = connection.client();
        let arguments = remote::DomainLookupByNameArgs { name: "changing".to_owned() };
        let dom = client.call(arguments).await.unwrap().dom;
        let attach = remote::DomainAttachDeviceArgs { dom: dom.clone(), xml: one.clone() };
        client.call(attach).await.unwrap();
        assert!(disks().contains("sda"), "{}", disks());
        client.call(remote::DomainDetachDeviceArgs { dom, xml: one }).await.unwrap();
        wait_until(|| !disks().contains("sda")).await;

        // Another medium, then none.
        domain.update_device(cdrom(Some(&other))).await.unwrap();
        assert!(disks().contains(&other), "{}", disks());
        domain.update_device_with(cdrom(None), live | DomainDeviceModifyFlags::FORCE).await.unwrap();
        assert!(!disks().contains(&other), "{}", disks());
        listener.wait_for("domain changing tray-change ide0-1-0 0").await;
        listener.wait_for("domain changing tray-change ide0-1-0 1").await;
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

#[test]
fn a_missing_medium_is_left_out() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let missing = daemon.directory().join("missing.iso").display().to_string();
        let optional = cdrom(Some(&missing)).replace("'/><target", "' startupPolicy='optional'/><target");
        let domain = connection.create_domain(machine("without", 64, "", &optional)).await.unwrap();
        listener.wait_for(&format!("domain without disk-change {missing} None ide0-1-0 0")).await;
        let mut both = Comparison::of_domain(&daemon, QEMU, "without");
        both.same("domain.XMLDesc()", domain.xml().await.unwrap());
        both.check();
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

#[test]
fn the_screen_is_looked_at_and_keys_are_pressed() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let socket = daemon.directory().join("vnc");
        let vnc = format!("<graphics type='vnc' socket='{}'/>", socket.display());
        let screen = format!("{vnc}<video><model type='vga'/></video>");
        let domain = connection.create_domain(machine("seen", 64, "", &screen)).await.unwrap();
        let mut viewer = UnixStream::connect(&socket).unwrap();
        viewer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut greeting = [0; 12];
        viewer.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"RFB 003.008\n");
        listener.wait_for("domain seen graphics 0 ").await;
        drop(viewer);
        listener.wait_for("domain seen graphics 2 ").await;

        domain.send_key(KeycodeSet::LINUX, Duration::from_millis(20), [30, 48]).await.unwrap();
        let mut both = Comparison::of_domain(&daemon, QEMU, "seen");
        both.refused("domain.sendKey(0, 20, [999], 1)", {
            domain.send_key(KeycodeSet::LINUX, Duration::from_millis(20), [999]).await
        });
        both.check();
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

#[test]
fn the_monitor_takes_commands_and_tells_events() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let domain = connection.create_domain(machine("watched", 64, "", "")).await.unwrap();
        domain.suspend().await.unwrap();

        let setup = "import libvirt_qemu\ndomain = connection.lookupByName('watched')\n\
                     def monitor(command, flags=0): return libvirt_qemu.qemuMonitorCommand(domain, command, flags)";
        let mut both = Comparison::new(&daemon, QEMU, setup);
        // Its answers carry a number that counts the commands.
        let status = domain.qemu_monitor_command(r#"{"execute": "query-status"}"#).await.unwrap();
        let answer = |text: &str| text.split(r#","id":"#).next().unwrap_or_default().to_owned();
        both.same(r#"monitor('{"execute": "query-status"}').split(',"id":')[0]"#, answer(&status));
        assert!(status.contains("paused"), "{status}");
        let human = domain
            .qemu_monitor_command_with("info status", DomainQemuMonitorCommandFlags::HMP)
            .await
            .unwrap();
        both.same("monitor('info status', 1)", human);
        // QEMU's own errors are answers.
        let unknown = domain.qemu_monitor_command(r#"{"execute": "nonsense"}"#).await.unwrap();
        both.same(r#"monitor('{"execute": "nonsense"}').split(',"error":')[1]"#, {
            unknown.split(r#","error":"#).nth(1).unwrap_or_default()
        });
        both.refused("monitor('no JSON')", domain.qemu_monitor_command("no JSON").await);
        both.refused("libvirt_qemu.qemuAttach(connection, 1, 0)", connection.attach_qemu_process(1).await);
        both.refused(
            "libvirt_qemu.qemuAgentCommand(domain, '{}', 1, 0)",
            domain.qemu_agent_command("{}", 1).await,
        );
        both.check();
        domain.resume().await.unwrap();
        domain.reset().await.unwrap();
        for event in ["STOP", "RESUME", "RESET"] {
            listener.wait_for(&format!("monitor watched {event}")).await;
        }
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

#[test]
fn hardware_reports_what_a_guest_does_to_it() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let dog = "<watchdog model='ib700' action='none'/>";
        let domain = connection.create_domain(machine("guarded", 64, "", dog)).await.unwrap();
        // What a guest's drivers write to these ports: a watchdog that expires at once, and sleep on disk.
        let flags = DomainQemuMonitorCommandFlags::HMP;
        domain.qemu_monitor_command_with("o /b 0x443 0x0f", flags).await.unwrap();
        listener.wait_for("domain guarded watchdog 0").await;
        // The BIOS gives the power management its ports, some time after the start. The machine ends by it.
        while domain.qemu_monitor_command_with("o /w 0x604 0x2800", flags).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        listener.wait_for("domain guarded pm-suspend-disk 0").await;
        listener.agree().await;
    });
}

//! Definitions of QEMU's machines for tests, and disks for them.

use std::{path::PathBuf, process::Command, time::Duration};

use super::{Daemon, command};

/// Describes an emulated machine; `os` holds what boots, and nothing for the BIOS alone.
pub(crate) fn machine(name: &str, memory_mib: u32, os: &str, devices: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory_mib}</memory>\
         <vcpu current='1'>2</vcpu><os><type arch='x86_64' machine='pc'>hvm</type>{os}</os>\
         <features><acpi/></features><clock offset='utc'/><on_reboot>restart</on_reboot><devices>\
         <emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='qemu-xhci'/>\
         <serial type='pty'/>{devices}</devices></domain>"
    )
}

/// Describes a disk on a file of the daemon's directory, as `vda` or the like.
pub(crate) fn disk(daemon: &Daemon, file: &str, format: &str, target: &str) -> String {
    format!(
        "<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{}'/>\
         <target dev='{target}' bus='virtio'/></disk>",
        daemon.directory().join(file).display()
    )
}

/// Makes an empty image in the daemon's directory, and returns its path.
#[track_caller]
pub(crate) fn image(daemon: &Daemon, file: &str, format: &str, size: &str) -> PathBuf {
    let path = daemon.directory().join(file);
    let mut create = Command::new("qemu-img");
    create.args(["create", "-q", "-f", format]).arg(&path).arg(size);
    command::run(create, Duration::from_secs(20)).expect_success();
    path
}

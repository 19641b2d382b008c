//! Typed commands of QEMU's monitor and of the guest's agent, compared with what virsh prints of the same.

use std::time::Duration;

use libvirt_client::{Connection, Error};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    QEMU,
    qemu::BIOS_ONLY,
    support::{Daemon, daemon::said, live},
};

#[derive(Debug, Deserialize, PartialEq)]
struct Status {
    status: String,
    running: bool,
}

#[test]
fn monitor_commands_give_values_or_errors() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let domain = connection.create_domain(BIOS_ONLY).await.unwrap();
        let virsh = |command: Value| -> Value {
            let text = daemon.virsh(QEMU, &["qemu-monitor-command", "bios", &command.to_string()]);
            serde_json::from_str(&text).unwrap()
        };

        let status: Status = domain.qmp("query-status", ()).await.unwrap();
        let theirs = virsh(json!({"execute": "query-status"}));
        assert_eq!(status, Status::deserialize(&theirs["return"]).unwrap());
        domain.qmp::<()>("stop", ()).await.unwrap();
        assert_eq!(virsh(json!({"execute": "query-status"}))["return"]["status"], "paused");

        let by_hand = json!({"command-line": "info name"});
        let name: String = domain.qmp("human-monitor-command", &by_hand).await.unwrap();
        let theirs = virsh(json!({"execute": "human-monitor-command", "arguments": by_hand}));
        assert_eq!(theirs["return"], name);

        for (command, arguments) in [
            ("no-such-command", json!(null)),
            ("device_del", json!({"id": "no-such-device"})),
            ("device_del", json!({"name": "no-such-argument"})),
        ] {
            let error = domain.qmp::<Value>(command, &arguments).await.unwrap_err();
            let theirs = match &arguments {
                Value::Null => virsh(json!({"execute": command})),
                _ => virsh(json!({"execute": command, "arguments": arguments})),
            };
            let Error::Qmp { command: named, class, description } = &error else { panic!("{error}") };
            assert_eq!(named, command);
            assert_eq!(json!({"class": class, "desc": description}), theirs["error"]);
        }
        let error = domain.qmp::<u32>("query-status", ()).await.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error}");

        domain.destroy().await.unwrap();
        let error = domain.qmp::<Value>("query-status", ()).await.unwrap_err();
        assert!(error.is_not_found(), "{error}");
    });
}

#[test]
fn agent_commands_to_nobody_are_refused() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let channel =
            "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices>";
        for (xml, timeout, theirs) in [
            (BIOS_ONLY.to_owned(), Some(Duration::from_secs(1)), 1),
            (BIOS_ONLY.replace("</devices>", channel), Some(Duration::from_secs(1)), 1),
            (BIOS_ONLY.replace("</devices>", channel), None, -2),
        ] {
            let domain = connection.create_domain(xml).await.unwrap();
            let error = domain.agent::<()>("guest-ping", (), timeout).await.unwrap_err();
            let statement = format!(
                "libvirt_qemu.qemuAgentCommand(connection.lookupByName('bios'), \
                 '{{\"execute\": \"guest-ping\"}}', {theirs}, 0)"
            );
            let statement = format!("import libvirt_qemu; {statement}");
            assert_eq!(said(&error), daemon.python_error(QEMU, &statement));
            domain.destroy().await.unwrap();
        }
    });
}

//! QEMU machines that are saved to files, restored from them, and dumped.

use libvirt_client::{
    Connection, Domain, TypedParams,
    enums::{
        ConnectListAllDomainsFlags, DomainCoreDumpFlags, DomainCoreDumpFormat, DomainSaveImageXmlFlags,
        DomainSaveRestoreFlags, DomainState,
    },
};

use crate::{
    QEMU,
    support::{Daemon, compare::Comparison, listener::Listener, live, machine::machine},
};

async fn start(daemon: &Daemon, name: &str) -> (Connection, Domain) {
    let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
    let domain = connection.define_domain(machine(name, 64, "", "")).await.unwrap();
    domain.start().await.unwrap();
    (connection, domain)
}

#[test]
fn a_machine_is_saved_to_a_file_and_restored() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let (connection, domain) = start(&daemon, "saved").await;
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let file = daemon.directory().join("image").display().to_string();
        domain.save(&file, None).await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["domstate", "--reason", "saved"]), "shut off (saved)");
        let xml = connection.save_image_xml(&file).await.unwrap();
        let titled = xml.replace("<memory", "<title>changed</title><memory");
        connection.define_save_image(&file, &titled).await.unwrap();

        let mut both = Comparison::of_domain(&daemon, QEMU, "saved");
        let secure = connection.save_image_xml_with(&file, DomainSaveImageXmlFlags::SECURE).await.unwrap();
        assert!(secure.contains("<title>changed</title>"));
        both.same(format!("connection.saveImageGetXMLDesc('{file}', 1)"), secure);
        both.refused("connection.saveImageGetXMLDesc('/none')", connection.save_image_xml("/none").await);
        both.refused("connection.saveImageDefineXML('/none', '<x/>')", {
            connection.define_save_image("/none", "<x/>").await
        });
        both.refused("connection.restore('/none')", connection.restore_domain("/none", None).await);
        both.refused("domain.save('/none')", domain.save("/none", None).await);
        both.refused("domain.saveFlags('/none', None, 2)", {
            domain.save_with("/none", None, DomainSaveRestoreFlags::RUNNING).await
        });
        both.check();

        connection.restore_domain_with(&file, None, DomainSaveRestoreFlags::PAUSED).await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["domstate", "saved"]), "paused");
        assert!(daemon.virsh(QEMU, &["dumpxml", "saved"]).contains("<title>changed</title>"));
        // The same with parameters.
        let other = daemon.directory().join("other").display().to_string();
        domain.save_by_parameters(TypedParams::new().with("file", other.as_str())).await.unwrap();
        let running = DomainSaveRestoreFlags::RUNNING;
        let params = TypedParams::new().with("file", other.as_str());
        connection.restore_domain_by_parameters_with(params, running).await.unwrap();
        let state = domain.state().await.unwrap();
        assert_eq!(state.state, DomainState::RUNNING);
        let mut both = Comparison::of_domain(&daemon, QEMU, "saved");
        both.same("domain.state()", format!("[{}, {}]", state.state.0, state.reason.number()));
        both.refused("connection.restoreParams({'file': '/none'})", {
            connection.restore_domain_by_parameters([("file", "/none")]).await
        });
        both.check();
        listener.wait_for("domain saved migration-iteration").await;
        listener.wait_for("domain saved job-completed").await;
        // Stopped since saved; started and resumed since restored.
        listener.wait_for("domain saved lifecycle 5 4").await;
        listener.wait_for("domain saved lifecycle 2 2").await;
        domain.destroy().await.unwrap();
        listener.agree().await;
    });
}

#[test]
fn a_machine_is_saved_by_the_daemon() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let (connection, domain) = start(&daemon, "kept").await;
        domain.managed_save_with(DomainSaveRestoreFlags::PAUSED).await.unwrap();
        assert!(domain.has_managed_save_image().await.unwrap());
        let xml = domain.managed_save_xml().await.unwrap();
        domain
            .define_managed_save(Some(&xml.replace("<memory", "<title>changed</title><memory")))
            .await
            .unwrap();
        let mut both = Comparison::of_domain(&daemon, QEMU, "kept");
        let secure = domain.managed_save_xml_with(DomainSaveImageXmlFlags::SECURE).await.unwrap();
        assert!(secure.contains("<title>changed</title>"));
        both.same("domain.managedSaveGetXMLDesc(1)", secure);
        both.same_bool("domain.hasManagedSaveImage()", domain.has_managed_save_image().await.unwrap());
        both.refused("domain.managedSave()", domain.managed_save().await);
        both.refused("domain.managedSaveDefineXML('<x/>')", domain.define_managed_save(Some("<x/>")).await);
        let saved = connection.domains().matching(ConnectListAllDomainsFlags::MANAGEDSAVE).await.unwrap();
        assert_eq!(saved.len(), 1);
        both.same("connection.listAllDomains(256)[0].name()", saved[0].name());
        both.refused("domain.undefine()", domain.undefine().await);
        both.check();

        domain.start().await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["domstate", "kept"]), "paused");
        domain.managed_save().await.unwrap();
        domain.remove_managed_save().await.unwrap();
        assert!(!domain.has_managed_save_image().await.unwrap());
        assert_eq!(daemon.virsh(QEMU, &["list", "--name", "--all", "--with-managed-save"]), "");
        let mut both = Comparison::of_domain(&daemon, QEMU, "kept");
        both.refused("domain.managedSaveGetXMLDesc()", domain.managed_save_xml().await);
        both.check();
    });
}

#[test]
fn a_machines_memory_is_dumped() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let (_connection, domain) = start(&daemon, "dumped").await;
        let file = daemon.directory().join("core");
        let path = file.display().to_string();
        domain
            .core_dump_with(&path, DomainCoreDumpFormat::RAW, DomainCoreDumpFlags::MEMORY_ONLY)
            .await
            .unwrap();
        assert!(std::fs::read(&file).unwrap().starts_with(b"\x7fELF"));
        assert_eq!(daemon.virsh(QEMU, &["domstate", "dumped"]), "running");
        let mut both = Comparison::of_domain(&daemon, QEMU, "dumped");
        both.refused("domain.coreDumpWithFormat('/none/x', 0, 16)", {
            let flags = DomainCoreDumpFlags::MEMORY_ONLY;
            domain.core_dump_with("/none/x", DomainCoreDumpFormat::RAW, flags).await
        });
        both.refused("domain.coreDumpWithFormat('/tmp/x', 1, 0)", {
            domain.core_dump("/tmp/x", DomainCoreDumpFormat::KDUMP_ZLIB).await
        });
        both.check();
        domain.core_dump_with(&path, DomainCoreDumpFormat::RAW, DomainCoreDumpFlags::CRASH).await.unwrap();
        assert_eq!(daemon.virsh(QEMU, &["domstate", "--reason", "dumped"]), "shut off (crashed)");
    });
}

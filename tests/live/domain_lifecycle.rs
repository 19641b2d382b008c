//! What starts, stops, saves and renames domains: after each act, libvirt's Python binding sees what it should.

use std::fs;

use libvirt_client::enums::{
    DomainCoreDumpFlags, DomainCoreDumpFormat, DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags,
    DomainRebootFlags, DomainSaveImageXmlFlags, DomainSaveRestoreFlags, DomainShutdownFlags, DomainState,
    DomainUndefineFlags, DomainXmlFlags,
};

use crate::{
    simulated,
    support::{live, python::list},
    test_domain, test_machine,
};

const WEB: &str = "domain = connection.lookupByName('web')";

#[test]
fn every_act_leads_to_the_state_that_others_see() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web =
            connection.define_domain_with(test_domain("web"), DomainDefineFlags::VALIDATE).await.unwrap();
        python.run(WEB);
        let (running, paused, off) = (DomainState::RUNNING, DomainState::PAUSED, DomainState::SHUTOFF);
        let none = (DomainRebootFlags::DEFAULT, DomainShutdownFlags::DEFAULT, DomainDestroyFlags::DEFAULT);
        for (act, expected) in [
            ("define", off),
            ("start", running),
            ("suspend", paused),
            ("resume", running),
            ("reset", running),
            ("reboot", running),
            ("reboot with flags", running),
            ("shut down", off),
            ("start with flags", running),
            ("shut down with flags", off),
            ("start", running),
            ("destroy", off),
            ("start", running),
            ("destroy with flags", off),
        ] {
            let done = match act {
                "define" => Ok(()),
                "start" => web.start().await,
                "start with flags" => web.start_with(DomainCreateFlags::NONE).await,
                "resume" => web.resume().await,
                "suspend" => web.suspend().await,
                "reset" => web.reset().await,
                "reboot" => web.reboot().await,
                "reboot with flags" => web.reboot_with(none.0).await,
                "shut down" => web.shutdown().await,
                "shut down with flags" => web.shutdown_with(none.1).await,
                "destroy" => web.destroy().await,
                "destroy with flags" => web.destroy_with(none.2).await,
                other => panic!("{other}"),
            };
            done.unwrap_or_else(|error| panic!("{act}: {error}"));
            let ours = web.state().await.unwrap();
            assert_eq!(ours.state, expected, "{act}");
            python.agrees("domain.state()", list([ours.state.0, ours.reason.number()]));
            python.agrees("domain.isActive()", i32::from(web.is_active().await.unwrap()));
            python.agrees("domain.info()[0]", web.info().await.unwrap().state.0);
        }
        python.agrees("domain.isPersistent()", i32::from(web.is_persistent().await.unwrap()));
        python.agrees("domain.isUpdated()", i32::from(web.is_updated().await.unwrap()));
        let inactive = web.xml_with(DomainXmlFlags::INACTIVE | DomainXmlFlags::SECURE).await.unwrap();
        python.agrees("domain.XMLDesc(3)", inactive);

        let paused = web.start_with(DomainCreateFlags::PAUSED).await.unwrap_err();
        python.is_refused("domain.createWithFlags(1)", &paused);

        let shop = web.rename("shop").await.unwrap();
        assert_eq!((shop.name(), shop == web), ("shop", true));
        python.agrees("connection.lookupByName('shop').UUIDString()", web.uuid());
        web.undefine().await.unwrap();
        assert!(connection.find_domain_by_name("shop").await.unwrap().is_none());
        python.agrees("sorted(one.name() for one in connection.listAllDomains())", "[test]");
    });
}

#[test]
fn a_domain_without_a_definition_is_gone_when_it_stops() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.create_domain(test_domain("web")).await.unwrap();
        python.run(WEB);
        python.agrees("domain.ID()", web.id().unwrap());
        python.agrees("domain.UUIDString()", web.uuid());
        assert!(!web.is_persistent().await.unwrap());
        assert_eq!(connection.domain_by_id(web.id().unwrap()).await.unwrap(), web);
        web.destroy().await.unwrap();
        python.is_refused("domain.info()", &web.info().await.unwrap_err());

        let web =
            connection.create_domain_with(test_domain("web"), DomainCreateFlags::VALIDATE).await.unwrap();
        python.run(WEB);
        python.agrees("domain.state()[0]", DomainState::RUNNING.0);
        web.destroy().await.unwrap();
        python.agrees("len(connection.listAllDomains())", 1);
        let paused = connection.create_domain_with(test_domain("web"), DomainCreateFlags::PAUSED).await;
        python.is_refused("connection.createXML('<domain/>', 1)", &paused.unwrap_err());
    });
}

#[test]
fn saved_domains_come_back() {
    live(async {
        let (daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        python.run(WEB);
        let saved = daemon.directory().join("saved").display().to_string();
        python.run(&format!("saved = '{saved}'"));

        web.start().await.unwrap();
        web.save(&saved, None).await.unwrap();
        python.agrees("domain.isActive()", 0);
        let xml = connection.save_image_xml(&saved).await.unwrap();
        python.agrees("connection.saveImageGetXMLDesc(saved)", &xml);
        let secure = DomainSaveImageXmlFlags::SECURE;
        python.agrees(
            "connection.saveImageGetXMLDesc(saved, 1)",
            connection.save_image_xml_with(&saved, secure).await.unwrap(),
        );
        let titled = xml.replace("</uuid>", "</uuid>\n  <title>A shop</title>");
        connection.define_save_image(&saved, &titled).await.unwrap();
        python.agrees("connection.saveImageGetXMLDesc(saved).count('<title>A shop</title>')", 1);
        let paused = DomainSaveRestoreFlags::PAUSED;
        connection.define_save_image_with(&saved, &titled, paused).await.unwrap();
        connection.restore_domain(&saved, None).await.unwrap();
        python.agrees("domain.isActive()", 1);
        python.agrees("domain.XMLDesc().count('<title>A shop</title>')", 1);

        let refused = web.save_with(&saved, None, paused).await.unwrap_err();
        python.is_refused("domain.saveFlags(saved, None, 4)", &refused);
        let refused = web.save(&saved, Some(&titled)).await.unwrap_err();
        python.is_refused("domain.saveFlags(saved, '<domain/>', 0)", &refused);
        web.save_with(&saved, None, DomainSaveRestoreFlags::empty()).await.unwrap();
        let refused = connection.restore_domain_with(&saved, None, paused).await.unwrap_err();
        python.is_refused("connection.restoreFlags(saved, None, 4)", &refused);
        let none = DomainSaveRestoreFlags::empty();
        connection.restore_domain_with(&saved, None, none).await.unwrap();
        python.agrees("domain.state()[0]", DomainState::RUNNING.0);
    });
}

#[test]
fn a_save_that_the_daemon_manages_is_used_or_removed() {
    live(async {
        let (_daemon, connection, mut python) = simulated().await;
        let web = connection.define_domain(test_domain("web")).await.unwrap();
        python.run(WEB);
        for flags in [DomainSaveRestoreFlags::empty(), DomainSaveRestoreFlags::RUNNING] {
            assert!(!web.has_managed_save_image().await.unwrap());
            web.start().await.unwrap();
            web.managed_save_with(flags).await.unwrap();
            python.agrees("domain.isActive()", 0);
            python.agrees("domain.hasManagedSaveImage()", 1);
            assert!(web.has_managed_save_image().await.unwrap());
            web.remove_managed_save().await.unwrap();
            python.agrees("domain.hasManagedSaveImage()", 0);
        }
        web.start().await.unwrap();
        web.managed_save().await.unwrap();
        python.is_refused("domain.undefineFlags(0)", &web.undefine().await.unwrap_err());
        web.undefine_with(DomainUndefineFlags::MANAGED_SAVE).await.unwrap();
        assert!(connection.find_domain_by_name("web").await.unwrap().is_none());
    });
}

#[test]
fn a_core_dump_is_the_file_that_others_get() {
    live(async {
        let (daemon, connection, mut python) = simulated().await;
        let test = connection.domain_by_name("test").await.unwrap();
        python.run("domain = connection.lookupByName('test')");
        let path = |name: &str| daemon.directory().join(name).display().to_string();
        test.core_dump(path("ours"), DomainCoreDumpFormat::RAW).await.unwrap();
        python.run(&format!("domain.coreDumpWithFormat('{}', 0, 0)", path("theirs")));
        let (ours, theirs) = (fs::read(path("ours")).unwrap(), fs::read(path("theirs")).unwrap());
        assert!(!ours.is_empty());
        assert_eq!(ours, theirs);
        let flags = DomainCoreDumpFlags::CRASH;
        test.core_dump_with(path("crash"), DomainCoreDumpFormat::RAW, flags).await.unwrap();
        assert_eq!(fs::read(path("crash")).unwrap(), theirs);
        python.agrees("domain.state()", "[5, 3]");
        let state = test.state().await.unwrap();
        assert_eq!((state.state, state.reason.number()), (DomainState::SHUTOFF, 3));
    });
}

//! Secrets, which the real daemon alone has, compared with what libvirt's Python binding says of them.

use libvirt_client::{
    Connection, Error,
    enums::{ConnectListAllSecretsFlags, SecretUsageType},
};

use crate::{
    QEMU,
    support::{
        Daemon,
        compare::Comparison,
        listener::Listener,
        live,
        python::{list, sorted},
    },
};

const CEPH: &str = "<secret ephemeral='no' private='no'><description>for a test</description>\
                    <usage type='ceph'><name>client.admin</name></usage></secret>";
const PRIVATE: &str = "<secret ephemeral='yes' private='yes'/>";

#[test]
fn a_secret_is_kept_told_and_forgotten() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let listener = Listener::start(&daemon, &connection, QEMU).await;
        let secret = connection.define_secret(CEPH).await.unwrap();
        assert_eq!((secret.usage_type(), secret.usage_id()), (SecretUsageType::CEPH, "client.admin"));
        let hidden = connection.define_secret(PRIVATE).await.unwrap();
        // A value is bytes, and may hold zeros.
        let value = b"abc\0def\xff";
        secret.set_value(&value[..]).await.unwrap();
        hidden.set_value(&b"nobody reads this"[..]).await.unwrap();
        assert_eq!(&secret.value().await.unwrap()[..], value);

        let setup = format!(
            "secret = connection.secretLookupByUUIDString('{}')\nhidden = connection.secretLookupByUUIDString('{}')",
            secret.uuid(),
            hidden.uuid()
        );
        let mut both = Comparison::new(&daemon, QEMU, setup);
        both.same("list(secret.value())", list(value.iter().copied()));
        both.same("secret.XMLDesc()", secret.xml().await.unwrap());
        both.same("f'{secret.usageType()} {secret.usageID()}'", "2 client.admin");
        both.refused("hidden.value()", hidden.value().await);
        let uuids =
            |secrets: Vec<libvirt_client::Secret>| sorted(secrets.iter().map(|one| one.uuid().to_string()));
        let theirs = "names(one.UUIDString() for one in connection.listAllSecrets(FLAGS))";
        both.same(theirs.replace("FLAGS", "0"), uuids(connection.secrets().await.unwrap()));
        for flag in [ConnectListAllSecretsFlags::EPHEMERAL, ConnectListAllSecretsFlags::NO_PRIVATE] {
            let ours = connection.secrets().matching(flag).await.unwrap();
            assert_eq!(ours.len(), 1);
            both.same(theirs.replace("FLAGS", &flag.bits().to_string()), uuids(ours));
        }
        both.same("connection.secretLookupByUsage(2, 'client.admin').UUIDString()", secret.uuid());
        assert_eq!(connection.secret_by_uuid(secret.uuid()).await.unwrap(), secret);
        let found = connection.secret_by_usage(SecretUsageType::CEPH, "client.admin").await.unwrap();
        assert_eq!(found, secret);
        let missing = connection.secret_by_usage(SecretUsageType::CEPH, "none").await;
        assert!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
        both.refused("connection.secretLookupByUsage(2, 'none')", missing);
        assert!(connection.find_secret_by_usage(SecretUsageType::VOLUME, "/none").await.unwrap().is_none());
        both.refused("connection.secretDefineXML('<secret>')", connection.define_secret("<secret>").await);
        both.check();

        secret.undefine().await.unwrap();
        assert!(connection.find_secret_by_uuid(secret.uuid()).await.unwrap().is_none());
        let undefined = format!("secret {} lifecycle 1 0", secret.uuid());
        listener.wait_for(&undefined).await;
        let heard = listener.agree().await;
        let expected = ["lifecycle 0 0", "value-changed", "lifecycle 1 0"];
        let of_secret: Vec<&str> = heard
            .iter()
            .filter_map(|line| line.strip_prefix(&format!("secret {} ", secret.uuid())))
            .collect();
        assert_eq!(of_secret, expected);
    });
}

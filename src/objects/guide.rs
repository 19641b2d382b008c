//! What virsh does, in Rust: the ten things that are done most. What waits for whom is in [`waiting`].
//!
//! Each of them begins with `let connection = Connection::open("qemu:///system").await?;`.
//!
//! # `virsh list --all`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! for domain in connection.domains().await? {
//!     let id = domain.id().map_or_else(|| "-".to_owned(), |id| id.to_string());
//!     println!("{id:<5} {:<24} {}", domain.name(), domain.state().await?.state);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! `virsh list` without `--all` is `connection.domains().active()`; there is a condition for each option.
//!
//! # `virsh dominfo web`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! let web = connection.domain_by_name("web").await?;
//! let info = web.info().await?;
//! println!("UUID {}, {} with {} CPUs", web.uuid(), info.state, info.vcpus);
//! println!("{} of {} KiB, {:?} of CPU time", info.memory_kib, info.max_memory_kib, info.cpu_time);
//! println!("autostart {}, persistent {}", web.autostart().await?, web.is_persistent().await?);
//! # Ok(())
//! # }
//! ```
//!
//! Where a domain may not be there, [`find_domain_by_name`](crate::Connection::find_domain_by_name) returns an `Option`.
//!
//! # `virsh dumpxml web --inactive`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! use libvirt_client::enums::DomainXmlFlags;
//!
//! let web = connection.domain_by_name("web").await?;
//! println!("{}", web.xml_with(DomainXmlFlags::INACTIVE).await?);
//! # Ok(())
//! # }
//! ```
//!
//! # `virsh define`, `start`, `shutdown`, `destroy`, `undefine`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection, xml: String) -> libvirt_client::Result<()> {
//! use libvirt_client::enums::DomainUndefineFlags;
//!
//! let web = connection.define_domain(xml).await?;
//! web.start().await?;
//! web.shutdown().await?; // asks the guest, and returns at once
//! if web.is_active().await? {
//!     web.destroy().await?; // pulls the plug
//! }
//! web.undefine_with(DomainUndefineFlags::NVRAM | DomainUndefineFlags::SNAPSHOTS_METADATA).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # `virsh snapshot-create`, `snapshot-revert`, `snapshot-delete`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! let web = connection.domain_by_name("web").await?;
//! let snapshot = web.create_snapshot("<domainsnapshot><name>before</name></domainsnapshot>").await?;
//! snapshot.revert().await?;
//! for snapshot in web.snapshots().leaves().await? {
//!     let parent = snapshot.parent().await?;
//!     println!("{} on {}", snapshot.name(), parent.as_ref().map_or("nothing", |parent| parent.name()));
//! }
//! snapshot.delete().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # `virsh net-list`, `virsh net-dhcp-leases default`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! for network in connection.networks().active().await? {
//!     println!("{} on {}", network.name(), network.bridge_name().await?);
//!     for lease in network.dhcp_leases(None).await? {
//!         println!("  {} {}", lease.hostname.as_deref().unwrap_or("-"), lease.address);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # `virsh pool-define`, `vol-create`, `vol-list`, `vol-delete`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! let pool = connection
//!     .define_storage_pool("<pool type='dir'><name>images</name><target><path>/images</path></target></pool>")
//!     .await?;
//! pool.build().await?;
//! pool.start().await?;
//! pool.set_autostart(true).await?;
//! let disk = pool
//!     .create_volume("<volume><name>disk.qcow2</name><capacity unit='GiB'>20</capacity>\
//!                     <target><format type='qcow2'/></target></volume>")
//!     .await?;
//! disk.resize(40 << 30).await?;
//! for volume in pool.volumes().await? {
//!     let info = volume.info().await?;
//!     println!("{} {} of {} bytes", volume.path().await?, info.allocation, info.capacity);
//! }
//! disk.delete().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # `virsh attach-device web disk.xml --live --config`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! use libvirt_client::enums::DomainDeviceModifyFlags;
//!
//! const DISK: &str = "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>\
//!                     <source file='/images/disk.qcow2'/><target dev='vdb' bus='virtio'/></disk>";
//! let both = DomainDeviceModifyFlags::LIVE | DomainDeviceModifyFlags::CONFIG;
//! let web = connection.domain_by_name("web").await?;
//! let mut events = web.events().domain_device_removed().subscribe().await?;
//! web.attach_device_with(DISK, both).await?;
//! web.detach_device_with(DISK, both).await?; // the guest has the last word on it, and
//! let gone = events.next().await; // this is when it has let go
//! # Ok(())
//! # }
//! ```
//!
//! # `virsh domstats`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! use libvirt_client::enums::DomainStatsTypes;
//!
//! // All domains, in one call.
//! for record in connection.domain_stats(&[], DomainStatsTypes::VCPU | DomainStatsTypes::BALLOON).await? {
//!     println!("{} {:?}", record.domain.name(), record.stats.balloon);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # `virsh event --all --loop`
//!
//! ```no_run
//! # async fn example(connection: libvirt_client::Connection) -> libvirt_client::Result<()> {
//! let mut events = connection.events().all().subscribe().await?;
//! while let Some(event) = events.next().await {
//!     println!("{:?}", event?);
//! }
//! # Ok(())
//! # }
//! ```

pub mod waiting;

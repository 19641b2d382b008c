//! The methods that pass open files and sockets, over Unix sockets only.

use std::{os::fd::OwnedFd, sync::Arc};

use super::{
    Connection, Domain,
    connection::Feature,
    enums::{
        DomainCreateFlags, DomainFdAssociateFlags, DomainOpenGraphicsFlags, DomainQemuMonitorCommandFlags,
    },
    open,
};
use crate::{
    error::{Error, Result},
    protocol::{Call, lxc, qemu, remote},
};

impl Connection {
    /// Starts a domain from XML without storing the definition, and hands open files to its first process, which finds them
    /// at descriptor 3 and after. Only containers take files.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_CREATE_XML_WITH_FILES` (309), C: `virDomainCreateXMLWithFiles`, since libvirt 1.1.1. Needs
    /// `domain:write` and `domain:start`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. [`Error::Unsupported`] where files cannot be passed.
    #[doc(alias = "virDomainCreateXMLWithFiles")]
    pub async fn create_domain_with_files(
        &self,
        xml: impl Into<String>,
        files: impl IntoIterator<Item = impl Into<OwnedFd>>,
    ) -> Result<Domain> {
        self.create_domain_with_files_with(xml, files, DomainCreateFlags::empty()).await
    }

    /// Does what [`create_domain_with_files`](Self::create_domain_with_files) does, with flags.
    ///
    /// # Errors
    /// As [`create_domain_with_files`](Self::create_domain_with_files).
    pub async fn create_domain_with_files_with(
        &self,
        xml: impl Into<String>,
        files: impl IntoIterator<Item = impl Into<OwnedFd>>,
        flags: DomainCreateFlags,
    ) -> Result<Domain> {
        let arguments = remote::DomainCreateXmlWithFilesArgs { xml_desc: xml.into(), flags: flags.bits() };
        let (reply, _) = call(self, arguments, owned(files)).await?;
        Ok(Domain::new(reply.dom, self))
    }
}

impl Domain {
    /// Starts the defined domain, and hands open files to its first process, which finds them at descriptor 3 and after.
    /// Only containers take files.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_CREATE_WITH_FILES` (310), C: `virDomainCreateWithFiles`, since libvirt 1.1.1. Needs
    /// `domain:start`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. [`Error::Unsupported`] where files cannot be passed.
    #[doc(alias = "virDomainCreateWithFiles")]
    pub async fn start_with_files(&self, files: impl IntoIterator<Item = impl Into<OwnedFd>>) -> Result<()> {
        self.start_with_files_with(files, DomainCreateFlags::empty()).await
    }

    /// Does what [`start_with_files`](Self::start_with_files) does, with flags.
    ///
    /// # Errors
    /// As [`start_with_files`](Self::start_with_files).
    pub async fn start_with_files_with(
        &self,
        files: impl IntoIterator<Item = impl Into<OwnedFd>>,
        flags: DomainCreateFlags,
    ) -> Result<()> {
        let arguments = remote::DomainCreateWithFilesArgs { dom: self.to_wire(), flags: flags.bits() };
        let (reply, _) = call(&self.connection, arguments, owned(files)).await?;
        self.set_id(reply.dom.id);
        Ok(())
    }

    /// Hands open files to the daemon under a name, which the XML of a disk may then refer to (`fdgroup`). The daemon keeps
    /// them as long as this connection lives.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_FD_ASSOCIATE` (443), C: `virDomainFDAssociate`, since libvirt 9.0.0. Needs
    /// `domain:write`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. [`Error::Unsupported`] where files cannot be passed.
    #[doc(alias = "virDomainFDAssociate")]
    pub async fn associate_fds(
        &self,
        name: impl Into<String>,
        files: impl IntoIterator<Item = impl Into<OwnedFd>>,
    ) -> Result<()> {
        self.associate_fds_with(name, files, DomainFdAssociateFlags::empty()).await
    }

    /// Does what [`associate_fds`](Self::associate_fds) does, with flags.
    ///
    /// # Errors
    /// As [`associate_fds`](Self::associate_fds).
    pub async fn associate_fds_with(
        &self,
        name: impl Into<String>,
        files: impl IntoIterator<Item = impl Into<OwnedFd>>,
        flags: DomainFdAssociateFlags,
    ) -> Result<()> {
        let name = name.into();
        let arguments = remote::DomainFdAssociateArgs { dom: self.to_wire(), name, flags: flags.bits() };
        call(&self.connection, arguments, owned(files)).await.map(drop)
    }

    /// Connects a socket to a graphical display of the running domain, as if a viewer had connected: hand over one end of
    /// a socket pair, and speak VNC or SPICE over the other. The displays are counted from 0.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_OPEN_GRAPHICS` (249), C: `virDomainOpenGraphics`, since libvirt 0.9.7. Needs
    /// `domain:open_graphics`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. [`Error::Unsupported`] where files cannot be passed.
    #[doc(alias = "virDomainOpenGraphics")]
    pub async fn open_graphics(&self, index: u32, socket: impl Into<OwnedFd>) -> Result<()> {
        self.open_graphics_with(index, socket, DomainOpenGraphicsFlags::empty()).await
    }

    /// Does what [`open_graphics`](Self::open_graphics) does, with flags: `SKIPAUTH` spares the viewer the password.
    ///
    /// # Errors
    /// As [`open_graphics`](Self::open_graphics).
    pub async fn open_graphics_with(
        &self,
        index: u32,
        socket: impl Into<OwnedFd>,
        flags: DomainOpenGraphicsFlags,
    ) -> Result<()> {
        let dom = self.to_wire();
        let arguments = remote::DomainOpenGraphicsArgs { dom, idx: index, flags: flags.bits() };
        call(&self.connection, arguments, vec![socket.into()]).await.map(drop)
    }

    /// Returns a socket that is connected to a graphical display of the running domain. The displays are counted from 0.
    ///
    /// ```no_run
    /// # use libvirt_client::{Domain, Result};
    /// # async fn example(domain: Domain) -> std::result::Result<(), Box<dyn std::error::Error>> {
    /// use std::os::unix::net::UnixStream;
    ///
    /// let display = UnixStream::from(domain.open_graphics_fd(0).await?);
    /// display.set_nonblocking(true)?;
    /// let viewer = tokio::net::UnixStream::from_std(display)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Calls `REMOTE_PROC_DOMAIN_OPEN_GRAPHICS_FD` (343), C: `virDomainOpenGraphicsFD`, since libvirt 1.2.8. Needs
    /// `domain:open_graphics`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. [`Error::Unsupported`] where files cannot be passed.
    #[doc(alias = "virDomainOpenGraphicsFD")]
    pub async fn open_graphics_fd(&self, index: u32) -> Result<OwnedFd> {
        self.open_graphics_fd_with(index, DomainOpenGraphicsFlags::empty()).await
    }

    /// Does what [`open_graphics_fd`](Self::open_graphics_fd) does, with flags: `SKIPAUTH` spares the viewer the password.
    ///
    /// # Errors
    /// As [`open_graphics_fd`](Self::open_graphics_fd).
    pub async fn open_graphics_fd_with(&self, index: u32, flags: DomainOpenGraphicsFlags) -> Result<OwnedFd> {
        let dom = self.to_wire();
        let arguments = remote::DomainOpenGraphicsFdArgs { dom, idx: index, flags: flags.bits() };
        let ((), files) = call(&self.connection, arguments, Vec::new()).await?;
        let missing = || Error::Decode {
            what: remote::DomainOpenGraphicsFdArgs::PROCEDURE.name,
            cause: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("no descriptor came with it")),
        };
        self.connection.client().observed(files.into_iter().next().ok_or_else(missing))
    }

    /// Sends a command to QEMU's monitor together with open files, as `add-fd` wants them, and returns its answer and the
    /// files that come with it. The domain is marked as tainted.
    ///
    /// Calls `QEMU_PROC_DOMAIN_MONITOR_COMMAND_WITH_FILES` (7), C: `virDomainQemuMonitorCommandWithFiles`, since libvirt
    /// 8.2.0. Needs `domain:write`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. [`Error::Unsupported`] where files cannot be passed.
    #[doc(alias = "virDomainQemuMonitorCommandWithFiles")]
    pub async fn qemu_monitor_command_with_files(
        &self,
        command: impl Into<String>,
        files: impl IntoIterator<Item = impl Into<OwnedFd>>,
    ) -> Result<(String, Vec<OwnedFd>)> {
        self.qemu_monitor_command_with_files_with(command, files, DomainQemuMonitorCommandFlags::empty())
            .await
    }

    /// Does what [`qemu_monitor_command_with_files`](Self::qemu_monitor_command_with_files) does, with flags.
    ///
    /// # Errors
    /// As [`qemu_monitor_command_with_files`](Self::qemu_monitor_command_with_files).
    pub async fn qemu_monitor_command_with_files_with(
        &self,
        command: impl Into<String>,
        files: impl IntoIterator<Item = impl Into<OwnedFd>>,
        flags: DomainQemuMonitorCommandFlags,
    ) -> Result<(String, Vec<OwnedFd>)> {
        let (dom, cmd) = (self.to_wire(), command.into());
        let arguments = qemu::DomainMonitorCommandWithFilesArgs { dom, cmd, flags: flags.bits() };
        let (reply, files) = call(&self.connection, arguments, owned(files)).await?;
        Ok((reply.result, files))
    }

    /// Returns the namespaces of a running container as open files, for a local process to enter (`setns`).
    ///
    /// Calls `LXC_PROC_DOMAIN_OPEN_NAMESPACE` (1), C: `virDomainLxcOpenNamespace`, since libvirt 1.0.2. Needs
    /// `domain:open_namespace`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer. [`Error::Unsupported`] where files cannot be passed.
    #[doc(alias = "virDomainLxcOpenNamespace")]
    pub async fn lxc_open_namespace(&self) -> Result<Vec<OwnedFd>> {
        let arguments = lxc::DomainOpenNamespaceArgs { dom: self.to_wire(), flags: 0 };
        let ((), files) = call(&self.connection, arguments, Vec::new()).await?;
        Ok(files)
    }
}

fn owned(files: impl IntoIterator<Item = impl Into<OwnedFd>>) -> Vec<OwnedFd> {
    files.into_iter().map(Into::into).collect()
}

/// Makes a call that passes files, there or back, once it is known that both sides can.
async fn call<C: Call>(
    connection: &Connection,
    arguments: C,
    files: Vec<OwnedFd>,
) -> Result<(C::Reply, Vec<OwnedFd>)> {
    let client = connection.client();
    let what = C::PROCEDURE.name;
    if !client.passes_descriptors() {
        let reason = format!("{what} passes open files, which only a Unix socket can");
        return client.observed(Err(Error::Unsupported(reason)));
    }
    if !open::supports(client, Feature::FD_PASSING).await? {
        let reason = format!("{what} passes open files, which this daemon cannot");
        return client.observed(Err(Error::Unsupported(reason)));
    }
    client.call_with_descriptors(arguments, files).await
}

//! The methods that open data streams.

use super::{Download, GuestStream, Screenshot, SparseDownload, Upload};
use crate::{
    error::Result,
    objects::{
        Domain, StorageVol,
        enums::{DomainChannelFlags, DomainConsoleFlags, StorageVolDownloadFlags, StorageVolUploadFlags},
    },
    protocol::remote,
    rpc::Stream,
};

impl StorageVol {
    /// Reads the volume's content, from its start to its end. The QEMU driver's pools have it, the simulated hypervisor does
    /// not.
    ///
    /// ```no_run
    /// # async fn example(volume: libvirt_client::StorageVol) -> libvirt_client::Result<()> {
    /// let mut download = volume.download().await?;
    /// let mut bytes = 0;
    /// while let Some(chunk) = download.next().await {
    ///     bytes += chunk?.len();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Calls `REMOTE_PROC_STORAGE_VOL_DOWNLOAD` (209), C: `virStorageVolDownload`, since libvirt 0.9.0. Needs
    /// `storage_vol:data_read`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virStorageVolDownload")]
    pub async fn download(&self) -> Result<Download> {
        self.download_with(0, 0, StorageVolDownloadFlags::empty()).await
    }

    /// Does what [`download`](Self::download) does, from an offset, and no more than `length` bytes, of which 0 means all.
    /// With the flag `SPARSE_STREAM` holes come as such, and are read as zeroes.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    pub async fn download_with(
        &self,
        offset: u64,
        length: u64,
        flags: StorageVolDownloadFlags,
    ) -> Result<Download> {
        self.open_download(offset, length, flags).await.map(Download::new)
    }

    /// Does what [`download`](Self::download) does, but tells where the volume has holes, which are not transferred.
    ///
    /// Calls `REMOTE_PROC_STORAGE_VOL_DOWNLOAD` (209) with the flag `SPARSE_STREAM`, C: `virStorageVolDownload`, since
    /// libvirt 3.4.0. Needs `storage_vol:data_read`.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    pub async fn download_sparse(&self) -> Result<SparseDownload> {
        self.download_sparse_with(0, 0).await
    }

    /// Does what [`download_sparse`](Self::download_sparse) does, from an offset, and no more than `length` bytes, of which
    /// 0 means all.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    pub async fn download_sparse_with(&self, offset: u64, length: u64) -> Result<SparseDownload> {
        let stream = self.open_download(offset, length, StorageVolDownloadFlags::SPARSE_STREAM).await?;
        Ok(SparseDownload::new(stream))
    }

    pub(super) async fn open_download(
        &self,
        offset: u64,
        length: u64,
        flags: StorageVolDownloadFlags,
    ) -> Result<Stream> {
        let arguments =
            remote::StorageVolDownloadArgs { vol: self.to_wire(), offset, length, flags: flags.bits() };
        Ok(self.connection.client().open_stream(arguments).await?.1)
    }

    /// Overwrites the volume's content from its start with what is written, at most `length` bytes, of which 0 means as many
    /// as come. The volume must have room for them. [`finish`](Upload::finish) says whether all arrived.
    ///
    /// ```no_run
    /// # async fn example(volume: libvirt_client::StorageVol, image: &[u8]) -> std::io::Result<()> {
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let mut upload = volume.upload(image.len() as u64).await?;
    /// upload.write_all(image).await?;
    /// upload.finish().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Calls `REMOTE_PROC_STORAGE_VOL_UPLOAD` (208), C: `virStorageVolUpload`, since libvirt 0.9.0. Needs
    /// `storage_vol:data_write`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virStorageVolUpload")]
    pub async fn upload(&self, length: u64) -> Result<Upload> {
        self.upload_with(0, length, StorageVolUploadFlags::empty()).await
    }

    /// Does what [`upload`](Self::upload) does, from an offset. With the flag `SPARSE_STREAM`,
    /// [`write_hole`](Upload::write_hole) leaves holes.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub async fn upload_with(
        &self,
        offset: u64,
        length: u64,
        flags: StorageVolUploadFlags,
    ) -> Result<Upload> {
        let arguments =
            remote::StorageVolUploadArgs { vol: self.to_wire(), offset, length, flags: flags.bits() };
        Ok(Upload::new(self.connection.client().open_stream(arguments).await?.1))
    }
}

impl Domain {
    /// Takes a picture of one of the running domain's screens, which are counted from 0.
    ///
    /// ```no_run
    /// # async fn example(domain: libvirt_client::Domain) -> Result<(), Box<dyn std::error::Error>> {
    /// let screenshot = domain.screenshot(0).await?;
    /// println!("{}", screenshot.mime_type);
    /// std::fs::write("screen", screenshot.bytes().await?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Calls `REMOTE_PROC_DOMAIN_SCREENSHOT` (211), C: `virDomainScreenshot`, since libvirt 0.9.2. Needs
    /// `domain:screenshot`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainScreenshot")]
    pub async fn screenshot(&self, screen: u32) -> Result<Screenshot> {
        let arguments = remote::DomainScreenshotArgs { dom: self.to_wire(), screen, flags: 0 };
        let (reply, stream) = self.connection.client().open_stream(arguments).await?;
        Ok(Screenshot { mime_type: reply.mime.unwrap_or_default(), image: Download::new(stream) })
    }

    /// Opens the first console of the running domain, for reading and writing. If somebody has it open, this fails. A guest
    /// that is silent gives nothing to read.
    ///
    /// ```no_run
    /// # async fn example(domain: libvirt_client::Domain) -> std::io::Result<()> {
    /// use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    ///
    /// let (reader, mut writer) = domain.open_console().await?.into_split();
    /// writer.write_all(b"\n").await?;
    /// let mut lines = BufReader::new(reader).lines();
    /// while let Some(line) = lines.next_line().await? {
    ///     println!("{line}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Calls `REMOTE_PROC_DOMAIN_OPEN_CONSOLE` (201), C: `virDomainOpenConsole`, since libvirt 0.8.6. Needs
    /// `domain:open_device`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainOpenConsole")]
    pub async fn open_console(&self) -> Result<GuestStream> {
        self.open_console_with(None, DomainConsoleFlags::empty()).await
    }

    /// Does what [`open_console`](Self::open_console) does, for the console, serial or parallel device of this alias, as in
    /// `serial0`, and with flags: `FORCE` takes it away from whoever has it open, `SAFE` fails where that could not be kept
    /// apart.
    ///
    /// # Errors
    /// As [`open_console`](Self::open_console).
    pub async fn open_console_with<'a>(
        &self,
        device: impl Into<Option<&'a str>>,
        flags: DomainConsoleFlags,
    ) -> Result<GuestStream> {
        let dev_name = device.into().map(str::to_owned);
        let arguments = remote::DomainOpenConsoleArgs { dom: self.to_wire(), dev_name, flags: flags.bits() };
        Ok(GuestStream::new(self.connection.client().open_stream(arguments).await?.1))
    }

    /// Opens the channel of this name to the guest, or the first one, for reading and writing. If somebody has it open, this
    /// fails. A guest where nobody listens gives nothing to read.
    ///
    /// Calls `REMOTE_PROC_DOMAIN_OPEN_CHANNEL` (296), C: `virDomainOpenChannel`, since libvirt 1.0.2. Needs
    /// `domain:open_device`.
    ///
    /// # Errors
    /// What the daemon refuses it with, or why there was no answer.
    #[doc(alias = "virDomainOpenChannel")]
    pub async fn open_channel<'a>(&self, name: impl Into<Option<&'a str>>) -> Result<GuestStream> {
        self.open_channel_with(name, DomainChannelFlags::empty()).await
    }

    /// Does what [`open_channel`](Self::open_channel) does, with flags: `FORCE` takes the channel away from whoever has it
    /// open.
    ///
    /// # Errors
    /// As [`open_channel`](Self::open_channel).
    pub async fn open_channel_with<'a>(
        &self,
        name: impl Into<Option<&'a str>>,
        flags: DomainChannelFlags,
    ) -> Result<GuestStream> {
        let name = name.into().map(str::to_owned);
        let arguments = remote::DomainOpenChannelArgs { dom: self.to_wire(), name, flags: flags.bits() };
        Ok(GuestStream::new(self.connection.client().open_stream(arguments).await?.1))
    }
}

//! Pictures of screens.

use bytes::Bytes;

use super::Download;
use crate::error::Result;

/// A picture of a domain's screen.
#[derive(Debug)]
#[non_exhaustive]
pub struct Screenshot {
    /// Its format, as in `image/png` or `image/x-portable-pixmap`, which the hypervisor chooses.
    pub mime_type: String,
    /// Its bytes, as they come.
    pub image: Download,
}

impl Screenshot {
    /// Reads the whole picture into memory.
    ///
    /// # Errors
    /// What the daemon reports, or why the connection ended.
    pub async fn bytes(self) -> Result<Bytes> {
        self.image.bytes().await
    }
}

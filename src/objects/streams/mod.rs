//! Data streams: what is in a volume, a picture of a screen, a guest's console and channels.
//!
//! | method | what it opens |
//! |---|---|
//! | [`StorageVol::download`](crate::StorageVol::download) | a [`Download`]: `AsyncRead`, and a `Stream` of bytes |
//! | [`StorageVol::download_sparse`](crate::StorageVol::download_sparse) | a [`SparseDownload`]: a `Stream` of data and holes |
//! | [`StorageVol::upload`](crate::StorageVol::upload) | an [`Upload`]: `AsyncWrite`, and holes |
//! | [`StorageVol::download_to`](crate::StorageVol::download_to), [`upload_from`](crate::StorageVol::upload_from) | a transfer into a file, or out of one |
//! | [`Domain::screenshot`](crate::Domain::screenshot) | a [`Screenshot`] |
//! | [`Domain::open_console`](crate::Domain::open_console), [`Domain::open_channel`](crate::Domain::open_channel) | a [`GuestStream`]: `AsyncRead` and `AsyncWrite` |
//!
//! All of them go over the connection that they were opened on, beside its calls.
//! [`rpc::stream`](crate::rpc::stream) says how much waits in memory, and what a reader does to others that takes its time.
//!
//! The traits have [`std::io::Error`], of which [`Error::from_io`](crate::Error::from_io) makes an error of this crate again.

mod download;
mod download_to;
mod guest;
mod open;
mod screenshot;
mod source;
mod sparse_file;
mod transfer;
mod upload;
mod upload_from;

pub use download::{Download, SparseDownload};
pub use download_to::DownloadTo;
pub use guest::{GuestReader, GuestStream, GuestWriter};
pub use screenshot::Screenshot;
pub use transfer::{Progress, Transferred};
pub use upload::Upload;
pub use upload_from::UploadFrom;

pub use crate::rpc::Piece;

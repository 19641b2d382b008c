//! What comes for those who have gone: it is dropped, and what came with it is closed.

use std::{collections::HashSet, future::IntoFuture};

use super::{
    streams::{download, open, upload},
    *,
};

impl Daemon {
    /// Opens every stream, takes what is written, confirms what is finished and aborted, and answers other calls. Returns
    /// how many were opened, and how many are open when the client leaves.
    async fn serve_uploads(mut self) -> (usize, usize) {
        let (mut opened, mut open) = (0, HashSet::new());
        while let Some(frame) = self.receive().await {
            let is_stream = frame.header.type_ != MessageType::CALL;
            match frame.header.status {
                MessageStatus::CONTINUE => assert!(open.contains(&frame.header.serial), "data of no stream"),
                _ if is_stream => {
                    assert!(open.remove(&frame.header.serial), "a stream was closed that was not open");
                    self.stream(&frame, MessageStatus::OK, &()).await;
                }
                _ if frame.header.proc == remote::Procedure::STORAGE_VOL_UPLOAD.0 => {
                    opened += 1;
                    open.insert(frame.header.serial);
                    self.reply(&frame, &()).await;
                }
                _ => self.reply(&frame, &remote::ConnectGetHostnameRet::default()).await,
            }
        }
        (opened, open.len())
    }
}

#[tokio::test]
async fn writing_and_aborting_may_be_dropped_at_every_poll() {
    // 1 is the flag for holes.
    const HOLES: u32 = 1;
    let (near, far) = duplex(4096);
    let client = Client::start(ByteStream(near), &Config::default());
    let daemon = Daemon { stream: far, decoder: FrameDecoder::default() };
    let daemon = tokio::spawn(daemon.serve_uploads());
    let mut aborted = 0;
    for polls in 0..40 {
        let (_, mut stream) = client.open_stream(upload(HOLES)).await.unwrap();
        // More than may wait to be written, so that it is dropped in between, too.
        drop(poll_and_drop(stream.send(vec![7; 3 << 19]), polls).await);
        drop(poll_and_drop(stream.send_hole(1 << 20), polls).await);
        let waiting = async {
            stream.send(vec![7; 1000]).await.unwrap();
            stream.finish().await.unwrap();
        };
        let _ = poll_and_drop(waiting, polls).await;
        drop(stream);
        let (_, stream) = client.open_stream(upload(0)).await.unwrap();
        aborted += usize::from(poll_and_drop(stream.abort(), polls).await.is_some());
        client.call(hostname()).await.unwrap();
    }
    assert!(aborted > 0, "40 polls are enough to abort a stream");
    drop(client);
    let (opened, open) = daemon.await.unwrap();
    assert_eq!((opened, open), (80, 0), "streams were left open");
}

#[tokio::test]
async fn an_opening_that_nobody_waits_for_is_aborted_whenever_it_is_answered() {
    let (client, mut daemon) = Daemon::start(&Config::default());
    for is_refused in [false, true] {
        let opening = tokio::spawn({
            let client = client.clone();
            async move { client.open_stream(download()).await.map(drop) }
        });
        let call = daemon.receive().await.unwrap();
        opening.abort();
        assert!(opening.await.unwrap_err().is_cancelled());
        if is_refused {
            daemon.refuse(&call, 38).await;
        } else {
            daemon.reply(&call, &()).await;
            daemon.data(&call, b"late").await;
            daemon.receive_stream(&call, MessageStatus::ERROR).await;
            daemon.stream(&call, MessageStatus::OK, &()).await;
        }
    }
    // Nothing is said of the one that was refused.
    let (_stream, call) = open(&client, &mut daemon, download()).await;
    assert_eq!(call.header.proc, remote::Procedure::STORAGE_VOL_DOWNLOAD.0);
}

impl Daemon {
    /// Has one volume, which begins with a hole. Returns how many streams of it are open when the client leaves.
    async fn serve_a_volume(mut self) -> usize {
        let mut open = HashSet::new();
        while let Some(frame) = self.receive().await {
            let (serial, kind) = (frame.header.serial, frame.header.type_);
            if kind == MessageType::STREAM || kind == MessageType::STREAM_HOLE {
                assert!(open.contains(&serial), "a frame of no stream");
                if frame.header.status != MessageStatus::CONTINUE {
                    open.remove(&serial);
                    self.stream(&frame, MessageStatus::OK, &()).await;
                }
                continue;
            }
            match remote::Procedure(frame.header.proc) {
                remote::Procedure::STORAGE_VOL_UPLOAD => {
                    open.insert(serial);
                    self.reply(&frame, &()).await;
                }
                remote::Procedure::STORAGE_VOL_DOWNLOAD => {
                    open.insert(serial);
                    self.reply(&frame, &()).await;
                    self.hole(&frame, 1 << 20).await;
                    for _ in 0..20 {
                        self.data(&frame, &[7; 1000]).await;
                    }
                    self.data(&frame, b"").await;
                }
                remote::Procedure::STORAGE_VOL_LOOKUP_BY_PATH => {
                    let vol = remote::NonnullStorageVol::default();
                    self.reply(&frame, &remote::StorageVolLookupByPathRet { vol }).await;
                }
                remote::Procedure::CONNECT_GET_HOSTNAME => {
                    self.reply(&frame, &remote::ConnectGetHostnameRet::default()).await;
                }
                remote::Procedure::AUTH_LIST => {
                    self.reply(&frame, &remote::AuthListRet { types: Vec::new() }).await;
                }
                remote::Procedure::CONNECT_SUPPORTS_FEATURE => self.reply(&frame, &1i32).await,
                _ => self.reply(&frame, &()).await,
            }
        }
        open.len()
    }
}

#[tokio::test]
async fn transfers_of_files_may_be_dropped_at_every_poll() {
    let (near, far) = duplex(4096);
    let daemon = tokio::spawn(Daemon { stream: far, decoder: FrameDecoder::default() }.serve_a_volume());
    let builder = Connection::builder("unused:///");
    let connection = builder.open_over(ByteStream(near), "test:///default".to_owned()).await.unwrap();
    let volume = connection.volume_by_path("/disk").await.unwrap();
    let path = std::env::temp_dir().join(format!("libvirt-client-dropped-{}", std::process::id()));
    let file =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut done = (0, 0);
    // Threads for blocking work take part, so that what a number of polls is enough for differs from time to time.
    for polls in (0..40).chain([1_000_000]) {
        let down = volume.download_to(&file).sparse().into_future();
        done.0 += usize::from(poll_and_drop(down, polls).await.is_some_and(|done| done.is_ok()));
        let up = volume.upload_from(&file).sparse().into_future();
        done.1 += usize::from(poll_and_drop(up, polls).await.is_some_and(|done| done.is_ok()));
        connection.hostname().await.unwrap();
    }
    assert!(done.0 > 0 && done.1 > 0, "a million polls are enough: {done:?}");
    drop((connection, volume));
    assert_eq!(daemon.await.unwrap(), 0, "streams were left open");
}

#[cfg(target_os = "linux")]
mod descriptors {
    use std::{
        fs::{self, File},
        os::fd::AsFd,
        path::{Path, PathBuf},
    };

    use libvirt_client::{protocol::frame, transport::unix::UnixSocket};
    use tokio::net::UnixStream;

    use super::*;

    /// Receives a frame whole.
    async fn receive(socket: &mut UnixSocket) -> Frame {
        let mut decoder = FrameDecoder::default();
        loop {
            if let Some(frame) = decoder.next().unwrap() {
                return frame;
            }
            let receiving = |cx: &mut Context<'_>| socket.poll_receive(cx, decoder.spare(), &mut |_| {});
            let count = std::future::poll_fn(receiving).await.unwrap();
            assert_ne!(count, 0, "the client has gone");
            decoder.advance(count);
        }
    }

    async fn send(socket: &mut UnixSocket, bytes: &[u8], descriptor: Option<&File>) {
        let sending = |cx: &mut Context<'_>| socket.poll_send(cx, bytes, descriptor.map(AsFd::as_fd));
        assert_eq!(std::future::poll_fn(sending).await.unwrap(), bytes.len());
    }

    async fn reply(socket: &mut UnixSocket, call: &Frame, body: &impl Encode, descriptors: &[&File]) {
        let type_ = if descriptors.is_empty() { MessageType::REPLY } else { MessageType::REPLY_WITH_FDS };
        let header = MessageHeader { type_, ..call.header };
        send(socket, &frame::encode(&header, descriptors.len(), body).unwrap(), None).await;
        for descriptor in descriptors {
            send(socket, &[0], Some(descriptor)).await;
        }
    }

    /// Counts the descriptors of this process that are this file.
    fn open_files(path: &Path) -> usize {
        let all = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        all.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path)).count()
    }

    /// A file of its own, so that other tests' do not count.
    struct Passed(PathBuf);

    impl Passed {
        fn new() -> (Self, File) {
            let path = std::env::temp_dir().join(format!("libvirt-client-late-{}", std::process::id()));
            let file = File::create(&path).unwrap();
            (Self(path), file)
        }
    }

    impl Drop for Passed {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[tokio::test]
    async fn those_that_come_too_late_are_closed() {
        let (passed, file) = Passed::new();
        let (near, far) = UnixStream::pair().unwrap();
        let client = Client::start(UnixSocket::new(near).unwrap(), &Config::default());
        let mut daemon = UnixSocket::new(far).unwrap();
        let graphics = || remote::DomainOpenGraphicsFdArgs {
            dom: remote::NonnullDomain { name: String::new(), uuid: [0; 16], id: 1 },
            idx: 0,
            flags: 0,
        };
        for gone in [true, false, true] {
            let asking = tokio::spawn({
                let client = client.clone();
                async move { client.call_with_descriptors(graphics(), Vec::new()).await.unwrap().1 }
            });
            let call = receive(&mut daemon).await;
            if gone {
                asking.abort();
                assert!(asking.await.unwrap_err().is_cancelled());
                reply(&mut daemon, &call, &(), &[&file, &file]).await;
            } else {
                reply(&mut daemon, &call, &(), &[&file, &file]).await;
                let descriptors = asking.await.unwrap();
                assert_eq!((descriptors.len(), open_files(&passed.0)), (2, 3), "whoever waits has them");
            }
            let asking = tokio::spawn({
                let client = client.clone();
                async move { client.call(hostname()).await.unwrap() }
            });
            let call = receive(&mut daemon).await;
            reply(&mut daemon, &call, &remote::ConnectGetHostnameRet::default(), &[]).await;
            asking.await.unwrap();
            assert_eq!(open_files(&passed.0), 1, "ours is the only one");
        }
    }
}

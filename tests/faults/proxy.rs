//! Stands between a client and a daemon, understands what they say, and does one thing wrong.
//!
//! Each connection has two threads, one for each direction, so that the client's runtime has nothing to do with it.

use std::{
    fs, io,
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::Duration,
};

use libvirt_client::protocol::net::MessageType;

use crate::{
    fault::{Fault, Instead, Side, Then},
    frames::{Frame, Splitter},
    socket,
};

/// A socket that leads to a daemon's.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    path: PathBuf,
    upstream: PathBuf,
    /// Something of the client's is always left unread, so that the connection can be reset.
    can_reset: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Frames are counted, and what they are is kept.
    armed: bool,
    fault: Option<(Side, usize, Fault)>,
    fired: bool,
    /// What each side sent since then.
    came: [Vec<Frame>; 2],
    /// What was passed on of it, as it was passed on.
    passed: [Vec<Frame>; 2],
    connections: Vec<Arc<Connection>>,
    /// Whoever connects is cut off at once.
    turned_away: bool,
    over: bool,
}

/// Two sockets, and whether the proxy is through with them.
struct Connection {
    client: UnixStream,
    daemon: UnixStream,
    state: Mutex<Going>,
    changed: Condvar,
    /// Held while a whole frame is written.
    to_client: Mutex<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    Silent,
    Over,
}

impl Proxy {
    /// Begins to accept connections at `path`.
    pub(crate) fn start(path: &Path, upstream: &Path, can_reset: bool) -> Self {
        let _ = fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            upstream: upstream.to_owned(),
            can_reset,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        });
        Self { shared, accepting: Some(accepting) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Counts frames from now on, and does something to the one with this number.
    pub(crate) fn arm(&self, side: Side, number: usize, fault: Fault) {
        let mut state = self.shared.lock();
        state.armed = true;
        state.fault = Some((side, number, fault));
        state.fired = false;
        state.came = Default::default();
        state.passed = Default::default();
    }

    /// Does it now, while nobody speaks.
    pub(crate) fn fire(&self, fault: Fault) {
        let connection = self.shared.lock().connections.last().cloned().expect("there is a connection");
        match fault {
            Fault::Cut(_, then) => connection.end(then),
            Fault::Stray(stray) => {
                let like = self.shared.lock().passed[Side::Daemon as usize].last().map(Frame::header);
                let like = like.unwrap_or(libvirt_client::protocol::frame::call_header(
                    &libvirt_client::protocol::remote::PROCEDURES[0],
                    0,
                ));
                // The client may be gone already.
                let _ = socket::send(&connection.client, &stray.bytes(&like), None);
            }
            Fault::LoneDescriptor => {
                let descriptor = fs::File::open("/dev/null").unwrap().into();
                let ping =
                    crate::fault::Stray::UnknownEvent.bytes(&libvirt_client::protocol::frame::call_header(
                        &libvirt_client::protocol::remote::PROCEDURES[0],
                        0,
                    ));
                let _ = socket::send(&connection.client, &ping, Some(&descriptor));
            }
            other => panic!("{other:?} needs a frame"),
        }
        self.shared.lock().fired = true;
        self.shared.changed.notify_all();
    }

    /// Sends the last event that was passed on so many times more.
    pub(crate) fn repeat(&self, times: u64) {
        let (connection, event) = {
            let state = self.shared.lock();
            let mut events = state.passed[Side::Daemon as usize].iter().rev();
            let event = events.find(|frame| frame.header().type_ == MessageType::MESSAGE).map(Frame::copy);
            (state.connections.last().cloned().unwrap(), event.expect("there was an event"))
        };
        for _ in 0..times {
            let _order = connection.to_client.lock().unwrap();
            socket::send(&connection.client, &event.bytes, None).unwrap();
        }
    }

    /// Tells whether it has been done.
    pub(crate) fn has_fired(&self) -> bool {
        self.shared.lock().fired
    }

    /// Looks at what came from a side, and what was passed on of it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Vec<Frame>; 2], &[Vec<Frame>; 2]) -> T) -> T {
        let state = self.shared.lock();
        look(&state.came, &state.passed)
    }

    /// Waits until so many frames came from a side, or it was done what was to be done, and tells whether either is so.
    pub(crate) fn wait_for(&self, side: Side, frames: usize, limit: Duration) -> bool {
        let state = self.shared.lock();
        let not_yet = |state: &mut State| state.came[side as usize].len() < frames && !state.fired;
        !self.shared.changed.wait_timeout_while(state, limit, not_yet).unwrap().1.timed_out()
    }

    /// Cuts off whoever connects from now on, or no longer.
    pub(crate) fn turn_away(&self, turned_away: bool) {
        self.shared.lock().turned_away = turned_away;
    }

    /// Ends the connections that there are.
    pub(crate) fn cut_all(&self) {
        let connections = std::mem::take(&mut self.shared.lock().connections);
        connections.iter().for_each(|connection| connection.end(Then::Close));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.cut_all();
        // It accepts once more, and sees that it is over.
        let _ = UnixStream::connect(&self.shared.path);
        if let Some(accepting) = self.accepting.take() {
            let ended = accepting.join();
            assert!(ended.is_ok() || thread::panicking(), "the proxy panicked");
        }
        let _ = fs::remove_file(&self.shared.path);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn accept(self: Arc<Self>, listener: &UnixListener) {
        let mut pumps: Vec<JoinHandle<()>> = Vec::new();
        loop {
            let (client, _) = listener.accept().unwrap();
            if self.lock().over {
                break;
            }
            if self.lock().turned_away {
                continue;
            }
            // While the daemon is away, its clients are turned away.
            let Ok(daemon) = UnixStream::connect(&self.upstream) else { continue };
            let connection = Arc::new(Connection {
                client,
                daemon,
                state: Mutex::new(Going::On),
                changed: Condvar::new(),
                to_client: Mutex::new(()),
            });
            {
                let mut state = self.lock();
                state.connections.push(connection.clone());
            }
            for side in [Side::Client, Side::Daemon] {
                let (shared, connection) = (self.clone(), connection.clone());
                pumps.push(thread::spawn(move || {
                    shared.pump(&connection, side);
                    connection.end(Then::Close);
                    shared.lock().connections.retain(|other| !Arc::ptr_eq(other, &connection));
                    shared.changed.notify_all();
                }));
            }
        }
        for pump in pumps {
            assert!(pump.join().is_ok(), "the proxy panicked");
        }
    }

    /// Passes on what comes from one side, until that is over.
    fn pump(&self, connection: &Connection, side: Side) {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; 1 << 16];
        let mut left = 0;
        loop {
            if self.can_reset && side == Side::Client {
                match connection.receive_but_one(&mut left) {
                    Some(bytes) => splitter.push(&bytes, Vec::new()),
                    None => return,
                }
            } else {
                match socket::receive(connection.client_or_daemon(side), &mut buffer) {
                    Ok((0, _)) | Err(_) => return,
                    Ok((count, descriptors)) => splitter.push(&buffer[..count], descriptors),
                }
            }
            while let Some(frame) = splitter.next() {
                if !connection.goes_on() || self.pass(connection, side, frame).is_err() {
                    return;
                }
            }
            for descriptor in splitter.sent_back() {
                if socket::send(connection.client_or_daemon(side.other()), &[0], Some(&descriptor)).is_err() {
                    return;
                }
            }
        }
    }

    /// Passes a frame on, or what is to come in its place.
    fn pass(&self, connection: &Connection, side: Side, frame: Frame) -> io::Result<()> {
        let to = connection.client_or_daemon(side.other());
        let _order = (side == Side::Daemon).then(|| connection.to_client.lock().unwrap());
        if frame.is_keepalive() {
            return send(to, &frame);
        }
        let fault = self.count(side, &frame);
        match fault {
            Fault::Cut(at, then) => {
                let bytes = at.bytes(frame.bytes.len());
                if bytes == frame.bytes.len() {
                    self.note(side, &frame);
                    send(to, &frame)?;
                } else {
                    socket::send(to, &frame.bytes[..bytes], None)?;
                }
                connection.end(then);
                drop(_order);
                // Silent, it stays open until the proxy goes.
                connection.goes_on();
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Fault::Dribble(piece) => {
                self.note(side, &frame);
                for piece in frame.bytes.chunks(piece) {
                    socket::send(to, piece, None)?;
                    thread::yield_now();
                }
                return send_descriptors(to, &frame);
            }
            Fault::Late(pause) => thread::sleep(pause),
            _ => {}
        }
        let Instead { before, frames } = fault.apply(frame);
        for frame in &frames {
            self.note(side, frame);
        }
        socket::send(to, &before, None)?;
        for frame in &frames {
            match fault {
                Fault::LoneDescriptor => socket::send(to, &frame.bytes, frame.descriptors.first())?,
                Fault::WithoutDescriptor => {
                    socket::send(to, &frame.bytes, None)?;
                    socket::send(to, &vec![0; frame.descriptors.len()], None)?;
                }
                _ => send(to, frame)?,
            }
        }
        Ok(())
    }

    /// Counts a frame, and returns what is to be done to it.
    fn count(&self, side: Side, frame: &Frame) -> Fault {
        let mut state = self.lock();
        let fault = match state.fault {
            Some((_, _, fault @ (Fault::Dribble(_) | Fault::Late(_)))) => fault,
            Some((at, number, fault)) if at == side && number == state.came[side as usize].len() => fault,
            _ => Fault::None,
        };
        if !state.armed {
            return Fault::None;
        }
        state.came[side as usize].push(frame.copy());
        state.fired |= fault != Fault::None;
        self.changed.notify_all();
        fault
    }

    /// Notes what is about to be passed on.
    fn note(&self, side: Side, frame: &Frame) {
        let mut state = self.lock();
        if state.armed {
            state.passed[side as usize].push(frame.copy());
        }
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Daemon,
            Self::Daemon => Self::Client,
        }
    }
}

impl Connection {
    fn client_or_daemon(&self, side: Side) -> &UnixStream {
        match side {
            Side::Client => &self.client,
            Side::Daemon => &self.daemon,
        }
    }

    /// Does not read or write any more.
    fn end(&self, then: Then) {
        let mut going = self.state.lock().unwrap();
        if *going == Going::Over {
            return;
        }
        *going = if then == Then::Silence { Going::Silent } else { Going::Over };
        self.changed.notify_all();
        match then {
            Then::Silence => {}
            Then::Close => {
                let _ = self.client.shutdown(Shutdown::Both);
                let _ = self.daemon.shutdown(Shutdown::Both);
            }
            // What the client sent is left unread; the sockets are closed once the threads have let go of them.
            Then::Reset => {
                let _ = self.daemon.shutdown(Shutdown::Both);
            }
        }
    }

    /// Tells whether there is something to do, once it is not silent any more.
    fn goes_on(&self) -> bool {
        let mut going = self.state.lock().unwrap();
        while *going == Going::Silent {
            going = self.changed.wait(going).unwrap();
        }
        *going == Going::On
    }

    /// Waits for bytes of the client, of which the last one stays unread.
    fn receive_but_one(&self, left: &mut usize) -> Option<Vec<u8>> {
        loop {
            if !self.goes_on() {
                return None;
            }
            if let Ok(bytes) = socket::take_all_but_one(&self.client)
                && bytes.len() > *left
            {
                let new = bytes[*left..].to_vec();
                *left = 1;
                return Some(new);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn send(to: &UnixStream, frame: &Frame) -> io::Result<()> {
    socket::send(to, &frame.bytes, None)?;
    send_descriptors(to, frame)
}

fn send_descriptors(to: &UnixStream, frame: &Frame) -> io::Result<()> {
    frame.descriptors.iter().try_for_each(|descriptor| socket::send(to, &[0], Some(descriptor)))
}

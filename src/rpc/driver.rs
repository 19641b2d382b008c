//! The one task that reads and writes a connection.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::coop::unconstrained,
    time::Sleep,
};

use super::{
    Wire,
    client::{Reply, undecodable},
    command::{CallCommand, Command, Failure, Sent, Subscriber, Waiter},
    events::{Routed, Router},
    link::{Flow, Link},
    links::{self, Links},
    outbox::Outbox,
    secrets::carries_secret,
    session::{Delivery, Refusal, Session, StreamNews, Tick},
    stream::{Outgoing, Piece},
};
use crate::{
    error::{CloseReason, ConnectCloseReason, Error},
    protocol::{Call, ProcedureInfo, admin, frame::FrameDecoder, remote},
    xdr::{DecodeError, Reader},
};

/// How many reads are made before other tasks of the runtime have their turn.
const READS_PER_TURN: usize = 16;
/// How long the daemon may take to accept what is left to write when the connection is closed, and to end it when it
/// takes no more.
const GOODBYE: Duration = Duration::from_secs(2);

/// Reads and writes `wire` until the connection ends.
pub(super) struct Driver<W> {
    wire: W,
    commands: mpsc::UnboundedReceiver<Command>,
    closing: watch::Sender<Option<CloseReason>>,
    session: Session<Waiter>,
    decoder: FrameDecoder,
    outbox: Outbox,
    router: Router,
    links: Links,
    /// Nothing is read, since there is no room for more data of streams.
    paused: bool,
    timer: Option<Pin<Box<Sleep>>>,
    goodbye: Option<Pin<Box<Sleep>>>,
    /// We have told the daemon that we go, after which it closes the connection, perhaps before we do.
    expected: bool,
    /// Why nothing more can be written.
    broken: Option<io::Error>,
    /// The handles are gone or have said goodbye: what is left is to write what they handed over.
    leaving: bool,
}

impl<W: Wire> Driver<W> {
    pub(super) fn new(
        wire: W,
        commands: mpsc::UnboundedReceiver<Command>,
        closing: watch::Sender<Option<CloseReason>>,
        flow: Arc<Flow>,
        stream_buffer: usize,
    ) -> Self {
        Self {
            outbox: Outbox::new(wire.joins_frames()),
            wire,
            commands,
            closing,
            session: Session::default(),
            decoder: FrameDecoder::default(),
            router: Router::default(),
            links: Links::new(flow, stream_buffer),
            paused: false,
            timer: None,
            goodbye: None,
            expected: false,
            broken: None,
            leaving: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut reason = poll_fn(|cx| self.poll(cx)).await;
        if self.expected && matches!(reason, CloseReason::Eof | CloseReason::Io(_)) {
            reason = CloseReason::Client;
        }
        tracing::debug!(%reason, in_flight = self.session.in_flight(), "connection closed");
        if matches!(reason, CloseReason::Client) {
            let _ = tokio::time::timeout(GOODBYE, poll_fn(|cx| self.wire.poll_shutdown(cx))).await;
        }
        self.end(reason);
    }

    /// Tells everyone who waits. Dropped by its runtime, the task gets here as well.
    fn end(&mut self, reason: CloseReason) {
        self.closing.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert_with(|| reason.clone());
            first
        });
        self.router.close(&reason);
        self.links.close(&reason);
        let unsent = self.outbox.unsent();
        for (serial, waiter) in std::mem::take(&mut self.session).into_waiters() {
            waiter.fail(&reason, unsent.get(&serial).copied().unwrap_or(Sent::Wholly));
        }
        self.turn_away(&reason);
    }

    /// Does all that can be done now; ready when the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        // Reading may give something to write (a pong) and writing may give room to read; commands that come
        // in between wake this task again.
        if let Err(reason) = self.poll_read(cx) {
            return Poll::Ready(reason);
        }
        if let Err(reason) = self.poll_commands(cx) {
            return Poll::Ready(reason);
        }
        if self.paused && self.may_read() {
            // A call that was just made may be answered behind the data.
            cx.waker().wake_by_ref();
        }
        self.wake_sleepers(cx);
        self.poll_write(cx);
        if self.leaving && self.broken.is_none() && self.outbox.is_empty() {
            return Poll::Ready(CloseReason::Client);
        }
        if (self.leaving || self.broken.is_some()) && self.is_late(cx) {
            return Poll::Ready(self.broken.take().map_or(CloseReason::Client, closed_by));
        }
        self.poll_timer(cx)
    }

    /// Writes what waits. When that fails, the daemon takes no more, but what it said before is still there to be
    /// read: the end of that is the end of the connection.
    fn poll_write(&mut self, cx: &mut Context<'_>) {
        if self.broken.is_some() {
            return;
        }
        if let Poll::Ready(Err(error)) = self.outbox.poll_write(cx, &mut self.wire) {
            tracing::debug!(%error, "writing failed");
            self.broken = Some(error);
        }
    }

    /// Takes what handles ask for.
    fn poll_commands(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        while !self.leaving && self.broken.is_none() {
            match self.commands.poll_recv(cx) {
                Poll::Ready(Some(Command::Call(call))) => self.begin_call(call),
                Poll::Ready(Some(Command::Keepalive(config))) => {
                    self.session.start_keepalive(config.interval, config.count, now());
                    if self.paused {
                        self.session.pause(now());
                    }
                    self.timer = None;
                }
                Poll::Ready(Some(Command::Join { key, queue, joined })) => {
                    self.router.join(key, queue);
                    let _ = joined.send(());
                }
                Poll::Ready(Some(Command::Leave { key, queue })) => self.router.leave(key, &queue),
                Poll::Ready(Some(Command::Send { link, outgoing })) => self.send(&link, outgoing),
                Poll::Ready(Some(Command::Abandon(link))) => self.abandon(&link),
                // Whether there is room is looked at in any case.
                Poll::Ready(Some(Command::Resume)) => {}
                Poll::Ready(Some(Command::Close) | None) => self.leaving = true,
                Poll::Ready(Some(Command::Abort(reason))) => return Err(reason),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    /// Tells whether the daemon has had long enough to accept what is left to write.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let goodbye = self.goodbye.get_or_insert_with(|| Box::pin(tokio::time::sleep(GOODBYE)));
        goodbye.as_mut().poll(cx).is_ready()
    }

    fn begin_call(&mut self, call: CallCommand) {
        let CallCommand { procedure, mut frame, descriptors, waiter } = call;
        // Nobody would hear the answer, and the daemon has not been asked yet. Registrations are never given up.
        if waiter.reply.is_closed() && waiter.subscribe.is_none() {
            return;
        }
        if !descriptors.is_empty() && !self.wire.passes_descriptors() {
            let reason = format!("{}: only a Unix socket can pass descriptors", procedure.name);
            let _ = waiter.reply.send(Err(Error::Unsupported(reason).into()));
            return;
        }
        if waiter.subscribe.is_some() {
            self.router.begin();
        }
        self.expected |= is_goodbye(procedure);
        let serial = match waiter.stream.clone() {
            None => self.session.begin_call(procedure, frame.bytes_mut(), waiter),
            Some(link) => {
                let serial = self.session.begin_stream(procedure, frame.bytes_mut(), waiter);
                link.set_serial(serial);
                self.links.insert(serial, link);
                serial
            }
        };
        tracing::trace!(procedure = procedure.name, serial, bytes = frame.bytes().len(), "calling");
        if carries_secret(procedure) {
            return self.outbox.push_secret(frame.into_bytes(), descriptors);
        }
        self.outbox.push(frame.into_bytes(), descriptors);
    }

    /// Puts what a stream's user hands over where it is written from.
    fn send(&mut self, link: &Arc<Link>, outgoing: Outgoing) {
        // What is handed over for a stream that is gone waits no longer.
        let Some(serial) = self.links.serial_of(link) else { return link.sent(outgoing.data()) };
        let session = &mut self.session;
        match outgoing {
            Outgoing::Data(data) => match session.stream_data(serial, data.len()) {
                Ok(Some(head)) => self.outbox.lanes.push_data(serial, link, head, data),
                _ => link.sent(data.len()),
            },
            Outgoing::Hole(length) => match session.stream_hole(serial, length) {
                Some(hole) => self.outbox.lanes.push(serial, link, hole),
                None => link.sent(0),
            },
            Outgoing::Finish => match session.finish_stream(serial) {
                Some(finish) => self.outbox.lanes.push(serial, link, finish),
                None => link.sent(0),
            },
            Outgoing::Abort => self.abort(serial, link),
        }
    }

    /// Breaks a stream off: what waits to be written is not. A stream that was finished before goes on to its end.
    fn abort(&mut self, serial: u32, link: &Arc<Link>) {
        if let Some(abort) = self.session.abort_stream(serial) {
            self.outbox.lanes.drop_lane(serial);
            self.outbox.lanes.push(serial, link, abort);
        }
    }

    /// Takes note that nobody holds a stream any more.
    fn abandon(&mut self, link: &Arc<Link>) {
        link.stop_reading();
        if let Some(serial) = self.links.serial_of(link) {
            tracing::trace!(procedure = link.procedure.name, serial, "stream dropped");
            self.abort(serial, link);
            self.links.remove(serial);
        }
    }

    /// Breaks off the streams whose readers have taken nothing for too long, while others wait.
    fn wake_sleepers(&mut self, cx: &mut Context<'_>) {
        for (serial, link) in self.links.poll_sleepers(cx) {
            tracing::debug!(procedure = link.procedure.name, serial, "a sleeping reader held up the others");
            link.fail(links::sleeper(&link));
            link.stop_reading();
            if let Some(serial) = serial {
                self.abort(serial, &link);
                self.links.remove(serial);
            }
            // There is room now.
            cx.waker().wake_by_ref();
        }
    }

    fn break_off(&mut self, serial: u32, link: &Arc<Link>, error: Error) {
        link.fail(error);
        self.abort(serial, link);
        self.links.remove(serial);
    }

    /// Tells whether there is room for more data of streams, and takes note of it.
    fn may_read(&mut self) -> bool {
        let session = &self.session;
        let may_read = self.links.may_read(|| session.waiters().any(Waiter::is_awaited));
        if may_read == self.paused {
            self.paused = !may_read;
            self.links.say_paused();
            if self.paused {
                self.session.pause(now());
            } else {
                self.session.resume(now());
            }
            if let (Some(timer), Some(due)) = (&mut self.timer, self.session.next_tick()) {
                timer.as_mut().reset(due.into());
            }
        }
        may_read
    }

    /// Reads and delivers.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        for _ in 0..READS_PER_TURN {
            if !self.may_read() {
                return Ok(());
            }
            let mut descriptors = Vec::new();
            let read = self
                .wire
                .poll_receive(cx, self.decoder.spare(), &mut |descriptor| descriptors.push(descriptor));
            let count = match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) if self.decoder.is_mid_frame() => {
                    return Err(closed_by(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the daemon's last message was cut",
                    )));
                }
                Poll::Ready(Ok(0)) => return Err(CloseReason::Eof),
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(error)) => return Err(closed_by(error)),
            };
            self.decoder.advance(count);
            for descriptor in descriptors {
                self.decoder.push_descriptor(descriptor);
            }
            self.session.heard(now());
            self.deliver_all()?;
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn deliver_all(&mut self) -> Result<(), CloseReason> {
        while let Some(frame) = self.decoder.next().map_err(|error| CloseReason::Protocol(Arc::new(error)))? {
            let delivery =
                self.session.receive(frame).map_err(|error| CloseReason::Protocol(Arc::new(error)))?;
            let announced = end_that_is_announced(&delivery);
            self.deliver(delivery);
            if let Some(reason) = announced {
                return Err(CloseReason::Announced(reason));
            }
        }
        Ok(())
    }

    fn deliver(&mut self, delivery: Delivery<Waiter>) {
        match delivery {
            Delivery::Reply { waiter, serial, procedure, outcome, abort } => {
                let reply = Reply::from_outcome(procedure, serial, outcome);
                if let Some(Subscriber { family, number, queue }) = &waiter.subscribe {
                    // Before the next frame is looked at: it may be the first event.
                    let known_by = reply.as_ref().ok().and_then(|reply| event_number(*number, reply).ok());
                    self.router.finish(known_by.map(|number| ((*family, number), queue.clone())));
                }
                match &reply {
                    Ok(reply) => {
                        tracing::trace!(
                            procedure = procedure.name,
                            serial,
                            bytes = reply.payload.len(),
                            "reply"
                        );
                    }
                    Err(error) => {
                        let code = error.code().map(|code| code.0);
                        tracing::trace!(procedure = procedure.name, serial, code, %error, "refusal");
                    }
                }
                if let Some(link) = &waiter.stream {
                    self.opened(serial, link, &reply, abort);
                }
                if waiter.reply.send(reply.map_err(Failure::Error)).is_err() {
                    tracing::debug!(
                        serial,
                        procedure = procedure.name,
                        "a reply came after its caller had gone"
                    );
                }
            }
            Delivery::Stream { serial, procedure, news } => self.deliver_news(serial, procedure, news),
            Delivery::Event { program, procedure, payload } => {
                let routed = self.router.route(program, procedure, &payload);
                tracing::trace!(
                    program = format_args!("{program:#010x}"),
                    procedure,
                    bytes = payload.len(),
                    ?routed,
                    "event"
                );
                if routed == Routed::Unwanted {
                    tracing::debug!(
                        program = format_args!("{program:#010x}"),
                        procedure,
                        "nobody subscribed to this event"
                    );
                }
            }
            Delivery::Send(frame) => self.outbox.push_urgent(frame),
            Delivery::Nothing => {}
            Delivery::Ignored(why) => tracing::debug!(?why, "a message was ignored"),
        }
    }

    /// Takes note of how the call that opens a stream was answered.
    fn opened(
        &mut self,
        serial: u32,
        link: &Arc<Link>,
        reply: &Result<Reply, Error>,
        abort: Option<Vec<u8>>,
    ) {
        if let Err(error) = reply {
            link.fail(error.clone());
            self.links.remove(serial);
        }
        if let Some(abort) = abort {
            self.outbox.lanes.push(serial, link, abort);
        }
    }

    fn deliver_news(&mut self, serial: u32, procedure: &'static ProcedureInfo, news: StreamNews) {
        match &news {
            // Not the data itself: it is the content of disks and consoles.
            StreamNews::Data(data) => {
                tracing::trace!(procedure = procedure.name, serial, bytes = data.len(), "stream data");
            }
            news => tracing::trace!(procedure = procedure.name, serial, ?news, "stream"),
        }
        // Of a stream that nobody holds any more, there is nobody to tell.
        let Some(link) = self.links.get(serial).cloned() else { return };
        match news {
            StreamNews::Data(data) => link.push(Piece::Data(data)),
            StreamNews::Hole(length) => link.push(Piece::Hole(length)),
            StreamNews::End => link.end(),
            StreamNews::Closed => {
                link.close();
                self.links.remove(serial);
            }
            StreamNews::Failed(Refusal::Remote(error)) => {
                link.fail(Error::Remote(error));
                self.outbox.lanes.drop_lane(serial);
                self.links.remove(serial);
            }
            StreamNews::Failed(Refusal::Unreadable(error)) => {
                self.break_off(serial, &link, undecodable(procedure, error));
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        while let Some(due) = self.session.next_tick() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
            // The timer is not set anew with each frame that comes: it rings, and what is due is seen then.
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match self.session.tick(now()) {
                Tick::Nothing => {}
                Tick::Send(frame) => {
                    tracing::trace!(paused = self.paused, "the daemon is silent, or we are: sign of life");
                    self.outbox.push_urgent(frame);
                    self.poll_write(cx);
                }
                Tick::Dead { silence } => return Poll::Ready(CloseReason::Keepalive { silence }),
            }
            if let (Some(timer), Some(due)) = (&mut self.timer, self.session.next_tick()) {
                timer.as_mut().reset(due.into());
            }
        }
        Poll::Pending
    }
}

impl<W> Driver<W> {
    /// Tells those whose commands were not taken, and takes no more.
    fn turn_away(&mut self, reason: &CloseReason) {
        self.commands.close();
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match pin!(unconstrained(self.commands.recv())).poll(&mut cx) {
                Poll::Ready(Some(Command::Call(call))) => call.waiter.fail(reason, Sent::Nothing),
                Poll::Ready(Some(Command::Send { link, .. })) => link.fail(Error::Closed(reason.clone())),
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return,
                // Another thread was let in before, and is about to put its command here.
                Poll::Pending => thread::yield_now(),
            }
        }
    }
}

impl<W> Drop for Driver<W> {
    fn drop(&mut self) {
        // Only where the runtime was shut down with the connection open; after run() there is nobody left.
        let reason = self.closing.borrow().clone().unwrap_or_else(|| match thread::panicking() {
            true => CloseReason::Io(Arc::new(io::Error::other(
                "the connection's task panicked; please report it",
            ))),
            false => CloseReason::Runtime,
        });
        self.router.close(&reason);
        self.links.close(&reason);
        self.closing.send_if_modified(|closed| {
            let first = closed.is_none();
            closed.get_or_insert_with(|| reason.clone());
            first
        });
        self.turn_away(&reason);
    }
}

impl<W> fmt::Debug for Driver<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("in_flight", &self.session.in_flight())
            .field("leaving", &self.leaving)
            .finish_non_exhaustive()
    }
}

/// Returns what events are known by: the callback id in the reply of the registration, unless that is known before.
pub(super) fn event_number(known: Option<i32>, reply: &Reply) -> Result<i32, DecodeError> {
    known.map_or_else(|| Reader::new(&reply.payload).field("callbackID"), Ok)
}

/// Tells whether a call makes the daemon close the connection.
fn is_goodbye(procedure: &ProcedureInfo) -> bool {
    // Each procedure has one entry in the tables, so its address tells it, without a look at its name in every call.
    let goodbyes = [remote::ConnectCloseArgs::PROCEDURE, admin::ConnectCloseArgs::PROCEDURE];
    goodbyes.iter().any(|&goodbye| std::ptr::eq(goodbye, procedure))
}

/// Returns why the daemon's own connection to the hypervisor has ended, if that is what it reports.
fn end_that_is_announced<W>(delivery: &Delivery<W>) -> Option<ConnectCloseReason> {
    match delivery {
        Delivery::Event { program, procedure, payload }
            if *program == remote::PROGRAM.number
                && *procedure == remote::Procedure::CONNECT_EVENT_CONNECTION_CLOSED.0 =>
        {
            Reader::new(payload).field("reason").map(ConnectCloseReason).ok()
        }
        _ => None,
    }
}

/// A connection that the daemon cut off is closed by the daemon, however the operating system puts it.
fn closed_by(error: io::Error) -> CloseReason {
    match error.kind() {
        // Linux says the latter where the daemon left something of ours unread.
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => CloseReason::Eof,
        _ => CloseReason::Io(Arc::new(error)),
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

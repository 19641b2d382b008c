//! What waits for the daemon, for people or for other programs, what ends the waiting, and what dropping does.
//!
//! Everything that waits ends with a deadline or with the connection, and a connection whose daemon is gone ends: at once where
//! the operating system tells of it, else by keepalive ([`Builder::keepalive`], 30 seconds unless stated). Any future may be
//! dropped at any time: the connection goes on, and the table says what becomes of what was asked for. So a deadline for
//! anything is `tokio::time::timeout(limit, future).await`.
//!
//! | what waits | what ends the waiting | what dropping does |
//! |---|---|---|
//! | [`Builder::open`], [`Connection::open`], [`Connection::dedicated`] | [`Builder::open_timeout`] (30 s) for all of it; the error names the step. Without it keepalive's time for each answer that a daemon gives at once, and keepalive once that runs; the way to the daemon takes as long as the operating system or SSH take, and over SSH and programs nothing limits the silence before keepalive runs | leaves nothing behind but a session's daemon that was just started, and a thread that reads a file where its disk hangs |
//! | a question for [credentials](crate::Builder::credentials), polkit's to its agent, an SSH agent's to its user | `open_timeout`; nothing without it | the question is not answered |
//! | a call: its turn and its answer | [`Builder::call_timeout`] (none) or [`Connection::with_timeout`], else the connection's end | a call that waits for its turn is not sent; one that was sent is carried out, its answer is dropped, files that come with it are closed |
//! | a call over a [supervised](crate::supervision) connection that is down | [`Policy::wait`](crate::supervision::Policy::wait) (30 s) and the deadline of the call | it is not sent |
//! | [`subscribe`](crate::events::EventsBuilder::subscribe) | as a call | the registration is cancelled |
//! | the next [event](crate::Events) | the connection's end | loses nothing |
//! | the next piece of a [stream](crate::streams), room to write one | the stream's or the connection's end | loses nothing; of what is being written, the start may have been taken |
//! | the end of a stream, by `finish`, `abort` or `close` | as a call | the stream is finished or aborted all the same |
//! | a stream that is dropped | nobody waits | it is aborted |
//! | [`download_to`](crate::StorageVol::download_to), [`upload_from`](crate::StorageVol::upload_from) | the stream's or the connection's end, and that of the file system | the transfer is broken off; what was written stays |
//! | a reader of a stream who takes nothing, while others wait | 30 s, then its stream fails | |
//! | the agent of a [`guest`](crate::guest), a program in it, its address | the deadline that the builder or method says | what was begun in the guest goes on, unless the method says otherwise |
//! | a [migration](crate::migration) | its [`timeout`](crate::migration::Migration::timeout) (none), and 5 s more for a daemon that does not answer before the domain is sent; else either connection's end | it is cancelled, and both sides are cleaned up |
//! | [`Connection::close`] | 5 s for subscriptions on their way, 5 s for the answer, 4 s for the last bytes | the connection ends all the same |
//! | [`Connection::closed`] | the connection's end; of a daemon that is frozen only while reading is not stopped by a reader who takes nothing | nothing |
//! | [`ssh::Session::connect`](crate::transport::ssh::Session::connect) and [`tls::connect`](crate::transport::tls::connect) by themselves | 30 s for the handshake of TLS, `ConnectTimeout` of ssh's configuration, else the operating system and the other side | the attempt ends |
//!
//! # Turns
//!
//! The daemon is given no more calls at once than [`Builder::max_in_flight`] says; the others wait for their turn, which they
//! get in the order in which they asked. So tasks that make one call after another have equal shares, however many they are, and
//! nobody starves: a call waits for those that were there before it, and for no later one. But it does wait for those: a task
//! that makes 10,000 calls at once is 10,000 turns ahead of all others. Bulk work that others must not wait for makes a few calls at
//! a time, or has a [connection of its own](crate::Connection::dedicated).
//!
//! Signs of life, what is written in streams, and the goodbye of `close` wait for no turn. Opening a stream is a call.
//!
//! # Slow calls, and guests that do not listen
//!
//! A daemon reads `max_client_requests` (5) requests of a connection, and then nothing before it has answered one. Calls stay one
//! below that. What is written in streams counts as well, until it has been passed on: a file takes it at once, but a guest that does
//! not listen to its console or channel may never. Then the daemon reads nothing more from this connection, not even our signs of
//! life: calls have no answers, and after its own time of silence (`keepalive_interval` × (`keepalive_count` + 1), 30 seconds) it
//! cuts the connection. Nothing that a client could ask tells it beforehand. So consoles and channels that are written to have a
//! [connection of their own](crate::Connection::dedicated), and nobody else is concerned.
//!
//! [`Builder::keepalive`]: crate::Builder::keepalive
//! [`Builder::open`]: crate::Builder::open
//! [`Builder::open_timeout`]: crate::Builder::open_timeout
//! [`Builder::call_timeout`]: crate::Builder::call_timeout
//! [`Builder::max_in_flight`]: crate::Builder::max_in_flight
//! [`Connection::open`]: crate::Connection::open
//! [`Connection::dedicated`]: crate::Connection::dedicated
//! [`Connection::with_timeout`]: crate::Connection::with_timeout
//! [`Connection::close`]: crate::Connection::close
//! [`Connection::closed`]: crate::Connection::closed

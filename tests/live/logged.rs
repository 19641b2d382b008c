//! What is logged at the finest level while somebody logs in by SSH: no password, no passphrase.

use std::{
    fmt::{Debug, Write},
    future::ready,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use libvirt_client::{Connection, Error};
use tracing::{Event, Subscriber, field::Field, field::Visit, span::Attributes, span::Id, span::Record};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, registry::LookupSpan};

use crate::{
    TEST,
    ssh::Far,
    support::{live, sshd::Sshd},
};

const LIMIT: Duration = Duration::from_secs(30);

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        attributes.record(&mut Text(&mut self.0.lock().unwrap()));
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Text(&mut self.0.lock().unwrap()));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Text(&mut self.0.lock().unwrap()));
    }
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = writeln!(self.0, "{field}={value:?}");
    }
}

/// Opens a connection with one answer to all that is asked, on a thread whose log is kept.
fn logged(uri: String, config: PathBuf, answer: &'static str) -> (Result<(), Error>, String) {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    let opening = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let builder =
            Connection::builder(uri).ssh_config(&config).credentials(move |_| ready(Some(answer.into())));
        let opening =
            async { tokio::time::timeout(LIMIT, builder.open()).await.expect("it takes too long").map(drop) };
        runtime.block_on(Box::pin(opening))
    };
    let opened =
        thread::spawn(move || tracing::subscriber::with_default(subscriber, opening)).join().unwrap();
    let log = log.0.lock().unwrap().clone();
    (opened, log)
}

#[test]
fn no_password_is_logged() {
    live(async {
        for settings in [
            ["UsePAM yes", "PasswordAuthentication yes", "KbdInteractiveAuthentication no"],
            ["UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes"],
        ] {
            let far = Far::with(&settings);
            far.sshd.set_password(&far.daemon, "sekrit-of-root");
            let uri = |sshd: &Sshd| sshd.uri(TEST, "");
            for (answer, lets_in) in [("sekrit-of-root", true), ("wrong-one", false)] {
                let (opened, log) = logged(uri(&far.sshd), far.sshd.config(&[]), answer);
                assert_eq!(opened.is_ok(), lets_in, "{opened:?}");
                assert!(log.contains("asking for credentials"), "what is logged is seen: {log}");
                let said = opened.err().map(|error| format!("{error} {error:?}")).unwrap_or_default();
                assert!(!log.contains(answer) && !said.contains(answer), "{said}\n{log}");
                let bytes = format!("{:?}", answer.as_bytes());
                assert!(!log.contains(bytes.trim_matches(['[', ']'])), "{log}");
            }
        }
    });
}

#[test]
fn no_passphrase_is_logged() {
    live(async {
        let far = Far::start();
        let key = far.sshd.key("ed25519", &["-N", "sekrit-of-key"]);
        let uri = far.sshd.uri(TEST, &format!("keyfile={}", key.path().display()));
        for answer in ["sekrit-of-key", "wrong-one"] {
            let (opened, log) = logged(uri.clone(), far.sshd.config(&[]), answer);
            assert_eq!(opened.is_ok(), answer.starts_with("sekrit"), "{opened:?}");
            let said = opened.err().map(|error| format!("{error} {error:?}")).unwrap_or_default();
            assert!(
                log.contains("asking") && !log.contains(answer) && !said.contains(answer),
                "{said}\n{log}"
            );
        }
    });
}

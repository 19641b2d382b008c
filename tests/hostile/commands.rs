//! What a URI names never becomes a command: what runs on the far side of SSH is run here, by a real shell.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::Command,
};

use arbtest::arbitrary::Unstructured;
use libvirt_client::uri::{Environment, NoFiles, Options, Plan, RemoteSide, Route, System};

/// What means something to a shell, to a URI or to nobody.
const ALPHABET: &[&str] = &[
    "'",
    "\"",
    "\\",
    "$",
    "`",
    ";",
    "&",
    "|",
    "<",
    ">",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "*",
    "?",
    "!",
    "#",
    "~",
    "=",
    "%",
    "^",
    " ",
    "\t",
    "\n",
    "\r",
    "-",
    ".",
    ":",
    ",",
    "@",
    "+",
    "a",
    "Z",
    "0",
    "é",
    "\u{1}",
    "$(id>pwned)",
    "`id>pwned`",
    "';id>pwned;'",
    "\"; id >pwned; \"",
    "&& id >pwned",
    "| id >pwned",
    "\nid>pwned\n",
    "$IFS",
    "${PATH}",
    "\\'",
    "''",
];

fn hostile(random: &mut Unstructured<'_>) -> arbtest::arbitrary::Result<String> {
    let length = random.int_in_range(1..=6)?;
    (0..length).map(|_| random.choose(ALPHABET).copied()).collect()
}

/// A far side: programs that write down what they were called with, and nothing else.
struct FarSide(PathBuf);

impl FarSide {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("libvirt-client-far-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("bin")).unwrap();
        fs::create_dir_all(directory.join("home")).unwrap();
        let recorder = directory.join("recorder");
        // Each call a line of its own: the number of arguments, and each of them in hexadecimal.
        fs::write(
            &recorder,
            "#!/bin/sh\n{ printf '%s' \"$#\"; for word; do printf ' '; printf '%s' \"$word\" | od -An -v -tx1 | tr -d ' \\n'; \
             done; echo; } >>\"$RECORD\"\n",
        )
        .unwrap();
        fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755)).unwrap();
        Self(directory)
    }

    /// Has a program of that name there; returns its path.
    fn program(&self, name: &str) -> PathBuf {
        let path = self.0.join("bin").join(name);
        let _ = fs::remove_file(&path);
        symlink(self.0.join("recorder"), &path).unwrap();
        path
    }

    /// Runs a command as an SSH server does, by the user's shell; returns the arguments of each call that it led to.
    fn run(&self, command: &str) -> Vec<Vec<String>> {
        let (home, record) = (self.0.join("home"), self.0.join("record"));
        let _ = fs::remove_file(&record);
        let path = format!("{}:/usr/bin:/bin", self.0.join("bin").display());
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(&home)
            .env_clear()
            .env("PATH", path)
            .env("RECORD", &record)
            .output()
            .unwrap();
        let left: Vec<_> = fs::read_dir(&home).unwrap().collect();
        assert!(left.is_empty(), "something ran: {left:?}, by {command}");
        assert!(output.status.success(), "{}: {command}", String::from_utf8_lossy(&output.stderr));
        let calls = fs::read_to_string(&record).unwrap_or_default();
        calls.lines().map(words).collect()
    }
}

impl Drop for FarSide {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn words(line: &str) -> Vec<String> {
    let mut words = line.split(' ');
    let count: usize = words.next().unwrap().parse().unwrap();
    let words: Vec<String> = words.map(text).collect();
    assert_eq!(words.len(), count, "{line}");
    words
}

fn text(hexadecimal: &str) -> String {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    String::from_utf8(hexadecimal.as_bytes().chunks(2).map(byte).collect()).unwrap()
}

#[test]
fn what_a_uri_names_stays_one_word_for_the_shells_over_there() {
    let far = FarSide::new("words");
    let helper = far.program("virt-ssh-helper");
    arbtest::arbtest(|random| {
        let (name, socket, uri) =
            (hostile(random)?, format!("/{}", hostile(random)?), format!("qemu:///{}", hostile(random)?));
        // Directories have no other name.
        let is_no_file = name.contains('/') || name == "." || name == "..";
        let program = if is_no_file { far.program("nc") } else { far.program(&name) };
        let program = program.display().to_string();

        let netcat = RemoteSide::Netcat { program: program.clone(), socket: socket.clone() };
        let expected = [vec!["-q".to_owned()], vec!["-U".to_owned(), socket.clone()]];
        assert_eq!(far.run(&netcat.command()), expected, "{}", netcat.command());

        let read_only = random.arbitrary()?;
        let with_helper = RemoteSide::Helper { uri: uri.clone(), read_only };
        let flag = read_only.then(|| "-r".to_owned());
        let expected: Vec<String> = flag.into_iter().chain([uri.clone()]).collect();
        assert_eq!(
            far.run(&with_helper.command()),
            std::slice::from_ref(&expected),
            "{}",
            with_helper.command()
        );

        let auto = RemoteSide::Auto { uri, read_only, program: program.clone(), socket };
        assert_eq!(far.run(&auto.command()), [expected], "{}", auto.command());
        let _ = fs::remove_file(program);
        assert!(helper.exists());
        Ok(())
    })
    .budget_ms(4000);
}

/// The same from the URI on, with the arguments that the system's ssh is given.
#[test]
fn what_a_uri_names_is_no_option_of_a_program() {
    let far = FarSide::new("options");
    far.program("nc");
    let environment = Environment::new(System::Linux, 0, &NoFiles);
    for (host, user, socket) in [
        ("-oProxyCommand=id>pwned", "root", "/run/sock"),
        ("host", "-oProxyCommand=id", "/run/sock"),
        ("host", "root", "/run/$(id>pwned)"),
        ("host", "root", "/run/a b'c"),
    ] {
        let escaped = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02x}")).collect() };
        let uri = format!(
            "qemu+ssh://{}@{}/system?command=ssh&netcat=nc&socket={}",
            escaped(user),
            escaped(host),
            escaped(socket)
        );
        let plan = Plan::new(&uri, Options::default(), &environment).unwrap();
        let Route::Command(route) = plan.route else { panic!("{uri}") };
        let [.., end, place, command] = route.arguments.as_slice() else { panic!("{route:?}") };
        assert_eq!((end.as_str(), place.as_str()), ("--", host), "after this nothing is an option");
        let at = route.arguments.iter().position(|argument| argument == "-l").unwrap();
        assert_eq!(route.arguments[at + 1], user);
        let calls = far.run(command);
        assert_eq!(calls.last().unwrap().as_slice(), ["-U", socket]);
    }
}

/// netcat and the helper would take these for options, some of which run programs.
#[test]
fn what_would_be_an_option_over_there_is_refused() {
    let environment = Environment::new(System::Linux, 0, &NoFiles);
    for uri in [
        "qemu+ssh://host/system?socket=-e/bin/sh",
        "qemu+ssh://host/system?proxy=netcat&socket=-c%20id",
        "qemu+ssh://host/system?name=-r",
        "qemu+ssh://host/session?name=--help",
        "-r+ssh://host/system",
    ] {
        let error = Plan::new(uri, Options::default(), &environment).expect_err(uri);
        assert!(error.to_string().contains("\"-\""), "{uri}: {error}");
    }
}

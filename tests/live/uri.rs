//! What a URI leads to: the same socket, the same command for SSH and the same default as with virsh, which is watched by
//! strace and by a program in ssh's place; and a session's daemon that is started on demand.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    examples,
    support::{
        Daemon,
        command::{self, Background, Finished},
        live,
    },
    tls,
};

const LIMIT: Duration = Duration::from_secs(20);
const NOBODY: &str = "65534";

/// A user with a home of their own inside the namespaces of a daemon.
struct User {
    daemon: Daemon,
    home: PathBuf,
    is_root: bool,
}

impl User {
    fn nobody() -> Self {
        Self::beside(Daemon::start())
    }

    fn beside(daemon: Daemon) -> Self {
        let home = daemon.directory().join("u");
        for directory in ["", "run", "config/libvirt"] {
            fs::create_dir_all(home.join(directory)).unwrap();
        }
        daemon.shell(&format!("chown -R {NOBODY}:{NOBODY} {}", home.display()));
        Self { daemon, home, is_root: false }
    }

    fn root() -> Self {
        Self { is_root: true, ..Self::nobody() }
    }

    /// A copy of an example that this user may run.
    fn example(&self, name: &str) -> String {
        let copy = self.home.join(name);
        if !copy.exists() {
            fs::copy(examples::program(name), &copy).unwrap();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        }
        copy.display().to_string()
    }

    /// A script that this user may run.
    fn script(&self, name: &str, lines: &str) -> String {
        let script = self.home.join(name);
        fs::write(&script, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        script.display().to_string()
    }

    fn configure(&self, libvirt_conf: &str) {
        fs::write(self.home.join("config/libvirt/libvirt.conf"), libvirt_conf).unwrap();
    }

    fn command(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut inside = self.daemon.inside();
        if !self.is_root {
            inside.args(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]);
        }
        inside.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]);
        inside.arg(format!("HOME={}", self.home.display()));
        inside.arg(format!("XDG_CONFIG_HOME={}/config", self.home.display()));
        inside.arg(format!("XDG_CACHE_HOME={}/cache", self.home.display()));
        inside.arg(format!("XDG_RUNTIME_DIR={}/run", self.home.display()));
        inside.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        inside.args(arguments);
        inside
    }

    fn run(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
        command::run(self.command(variables, arguments), LIMIT)
    }

    /// The line of our plan that says which way it goes.
    #[track_caller]
    fn way(&self, variables: &[(&str, &str)], options: &[&str], uri: &str) -> String {
        let explain = self.example("explain");
        let arguments: Vec<&str> =
            [explain.as_str()].into_iter().chain(options.iter().copied()).chain([uri]).collect();
        let plan = self.run(variables, &arguments).expect_success();
        plan.lines().nth(1).unwrap_or_else(|| panic!("{plan}")).to_owned()
    }

    /// The socket that virsh connects to.
    #[track_caller]
    fn virsh_socket(&self, variables: &[(&str, &str)], options: &[&str], uri: &str) -> String {
        let trace = self.home.join("trace");
        let _ = fs::remove_file(&trace);
        let trace_name = trace.display().to_string();
        let mut arguments = vec!["strace", "-f", "-e", "trace=connect", "-o", &trace_name, "virsh"];
        arguments.extend(options);
        if !uri.is_empty() {
            arguments.extend(["-c", uri]);
        }
        arguments.push("uri");
        let said = self.run(variables, &arguments);
        let trace = fs::read_to_string(&trace).unwrap_or_else(|error| panic!("{error}: {said}"));
        let mut paths = trace.lines().filter_map(|line| line.split_once("sun_path=\"")?.1.split('"').next());
        let path = paths.rfind(|path| !path.contains("/nscd/"));
        path.unwrap_or_else(|| panic!("virsh connects to nothing: {said}\n{trace}")).to_owned()
    }
}

/// The path in `over the socket PATH (why)`.
#[track_caller]
fn socket_of(way: &str) -> &str {
    let rest = way.strip_prefix("over the socket ").unwrap_or_else(|| panic!("{way}"));
    rest.split(" (").next().unwrap()
}

/// Variables, options, and a URI.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

fn compare_sockets(user: &User, rows: &[Row<'_>]) {
    for (variables, options, uri) in rows {
        let variables: Vec<(&str, &str)> =
            variables.iter().copied().chain([("LIBVIRT_AUTOSTART", "0")]).collect();
        let virsh_options: Vec<&str> =
            options.iter().map(|option| if *option == "--read-only" { "-r" } else { *option }).collect();
        let way = user.way(&variables, options, uri);
        let of_virsh = user.virsh_socket(&variables, &virsh_options, uri);
        assert_eq!(socket_of(&way), of_virsh, "{uri:?} with {variables:?} and {options:?}");
    }
}

const READ_ONLY: &[&str] = &["--read-only"];

#[test]
fn roots_sockets_are_those_of_virsh() {
    live(async {
        let root = User::root();
        compare_sockets(
            &root,
            &[
                (&[], &[], "qemu:///system"),
                (&[], READ_ONLY, "qemu:///system"),
                (&[], &[], "qemu:///session"),
                (&[], &[], "qemu:///system?mode=direct"),
                (&[], &[], "test+unix:///default?socket=/not%20there"),
                (&[], &[], ""),
            ],
        );
        root.daemon.shell("touch /run/libvirt/virtqemud-sock /run/libvirt/virtlxcd-sock");
        compare_sockets(
            &root,
            &[
                (&[], &[], "qemu:///system"),
                (&[], &[], "qemu:/system?mode=legacy"),
                (&[], READ_ONLY, "lxc:///system"),
                (&[("LIBVIRT_DEFAULT_URI", "lxc:///system")], &[], ""),
                (&[], &[], ""),
            ],
        );
    });
}

#[test]
fn a_users_sockets_are_those_of_virsh() {
    live(async {
        let user = User::nobody();
        compare_sockets(
            &user,
            &[
                (&[], &[], "qemu:///session"),
                (&[], READ_ONLY, "qemu:///session"),
                (&[], READ_ONLY, "qemu:///system"),
                (&[], &[], "test+unix:///default"),
                (&[("XDG_RUNTIME_DIR", "")], &[], "remote:///session"),
                (&[], &[], ""),
            ],
        );
        user.configure("uri_default = 'mine'\nuri_aliases = [\n  \"mine=qemu+unix:///session\",\n]\nremote_mode = 'direct'\n");
        compare_sockets(
            &user,
            &[
                (&[], &[], ""),
                (&[], &[], "mine"),
                (&[], &[], "lxc:///system"),
                (&[], &[], "qemu:///session?mode=legacy"),
                (&[("LIBVIRT_DEFAULT_URI", "vbox:///session")], &[], ""),
            ],
        );
    });
}

#[test]
fn ssh_is_run_as_virsh_runs_it() {
    live(async {
        let user = User::nobody();
        let ssh = user.script("ssh", "for a in \"$@\"; do printf ' [%s]' \"$a\"; done >$HOME/arguments");
        user.configure("uri_aliases = ['lab=qemu+ssh://u@lab/system?command=/usr/bin/false']\n");
        let arguments = user.home.join("arguments");
        for (options, uri) in [
            (&[][..], "qemu+ssh://host/system"),
            (READ_ONLY, "qemu+ssh://host/system"),
            (&[], "qemu+ssh://u%40x@host:2222/session?keyfile=/k%20y&no_tty=1&no_verify=1"),
            (&[], "test+ssh://[::1]/default?proxy=auto"),
            (READ_ONLY, "qemu+ssh://host/system?proxy=native"),
            (&[], "qemu+ssh://host/system?netcat=/n%20c"),
            (&[], "qemu+ssh://host/system?netcat=/n'c%22&socket=/s"),
            (&[], "qemu+ssh:///system?proxy=netcat&netcat=n%5Cc"),
            (&[], "qemu+ssh://host/session?proxy=netcat"),
            (&[], "remote+ssh://host/system?proxy=native"),
            (&[], "QEMU+SSH://host/a%20b;c:d@e?proxy=native&foo=a/b-_.!~*'():@,+%20z&bar;baz=%c3%a9"),
            (&[], "xen+ssh://host/?PROXY=native&name=lxc:///#f"),
            (&[], "qemu+ssh://host/system?proxy=native&a=1;b=2#frag%20ment"),
        ] {
            let (rest, fragment) =
                uri.split_once('#').map_or((uri, ""), |(rest, _)| (rest, &uri[uri.find('#').unwrap()..]));
            let uri = format!("{rest}{}command={ssh}{fragment}", if rest.contains('?') { '&' } else { '?' });
            let way = user.way(&[], options, &uri);
            let mut virsh = vec!["virsh"];
            virsh.extend(options.iter().map(|_| "-r"));
            virsh.extend(["-c", &uri, "uri"]);
            let _ = fs::remove_file(&arguments);
            let said = user.run(&[], &virsh);
            let of_virsh = fs::read_to_string(&arguments).unwrap_or_else(|error| panic!("{error}: {said}"));
            assert_eq!(way, format!("over the program {ssh}{of_virsh}"), "{uri}");
        }
    });
}

#[test]
fn what_virsh_refuses_has_no_plan() {
    live(async {
        let user = User::nobody();
        let explain = user.example("explain");
        for uri in [
            "qemu://system",
            "qemu+unix://host/system",
            "qemu+pigeon:///system",
            "qemu:///system?mode=sideways",
            "qemu+ssh://host/system?mode=direct",
            "qemu+ssh://host/system?no_tty=true",
            "qemu+ssh://host/system?proxy=native&netcat=/nc",
            "qemu+ext:///system",
            "qemu:///%zz",
        ] {
            let virsh = user.run(&[("LIBVIRT_AUTOSTART", "0")], &["virsh", "-c", uri, "uri"]);
            assert!(!virsh.status.success(), "{uri}: {virsh}");
            let ours = user.run(&[], &[&explain, uri]);
            assert!(!ours.status.success() && ours.stderr.contains(uri), "{uri}: {ours}");
        }
        user.configure("# mine\nuri_default = \"qemu:///session\nremote_mode = \"legacy\"\n");
        let virsh = user.run(&[], &["virsh", "-c", "test+unix:///default", "uri"]);
        let ours = user.run(&[], &[&explain, "test:///default"]);
        for (who, said) in [("virsh", virsh), ("we", ours)] {
            assert!(!said.status.success() && said.stderr.contains("libvirt.conf"), "{who}: {said}");
            assert!(
                said.stderr.contains("libvirt.conf:2:") || said.stderr.contains("line 2:"),
                "{who}: {said}"
            );
        }
    });
}

#[test]
fn a_sessions_daemon_is_started_once() {
    live(async {
        let user = User::nobody();
        let list = user.example("list");
        let without = user.run(&[("LIBVIRT_AUTOSTART", "0")], &[&list, "test:///default"]);
        assert!(!without.status.success() && without.stderr.contains("no such socket"), "{without}");

        // Programs with either client start one daemon between them.
        let ours = |number: usize| {
            let output = user.home.join(format!("list{number}"));
            (Background::spawn(user.command(&[], &[&list, "test:///default"]), &output), output)
        };
        let started = [ours(0), ours(1), ours(2)];
        let virsh =
            user.run(&[], &["virsh", "-c", "test+unix:///default", "list", "--name"]).expect_success();
        assert_eq!(virsh, "test");
        for (program, output) in started {
            program.expect_success(LIMIT);
            let listed = fs::read_to_string(output).unwrap();
            assert!(
                listed.lines().any(|line| line.split_whitespace().any(|word| word == "test")),
                "{listed}"
            );
        }
        let daemons =
            user.daemon.shell(&format!("ps -o pid= -o args= -u {NOBODY} | grep '[l]ibvirtd.*--timeout=120'"));
        assert_eq!(daemons.lines().count(), 1, "{daemons}");

        // It stays: virsh finds it without starting any.
        user.run(&[("LIBVIRT_AUTOSTART", "0")], &["virsh", "-c", "test+unix:///default", "uri"])
            .expect_success();
    });
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    live(async {
        let user = User::nobody();
        let list = user.example("list");
        user.script("libvirtd", "echo 'no room for a daemon' >&2; seq 100000 >&2; exit 3");
        let directory = user.home.display().to_string();
        let said = user.run(&[("LIBVIRTD_PATH", &directory)], &[&list, "test:///default"]);
        assert!(!said.status.success(), "{said}");
        let program = Path::new(&directory).join("libvirtd");
        assert!(said.stderr.contains(&program.display().to_string()), "{said}");
        assert!(said.stderr.contains("exit status: 3: no room for a daemon"), "{said}");
    });
}

/// Ways that do and ways that do not lead to a daemon. `SOCKET` is the daemon's, `NETCAT` a program that leads to it, `PKI` the
/// directory of a client's certificate.
const WAYS: [&str; 36] = [
    "qemu:///system",
    "qemu:///session",
    "qemu:///system?mode=legacy",
    "qemu:///system?socket=SOCKET",
    "qemu:///nowhere",
    "qemu://system",
    "qemu+unix:///system?mode=direct",
    "qemu+unix://localhost/system",
    "nosuch:///system",
    "qemu+pigeon:///system",
    "remote:///",
    "qemu:///system?no_verify=yes",
    "test+unix:///default",
    "test+unix:///default?socket=SOCKET",
    "test+unix:///default?socket=/nowhere",
    "test+unix:///default?name=test:///nowhere.xml",
    "test+unix:///default?name=qemu:///system",
    "test+unix:///nowhere.xml",
    "test+unix:///default?auth=polkit",
    "test+tcp://localhost/default",
    "test+tcp://127.0.0.1:16509/default",
    "test+tcp://127.0.0.1:16500/default",
    "test+tcp://no-such-host.invalid/default",
    "test+tcp://localhost/nowhere.xml",
    "test+tls://localhost/default?pkipath=PKI",
    "test://localhost/default?pkipath=PKI",
    "test+tls://127.0.0.1/default?pkipath=PKI",
    "test+tls://127.0.0.2/default?pkipath=PKI",
    "test+tls://127.0.0.2/default?pkipath=PKI&no_verify=1",
    "test+tls://localhost/default?pkipath=PKI&no_verify=yes",
    "test+tls://localhost/default?pkipath=/nowhere",
    "test+tls://localhost:16509/default?pkipath=PKI",
    "test+ext:///default?command=NETCAT",
    "test+ext:///default",
    "test+ssh://localhost/default?command=NETCAT",
    "test+ssh://localhost/default?command=/nowhere",
];

#[test]
fn the_tour_and_virsh_come_through_by_the_same_uris() {
    live(async {
        let world = tls::World::new("ways");
        let daemon = world.daemon(&world.authority.server(&["localhost", "127.0.0.1"]));
        let daemon = daemon.setting("listen_tcp", 1).setting("auth_tcp", "none").start();
        daemon.shell(
            "for try in $(seq 1000); do ss -Hltn 'sport = :16514' | grep -q . && break; sleep 0.01; done",
        );
        let user = User { is_root: true, ..User::beside(daemon) };
        let socket = user.daemon.socket().display().to_string();
        let netcat = user.script("netcat", &format!("exec nc -U {socket}"));
        let pki = world.client.uri("");
        let pki = pki.trim_start_matches("?pkipath=");
        let uri = |way: &str| way.replace("SOCKET", &socket).replace("NETCAT", &netcat).replace("PKI", pki);

        // All at once, since each looks on for some seconds.
        let tour = user.example("tour");
        let tours: Vec<_> = (0..)
            .zip(WAYS)
            .map(|(number, way)| {
                let output = user.home.join(format!("tour{number}"));
                Background::spawn(user.command(&[], &[&tour, &uri(way)]), &output)
            })
            .collect();
        let mut different = Vec::new();
        let mut came_through = 0;
        for ((way, mut tour), number) in WAYS.into_iter().zip(tours).zip(0..) {
            let virsh = user.run(&[], &["virsh", "-c", &uri(way), "uri"]);
            let ours = tour.wait(LIMIT).is_some_and(|status| status.success());
            came_through += usize::from(ours);
            if ours != virsh.status.success() {
                let said = fs::read_to_string(user.home.join(format!("tour{number}.errors"))).unwrap();
                different.push(format!("{way}: ours comes through: {ours}, {said}; {virsh}"));
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
        assert!((10..WAYS.len() - 10).contains(&came_through), "{came_through} came through");
    });
}

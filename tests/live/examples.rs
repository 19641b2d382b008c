//! The programs in `examples/`, run as users run them, beside virsh, virt-admin and Python.

use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use libvirt_client::Connection;
use serde_json::Value;

use crate::{
    QEMU, TEST,
    lxc::{self, LXC},
    migration::{self, Hosts, LOOPBACK},
    qemu::BIOS_ONLY,
    ssh::Far,
    support::{
        Daemon,
        command::{self, Background, Finished},
        live, live_within,
        machine::{disk, image},
        volumes, wait_until,
    },
    test_domain, test_machine,
};

const LIMIT: Duration = Duration::from_secs(30);

/// Where an example is. They are built beside the directory that this program is in.
#[track_caller]
pub(crate) fn program(name: &str) -> PathBuf {
    let me = env::current_exe().unwrap();
    let program = me.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(
        program.is_file(),
        "{} is not there: tests/run builds it, or `cargo build --all-features --examples`",
        program.display()
    );
    program
}

#[track_caller]
fn example(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(name));
    command.args(arguments);
    command
}

#[track_caller]
pub(crate) fn run(name: &str, arguments: &[&str]) -> Finished {
    command::run(example(name, arguments), LIMIT)
}

/// The lines of a file that may be growing.
fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

/// The words of each line that is not empty.
fn words<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    lines.map(|line| line.split_whitespace().collect()).filter(|words: &Vec<_>| !words.is_empty()).collect()
}

/// The words of a table's rows, below its title and its heads.
fn rows<'a>(output: &'a str, title: &str) -> Vec<Vec<&'a str>> {
    let mut lines = output.lines().skip_while(|line| !line.starts_with(title));
    let count =
        lines.next().and_then(|line| line.rsplit_once(": ")).unwrap_or_else(|| panic!("{title}: {output}")).1;
    let rows = words(lines.take_while(|line| !line.is_empty()).skip(1));
    assert_eq!(rows.len().to_string(), count, "{title}: {output}");
    rows
}

/// One column of such rows, sorted.
fn column<'a>(rows: &[Vec<&'a str>], number: usize) -> Vec<&'a str> {
    let mut column: Vec<_> = rows.iter().map(|row| row[number]).collect();
    column.sort_unstable();
    column
}

/// The same of what virsh lists without heads.
fn listed(text: &str, number: usize) -> Vec<&str> {
    column(&words(text.lines()), number)
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for name in [
        "list",
        "inspect",
        "watch",
        "top",
        "fleet",
        "define",
        "admin",
        "guest",
        "migrate",
        "vol",
        "console",
        "screenshot",
    ] {
        let finished = run(name, &["--wrong"]);
        assert_eq!(finished.status.code(), Some(2), "{finished}");
        assert!(finished.stderr.starts_with(&format!("usage: {name} ")), "{finished}");
    }
}

#[test]
fn vol_copies_volumes_both_ways() {
    live(async {
        let daemon = Daemon::start();
        let connection = Connection::open(daemon.uri(QEMU)).await.unwrap();
        let disks = volumes::pool(&daemon, &connection, "disks").await;
        let disk = volumes::volume(&disks, "disk.img", 8 << 20).await;
        let [source, copy] = ["source", "copy"].map(|name| daemon.directory().join(name));
        volumes::random_file(&source, 3 << 20);
        let (uri, path) = (daemon.uri(QEMU), source.display().to_string());
        let output = run("vol", &["upload", "disks", "disk.img", &path, &uri]).expect_success();
        assert_eq!(output, "3145728 bytes, and 0 in holes");
        let path = copy.display().to_string();
        let output = run("vol", &["download", "disks", "disk.img", &path, &uri]).expect_success();
        assert_eq!(output, "3145728 bytes, and 5242880 in holes");
        assert_eq!(volumes::hash(&copy), volumes::hash(disk.path().await.unwrap()));
        assert!(!copy.with_extension("part").exists());
        let finished = run("vol", &["download", "disks", "none", &path, &uri]);
        assert!(finished.stderr.starts_with("vol: Storage volume not found"), "{finished}");
    });
}

#[test]
fn screenshot_writes_what_virsh_writes() {
    live(async {
        let daemon = Daemon::start();
        let mut screenshot = example("screenshot", &["test", &daemon.uri(TEST)]);
        screenshot.current_dir(daemon.directory());
        let output = command::run(screenshot, LIMIT).expect_success();
        assert!(output.starts_with("test.png: image/png, "), "{output}");
        let theirs = daemon.directory().join("theirs");
        daemon.virsh(TEST, &["screenshot", "test", &theirs.display().to_string()]);
        assert_eq!(fs::read(daemon.directory().join("test.png")).unwrap(), fs::read(theirs).unwrap());
    });
}

#[test]
fn console_passes_on_what_is_typed_until_it_is_left() {
    live(async {
        let daemon = Daemon::builder().lxc().start();
        let connection = Connection::open(daemon.uri(LXC)).await.unwrap();
        let (name, domain) = lxc::with_a_shell(&daemon, &connection).await;
        let mut console = example("console", &[&name, &daemon.uri(LXC)]);
        let output = daemon.directory().join("screen");
        console.stdin(Stdio::piped()).stdout(File::create(&output).unwrap());
        let mut console = console.spawn().unwrap();
        let mut keyboard = console.stdin.take().unwrap();
        keyboard.write_all(b"echo $((6 * 7))-there\n").unwrap();
        wait_until(|| fs::read_to_string(&output).unwrap().contains("42-there")).await;
        keyboard.write_all(b"\x1d").unwrap();
        let status = command::wait(&mut console, LIMIT).expect("Ctrl-] leaves");
        assert!(status.success());
        domain.destroy().await.unwrap();
    });
}

#[test]
fn list_shows_the_domains_that_virsh_lists() {
    live(async {
        let daemon = Daemon::start();
        // Keeps the simulated state.
        let _connection = Connection::open(daemon.uri(TEST)).await.unwrap();
        let file = daemon.file("web.xml", &test_domain("web"));
        daemon.virsh(TEST, &["define", &file.display().to_string()]);
        let output = run("list", &[&daemon.uri(TEST)]).expect_success();
        let domains = rows(&output, "Domains");
        let theirs = daemon.virsh(TEST, &["list", "--all"]);
        assert_eq!(column(&domains, 0), listed(&theirs, 1));
        assert_eq!(column(&domains, 1), listed(&theirs, 0));
        let [web, test] = ["web", "test"].map(|name| domains.iter().find(|row| row[0] == name).unwrap());
        assert_eq!((test[2], web[2]), ("running", "shutoff"), "{theirs}");
        for (row, name) in [(web, "web"), (test, "test")] {
            let info = daemon.virsh(TEST, &["dominfo", name]);
            let cpus = info.lines().find_map(|line| line.strip_prefix("CPU(s):")).unwrap();
            assert_eq!(row.last(), Some(&cpus.trim()));
        }
        assert!(output.contains("Secrets: this driver has none"), "{output}");
    });
}

#[test]
fn list_shows_all_other_objects() {
    live(async {
        let daemon = Daemon::start();
        let network = daemon.file("network.xml", "<network><name>apart</name></network>");
        daemon.virsh(QEMU, &["net-define", &network.display().to_string()]);
        let images = daemon.directory().join("lib/images").display().to_string();
        daemon.virsh(QEMU, &["pool-create-as", "images", "dir", "--target", &images]);
        daemon.virsh(QEMU, &["vol-create-as", "images", "disk.img", "1M"]);
        let secret = "<secret><usage type='volume'><volume>/disk</volume></usage></secret>";
        let secret = daemon.file("secret.xml", secret);
        daemon.virsh(QEMU, &["secret-define", &secret.display().to_string()]);

        let output = run("list", &[&daemon.uri(QEMU)]).expect_success();
        for (title, number, ask, theirs) in [
            ("Networks", 0, &["net-list", "--all"][..], 0),
            ("Storage pools", 0, &["pool-list", "--all"], 0),
            ("Volumes", 1, &["vol-list", "images"], 0),
            ("Secrets", 0, &["secret-list"], 0),
            ("Network filters", 1, &["nwfilter-list"], 0),
            ("Interfaces", 0, &["iface-list", "--all"], 0),
            ("Interfaces", 1, &["iface-list", "--all"], 1),
            ("Devices", 0, &["nodedev-list"], 0),
        ] {
            let answer = daemon.virsh(QEMU, ask);
            assert_eq!(column(&rows(&output, title), number), listed(&answer, theirs), "{title}");
        }
        assert_eq!(column(&rows(&output, "Volumes"), 1), ["disk.img"]);
        assert_eq!(rows(&output, "Networks")[0][1..], ["inactive", "no", "yes"]);
    });
}

#[test]
fn inspect_tells_what_virsh_tells_and_why_it_tells_no_more() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        image(&daemon, "disk.img", "raw", "3M");
        let devices = format!("{}</devices>", disk(&daemon, "disk.img", "raw", "vda"));
        let file = daemon.file("bios.xml", &BIOS_ONLY.replace("</devices>", &devices));
        daemon.virsh(QEMU, &["create", &file.display().to_string()]);
        let uuid = daemon.virsh(QEMU, &["domuuid", "bios"]);
        let uri = daemon.uri(QEMU);

        let output = run("inspect", &[&uri, "bios"]).expect_success();
        let report: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(report["domain"]["handle"]["uuid"], uuid.as_str());
        let xml = report["definition"]["xml"].as_str().unwrap();
        assert_eq!(xml.trim_end(), daemon.virsh(QEMU, &["dumpxml", "bios"]));
        assert_eq!(report["domain"]["state"]["reason"]["running"], "BOOTED");
        let mut python = daemon.ask_python(QEMU);
        python.run("domain = connection.lookupByName('bios')");
        for (expression, ours) in [
            ("list(domain.blockInfo('vda'))", {
                let sizes = &report["disk vda"]["sizes"];
                format!("[{}, {}, {}]", sizes["capacity"], sizes["allocation"], sizes["physical"])
            }),
            ("domain.info()[1]", report["domain"]["info"]["max_memory_kib"].to_string()),
            ("domain.autostart()", u8::from(report["domain"]["autostart"] == true).to_string()),
            ("len(domain.memoryStats())", {
                let memory = report["statistics"]["memory"].as_object().unwrap();
                memory.values().filter(|value| value.is_number()).count().to_string()
            }),
            ("connection.domainListGetStats([domain])[0][1]['block.count']", {
                report["statistics"]["all"]["block_count"].to_string()
            }),
        ] {
            python.agrees(expression, ours);
        }

        // There is no agent to ask.
        let unavailable = report["unavailable"].as_array().unwrap();
        let guest = unavailable.iter().find(|one| one["what"] == "guest: info").unwrap();
        assert_eq!(guest["reason"], "unsupported");
        let refused = daemon.python_error(QEMU, "connection.lookupByName('bios').guestInfo()");
        let message = refused.splitn(3, ' ').nth(2).unwrap();
        assert!(guest["error"].as_str().unwrap().starts_with(message), "{guest} {message}");

        let by_uuid: Value = serde_json::from_str(&run("inspect", &[&uri, &uuid]).expect_success()).unwrap();
        assert_eq!(by_uuid["domain"]["handle"], report["domain"]["handle"]);
        let nobody = run("inspect", &[&uri, "nobody"]);
        assert_eq!(nobody.status.code(), Some(1), "{nobody}");
        assert!(nobody.stderr.contains("there are: bios"), "{nobody}");
    });
}

/// Prints lifecycle events of domains in the words that libvirt's constants are made of.
const IN_WORDS: &str = "
KINDS = 'DEFINED UNDEFINED STARTED SUSPENDED RESUMED STOPPED SHUTDOWN PMSUSPENDED CRASHED'.split()
def hear(connection, domain, event, detail, _):
    prefix = f'VIR_DOMAIN_EVENT_{KINDS[event]}_'
    names = {value: name[len(prefix):] for name, value in vars(libvirt).items() if name.startswith(prefix)}
    print(f'domain {domain.name()}: {KINDS[event].lower()} ({names[detail].lower()})')
connection.domainEventRegisterAny(None, 0, hear, None)
print('ready')
while True: libvirt.virEventRunDefaultImpl()";

#[test]
fn watch_prints_what_happens_until_it_is_interrupted_or_the_daemon_ends() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let file = |name: &str| daemon.directory().join(name);
        let _python = daemon.spawn_python(QEMU, IN_WORDS, &file("python"));
        let words = Background::spawn(example("watch", &[&daemon.uri(QEMU)]), &file("words"));
        let mut json = Background::spawn(example("watch", &[&daemon.uri(QEMU), "--json"]), &file("json"));
        wait_until(|| {
            let watching = |name: &str| !lines(&file(name).with_extension("errors")).is_empty();
            !lines(&file("python")).is_empty() && watching("words") && watching("json")
        })
        .await;

        let xml = daemon.file("bios.xml", BIOS_ONLY).display().to_string();
        daemon.virsh(QEMU, &["define", &xml]);
        for act in ["start", "suspend", "resume", "destroy", "undefine"] {
            daemon.virsh(QEMU, &[act, "bios"]);
        }
        let secret = "<secret><usage type='volume'><volume>/disk</volume></usage></secret>";
        let secret = daemon.file("secret.xml", secret).display().to_string();
        daemon.virsh(QEMU, &["secret-define", &secret]);
        wait_until(|| {
            let all = |name: &str| lines(&file(name)).last().is_some_and(|line| line.contains("/disk"));
            let undefined = lines(&file("python")).last().is_some_and(|line| line.contains("undefined"));
            undefined && all("words") && all("json")
        })
        .await;
        let (mut ours, theirs) = (lines(&file("words")), lines(&file("python")));
        let uuid = daemon.virsh(QEMU, &["secret-list"]);
        let uuid = uuid.split_whitespace().next().unwrap();
        assert_eq!(ours.pop(), Some(format!("secret {uuid} (/disk): defined")));
        assert_eq!(ours, theirs[1..]);
        let events: Vec<Value> =
            lines(&file("json")).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), ours.len() + 1);
        assert_eq!(events[0]["domain"]["lifecycle"]["domain"]["name"], "bios");

        words.interrupt();
        words.expect_success(LIMIT);
        daemon.signal("KILL");
        let status = json.wait(LIMIT).unwrap();
        assert_eq!(status.code(), Some(1));
        let said = lines(&file("json").with_extension("errors")).pop().unwrap();
        assert_eq!(said, "watch: the connection is closed: closed by the daemon");
    });
}

#[test]
fn top_shows_each_running_domain_in_each_round() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let running = daemon.file("bios.xml", BIOS_ONLY).display().to_string();
        daemon.virsh(QEMU, &["create", &running]);
        let idle = BIOS_ONLY.replace(">bios<", ">idle<");
        daemon.virsh(QEMU, &["define", &daemon.file("idle.xml", &idle).display().to_string()]);
        let output = run("top", &[&daemon.uri(QEMU), "0.5", "2"]).expect_success();
        let rounds: Vec<&str> = output.split("ID NAME").skip(1).collect();
        assert_eq!(rounds.len(), 2, "{output}");
        let names = daemon.virsh(QEMU, &["list", "--name"]);
        let mut cpu = Vec::new();
        for round in rounds {
            let rows = words(round.lines().skip(1));
            assert_eq!(column(&rows, 1), listed(&names, 0), "{output}");
            assert!(rows[0].join(" ").contains("64 MiB"), "{output}");
            cpu.push(rows[0][3].to_owned());
        }
        assert_eq!(cpu[0], "-", "one sample makes no rate: {output}");
        let most = 100.0 * std::thread::available_parallelism().unwrap().get() as f64;
        assert!(cpu[1].parse::<f64>().is_ok_and(|percent| percent <= most), "{output}");
    });
}

/// A domain that `define` has started, once it says so.
async fn defined(daemon: &Daemon, output: &str) -> (Background, PathBuf) {
    let xml = daemon.file("bios.xml", BIOS_ONLY).display().to_string();
    let output = daemon.directory().join(output);
    let define = Background::spawn(example("define", &[&daemon.uri(QEMU), &xml]), &output);
    wait_until(|| lines(&output).contains(&"bios: started (booted)".to_owned())).await;
    assert_eq!(daemon.virsh(QEMU, &["domstate", "bios"]), "running");
    (define, output)
}

#[test]
fn define_removes_its_domain_when_it_is_interrupted_or_the_domain_stops() {
    live(async {
        let daemon = Daemon::builder().virtlogd().start();
        let (define, output) = defined(&daemon, "first").await;
        let again =
            run("define", &[&daemon.uri(QEMU), &daemon.directory().join("bios.xml").display().to_string()]);
        assert_eq!(again.status.code(), Some(1), "{again}");
        assert!(again.stderr.contains("choose another name"), "{again}");
        let own = daemon.file("own.xml", &daemon.virsh(QEMU, &["dumpxml", "bios"])).display().to_string();
        let again = run("define", &[&daemon.uri(QEMU), &own]);
        assert_eq!(again.status.code(), Some(1), "{again}");
        assert!(again.stderr.contains("is there already"), "{again}");
        assert_eq!(daemon.virsh(QEMU, &["domstate", "bios"]), "running");

        define.interrupt();
        define.expect_success(LIMIT);
        assert_eq!(lines(&output).last().unwrap(), "bios is gone again");
        assert_eq!(daemon.virsh(QEMU, &["list", "--all", "--name"]), "");

        let (define, output) = defined(&daemon, "second").await;
        daemon.virsh(QEMU, &["destroy", "bios"]);
        define.expect_success(LIMIT);
        assert!(lines(&output).contains(&"bios: stopped (destroyed)".to_owned()), "{:?}", lines(&output));
        assert_eq!(daemon.virsh(QEMU, &["list", "--all", "--name"]), "");
    });
}

#[test]
fn define_leaves_nothing_behind_where_it_fails() {
    live(async {
        let mut daemon = Daemon::builder().virtlogd().start();
        let devices = format!("{}</devices>", disk(&daemon, "missing.img", "raw", "vda"));
        let xml = daemon.file("broken.xml", &BIOS_ONLY.replace("</devices>", &devices)).display().to_string();
        let broken = run("define", &[&daemon.uri(QEMU), &xml]);
        assert_eq!(broken.status.code(), Some(1), "{broken}");
        assert!(broken.stderr.contains("missing.img"), "{broken}");
        assert!(broken.stdout.contains("bios is defined"), "{broken}");
        assert_eq!(daemon.virsh(QEMU, &["list", "--all", "--name"]), "");

        let (mut define, output) = defined(&daemon, "restarted").await;
        daemon.restart();
        let status = define.wait(LIMIT).unwrap();
        assert_eq!(status.code(), Some(1));
        assert_eq!(lines(&output).last().unwrap(), "bios is gone again");
        assert_eq!(daemon.virsh(QEMU, &["list", "--all", "--name"]), "");
    });
}

#[test]
fn admin_shows_what_virt_admin_shows() {
    live(async {
        let daemon = Daemon::start();
        let _user = Connection::open(daemon.uri(TEST)).await.unwrap();
        let socket = daemon.directory().join("run/libvirt-admin-sock");
        let uri = format!("libvirtd:///system?socket={}", socket.display());
        let output = run("admin", &[&uri]).expect_success();
        let mut servers: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix("server ")).collect();
        servers.sort_unstable();
        let theirs = daemon.virt_admin(&["server-list"]);
        assert_eq!(servers, listed(&theirs, 1));

        let (_, of_libvirtd) = output.split_once("server libvirtd\n").unwrap();
        let of_libvirtd = of_libvirtd.split("\nserver ").next().unwrap();
        let clients = words(of_libvirtd.lines().filter_map(|line| line.trim().strip_prefix("client ")));
        let theirs = daemon.virt_admin(&["client-list", "libvirtd"]);
        assert_eq!(column(&clients, 0), listed(&theirs, 0));
        assert_eq!(column(&clients, 1), listed(&theirs, 1));
        let limits = daemon.virt_admin(&["server-clients-info", "libvirtd"]);
        let most = limits.lines().find(|line| line.contains("nclients_max")).unwrap();
        let most = most.rsplit(' ').next().unwrap();
        assert!(of_libvirtd.contains(&format!("clients  1 (limit {most})")), "{output}\n{limits}");

        run("admin", &[&uri, "3:util"]).expect_success();
        assert_eq!(daemon.virt_admin(&["daemon-log-filters"]).trim(), "3:*util*");
    });
}

#[test]
fn migrate_moves_a_domain_and_gives_up_when_it_is_interrupted() {
    live_within(migration::LIMIT, async {
        let hosts = Hosts::start().await;
        let domain = hosts.linux("web").await;
        let (here, there) = (hosts.source.uri(QEMU), hosts.destination.uri(QEMU));
        let output = hosts.source.directory().join("migrate");
        let slowly = ["--limit", "1", "--to", LOOPBACK, &here, "web", &there];
        let mut migrate = Background::spawn(example("migrate", &slowly), &output);
        let said = output.with_extension("errors");
        wait_until(|| lines(&said).iter().any(|line| line.starts_with("perform") && line.contains('%')))
            .await;
        migrate.interrupt();
        assert_eq!(migrate.wait(LIMIT).unwrap().code(), Some(1));
        let last = lines(&said).pop().unwrap();
        assert_eq!(last, "migrate: cancelled; the domain is on the source, as before");
        hosts.is_as_before(&domain).await;

        let finished = run("migrate", &["--to", LOOPBACK, &here, "web", &there]);
        assert_eq!(hosts.states("web"), ["-", "running"], "{finished}");
        assert_eq!(finished.expect_success(), format!("web runs at {there}"));
    });
}

/// The guest is an address of the host's own namespace, with an SSH server of its own.
#[test]
fn guest_ssh_runs_commands_in_a_guest_that_only_its_host_can_reach() {
    live(async {
        let far = Far::start();
        let connection = far.open().await;
        let web = connection.define_domain(test_machine("web")).await.unwrap();
        web.start().await.unwrap();
        let leases = far.virsh("", &["domifaddr", "web"]);
        let address = leases.split_whitespace().last().and_then(|word| word.split('/').next()).unwrap();
        far.daemon.shell(&format!("ip addr add {address}/32 dev lo"));
        let inside = far.daemon.inside();
        let mut sshd = Command::new(inside.get_program());
        sshd.args(inside.get_args()).args(["/usr/sbin/sshd", "-D", "-p", "22", "-f"]);
        sshd.arg(far.sshd.file("sshd_config"));
        let _sshd = Background::spawn(sshd, &far.sshd.file("guest.output"));
        wait_until(|| !far.daemon.shell("ss -Hltn 'sport = :22' || true").is_empty()).await;

        let guest = far.sshd.file("known_guests");
        fs::write(&guest, format!("web {}\n", far.sshd.host_key().public())).unwrap();
        let config = far.sshd.config(&[
            &format!("Host web\nUserKnownHostsFile {}", guest.display()),
            "Host *",
            &format!("IdentityFile {}", far.key.path().display()),
        ]);
        let uri = far.sshd.uri(TEST, "");
        let run = |command: &str| {
            let mut example = example("guest-ssh", &[&uri, "web", "root", command]);
            example.env("GUEST_SSH_CONFIG", &config);
            command::run(example, LIMIT)
        };
        let finished = run("echo from $SSH_CONNECTION");
        let (output, errors) = (finished.stdout.clone(), finished.stderr.clone());
        finished.expect_success();
        assert!(output.starts_with("from ") && output.trim_end().ends_with(" 22"), "{output}");
        assert!(output.contains(address) && errors.contains(address), "{output}{errors}");
        let failed = run("echo no >&2; exit 3");
        assert_eq!((failed.status.code(), failed.stderr.contains("no")), (Some(3), true), "{failed}");
    });
}

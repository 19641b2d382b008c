//! Configurations of SSH, beside what `ssh -G` says of the same file.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, time::Duration};

use libvirt_client::transport::ssh::config::{
    AddressFamily, Asked, ConfigError, ConfigFile, HostConfig, HostKeyCheck, Owner, Proxy,
};

use crate::support::{command, live_within};

const LIMIT: Duration = Duration::from_secs(60);
const ALL: Duration = Duration::from_secs(120);

/// Configurations and who is asked for: a host, or a user and a host, or also a port.
const CASES: &[(&str, &str)] = &[
    // Lines and words.
    ("", "h"),
    ("# only a comment\n\n\t# another\n", "h"),
    ("user x\r\nPORT 8\r\n", "h"),
    ("User=x\nPort = 9\nHostName=  \"name\"\n", "h"),
    ("\"User\" x\n\tPort\t7 \t\n", "h"),
    ("User \"a b\"\nHostKeyAlias 'it\"s'\n", "h"),
    ("User a\\ b\n", "h"),
    ("User x # comment\nPort 5 #", "h"),
    ("User x#y\n", "h"),
    ("User \"x\n", "h"),
    ("User\n", "h"),
    ("User \"\"\n", "h"),
    ("User a b\n", "h"),
    ("Foo bar\n", "h"),
    ("\nHost other\n\nPort abc\n", "h"),
    ("IgnoreUnknown Fo*,bar\nFoo 1\nBar 2 3\nUser u\n", "h"),
    ("IgnoreUnknown Fo*\nFoo\n", "h"),
    ("Protocol\n", "h"),
    ("Protocol 2\nCipher x\nUsePrivilegedPort no\nUser u\n", "h"),
    // Which host.
    ("User first\nUser second\n", "h"),
    ("Host a b h*\nUser x\nHost *\nUser y\nPort 3", "host"),
    ("Host !h* *\nUser x\nHost * !x\nPort 4", "host"),
    ("Host H\nUser x\n", "h"),
    ("Host h\nUser x\n", "H"),
    ("Host 10.0.0.?\nUser x\n", "10.0.0.7"),
    ("User config\nPort 1\n", "me@h"),
    ("User config\nPort 1\n", "me@h:77"),
    ("Host\nUser q\n", "h"),
    // Match.
    ("Match all\nUser q\nMatch user q\nPort 3\nMatch !user q\nPort 4\n", "h"),
    ("Match user me\nPort 9\n", "me@h"),
    ("Match user m?,!me\nPort 9\n", "me@h"),
    ("Match host HOST\nUser x\nMatch originalhost ho*\nPort 5\n", "Host"),
    ("Host h\nHostName b.c\nMatch host *.c\nUser x\nMatch originalhost *.c\nPort 5\n", "h"),
    ("Match host \"a,h\" !user x # why\nPort 5\n", "h"),
    ("Match host=h\nUser x\n", "h"),
    ("Match !all\nUser x\nMatch final all\nPort 6\n", "h"),
    ("Host h\nHostName b\nMatch final\nPort 8\nHost b\nUser bb\n", "h"),
    ("HostName %h.x\nMatch final host h.x\nPort 8\nHost h.x\nUser u\n", "h"),
    ("Match canonical\nUser can\nMatch !canonical host h\nPort 5\n", "h"),
    ("Match localuser nobody-of-that-name\nUser x\nMatch all\nPort 4\n", "h"),
    ("Match\nUser q\n", "h"),
    ("Match host\nUser q\n", "h"),
    ("Match all host h\nUser q\n", "h"),
    ("Match weather fine\nUser q\n", "h"),
    // Values.
    // Debian's has another interval where nobody is there.
    (
        "BatchMode YES\nServerAliveInterval 7\nIdentitiesOnly true\nHashKnownHosts False\nPasswordAuthentication no\n",
        "h",
    ),
    ("BatchMode maybe\n", "h"),
    ("KbdInteractiveAuthentication no\n", "h"),
    ("ChallengeResponseAuthentication no\n", "h"),
    ("PubkeyAuthentication no\nPreferredAuthentications password,publickey\n", "h"),
    ("PubkeyAuthentication unbound\n", "h"),
    ("StrictHostKeyChecking accept-new\n", "h"),
    ("StrictHostKeyChecking off\nStrictHostKeyChecking yes\n", "h"),
    ("StrictHostKeyChecking yes\n", "h"),
    ("StrictHostKeyChecking perhaps\n", "h"),
    ("Port 0\n", "h"),
    ("Port 65536\n", "h"),
    ("HostName name.%%.%h\n", "Host"),
    ("HostName %n\n", "h"),
    ("HostName x%\n", "h"),
    ("ConnectTimeout 1m30\nServerAliveInterval 1h\nServerAliveCountMax 0\n", "h"),
    ("ConnectTimeout none\nConnectTimeout 5\n", "h"),
    ("ConnectTimeout 1w2d3h4m5s\n", "h"),
    ("ConnectTimeout -1\n", "h"),
    ("ConnectTimeout 5x\n", "h"),
    ("ServerAliveCountMax -1\n", "h"),
    ("NumberOfPasswordPrompts 1\nAddressFamily inet6\n", "h"),
    ("NumberOfPasswordPrompts x\n", "h"),
    // Files.
    ("IdentityFile /a\nIdentityFile \"/b c\"\nIdentityFile /a\nIdentityFile ~/d\n", "h"),
    ("UserKnownHostsFile /a ~/b \"/c d\"\nUserKnownHostsFile /e\nGlobalKnownHostsFile /f /g\n", "h"),
    ("UserKnownHostsFile ~/k/%h /b/%k-%n-%p-%r-%u ${HOME}/x /%%/%i%L\nHostName r.x\nHostKeyAlias al\n", "H"),
    ("UserKnownHostsFile a none\n", "h"),
    ("RevokedHostKeys /a\nRevokedHostKeys /b\n", "h"),
    ("RevokedHostKeys none\n", "h"),
    ("UserKnownHostsFile ${NO_SUCH_VARIABLE}/x\n", "h"),
    ("Include {dir}/one {dir}/none {dir}/t*\nUser last\n", "h"),
    ("Host x\nInclude {dir}/one\nHost h\nInclude {dir}/two\nPort 9\n", "h"),
    ("Include {dir}/wrong\n", "h"),
    ("Include {dir}/config\n", "h"),
    ("Include\n", "h"),
    // The way.
    ("ProxyJump a@b:22,ssh://c@d:23,[::1]:24\n", "h"),
    ("ProxyJump none\nProxyJump x\n", "h"),
    ("ProxyJump none\nProxyCommand y\nProxyJump x\n", "h"),
    ("ProxyCommand none\nProxyJump x\n", "h"),
    ("ProxyCommand y\nProxyJump x\n", "h"),
    ("ProxyJump x\nProxyCommand y\n", "h"),
    ("ProxyJump a b # c\n", "h"),
    ("ProxyJump @a\n", "h"),
    ("ProxyJump a:99999\n", "h"),
    ("ProxyCommand  ssh -W \"x:1\" gate # as it is  \n", "h"),
    ("ProxyCommand\n", "h"),
    ("ForwardAgent yes\nSendEnv LANG LC_*\nControlMaster auto\nLocalForward 1 h:2\nUser u\n", "h"),
    ("SendEnv\n", "h"),
];

type Fields = BTreeMap<&'static str, String>;

#[test]
fn configurations_mean_what_openssh_says() {
    live_within(ALL, async {
        let directory = Directory::new("ssh-config");
        directory.write("one", "Host h\nUser one\nHost other\nPort 1\n");
        directory.write("two", "Host *\nPort 2\nIdentityFile /two\n");
        directory.write("three", "Match user one\nHostName three\n");
        directory.write("wrong", "\nUser a\nNonsense 1\n");
        let mut differences = Vec::new();
        for (text, whom) in CASES {
            let file = directory.write("config", &text.replace("{dir}", directory.0.to_str().unwrap()));
            let asked = asked(whom);
            let files = [ConfigFile { path: file.clone(), owner: Owner::User }];
            let (ours, theirs) = (HostConfig::from_files(&asked, &files), ssh_g(&file, &asked));
            let row = format!("{text:?} for {whom}");
            match (ours.map(|config| fields(&config)), theirs) {
                (Ok(ours), Ok(theirs)) => {
                    for (name, ours) in ours {
                        let theirs = theirs.get(name).cloned().unwrap_or_default();
                        if ours != theirs {
                            differences
                                .push(format!("{row}: {name} is {ours:?}, but for OpenSSH {theirs:?}"));
                        }
                    }
                }
                (Err(ours), Err(theirs)) => differences.extend(other_place(&row, &ours, &theirs)),
                (ours, theirs) => differences.push(format!("{row}: {ours:?}, but OpenSSH: {theirs:?}")),
            }
        }
        assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    });
}

#[test]
fn identity_files_are_those_that_openssh_tries() {
    live_within(ALL, async {
        let directory = Directory::new("ssh-identities");
        for text in [
            "User r\nPort 5\nHostName %h.x\nHostKeyAlias al\nIdentityFile ~/%h-%n-%p-%r-%u\nIdentityFile /%d/%i/%k/%L/%%",
            "IdentityFile /%C\nIdentityFile ${HOME}/x\nIdentityFile none\nIdentityFile /no/such/file",
        ] {
            let file = directory.write("config", text);
            let files = [ConfigFile { path: file.clone(), owner: Owner::User }];
            let ours = HostConfig::from_files(&asked("Host"), &files).unwrap();
            let mut ssh = Command::new("ssh");
            ssh.env("LC_ALL", "C")
                .args(["-v", "-o", "ProxyCommand=false", "-F"])
                .arg(&file)
                .args(["Host", "true"]);
            let finished = command::run(ssh, LIMIT);
            let tried = finished.stderr.lines().filter_map(|line| {
                let rest = line.trim_end().strip_prefix("debug1: identity file ")?;
                let name = rest.rsplit_once(" type ")?.0;
                (!name.ends_with("-cert")).then(|| PathBuf::from(name))
            });
            assert_eq!(ours.identity_files, tried.collect::<Vec<_>>(), "{text}\n{}", finished.stderr);
        }
    });
}

/// A directory for files, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lvt{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn asked(whom: &str) -> Asked {
    let (user, place) = match whom.split_once('@') {
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, whom),
    };
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (place, None),
    };
    Asked { host: host.to_owned(), user, port }
}

/// What OpenSSH makes of a file: its fields, or its complaints.
fn ssh_g(file: &PathBuf, asked: &Asked) -> Result<BTreeMap<String, String>, String> {
    let mut ssh = Command::new("ssh");
    ssh.env("LC_ALL", "C").arg("-F").arg(file).arg("-G");
    if let Some(user) = &asked.user {
        ssh.args(["-l", user]);
    }
    if let Some(port) = asked.port {
        ssh.args(["-p", &port.to_string()]);
    }
    let finished = command::run(
        {
            ssh.arg(&asked.host);
            ssh
        },
        LIMIT,
    );
    if !finished.status.success() {
        return Err(finished.stderr);
    }
    let mut fields = BTreeMap::<String, String>::new();
    for line in finished.stdout.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        let field = fields.entry(name.to_owned()).or_default();
        if !field.is_empty() {
            field.push('\n');
        }
        field.push_str(value);
    }
    // It names these as they stand in the file, and one kind of key that nobody has.
    let home = home_directory();
    if let Some(keys) = fields.get_mut("identityfile") {
        let kept = keys.lines().filter(|line| *line != "~/.ssh/id_xmss" && *line != "none");
        *keys = kept.map(|line| line.replace('~', &home)).collect::<Vec<_>>().join("\n");
    }
    // It makes the name lower later than it prints it.
    if let Some(name) = fields.get_mut("hostname") {
        *name = name.to_lowercase();
    }
    if let Some(hops) = fields.get_mut("proxyjump") {
        *hops = hops.replace("ssh://", "");
    }
    for (name, default) in [("pubkeyauthentication", "true"), ("connecttimeout", "none")] {
        let value = fields.get_mut(name).unwrap();
        if ["unbound", "host-bound", "0"].contains(&value.as_str()) {
            *value = default.to_owned();
        }
    }
    for files in ["userknownhostsfile", "globalknownhostsfile"] {
        fields.get_mut(files).unwrap().retain(|c| c != '\n');
    }
    Ok(fields)
}

/// The home directory that OpenSSH takes: that of the user whom this process belongs to.
fn home_directory() -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", "getent passwd \"$(id -u)\" | cut -d: -f6"]);
    command::run(shell, LIMIT).expect_success()
}

/// Tells it as `ssh -G` would.
fn fields(config: &HostConfig) -> Fields {
    let word = |flag: bool| (if flag { "yes" } else { "no" }).to_owned();
    let files = |files: &[PathBuf], between: &str| {
        files.iter().map(|file| file.to_str().unwrap()).collect::<Vec<_>>().join(between)
    };
    let seconds =
        |time: Option<Duration>, none: &str| time.map_or(none.to_owned(), |time| time.as_secs().to_string());
    let mut fields = BTreeMap::from([
        ("hostname", config.host_name.clone()),
        ("user", config.user.clone()),
        ("port", config.port.to_string()),
        ("batchmode", word(config.batch_mode)),
        ("identitiesonly", word(config.identities_only)),
        ("hashknownhosts", word(config.hash_known_hosts)),
        ("passwordauthentication", word(config.password)),
        ("kbdinteractiveauthentication", word(config.keyboard_interactive)),
        ("pubkeyauthentication", config.public_key.to_string()),
        ("numberofpasswordprompts", config.password_prompts.to_string()),
        ("serveralivecountmax", config.alive_count_max.to_string()),
        ("serveraliveinterval", seconds(config.alive_interval, "0")),
        ("connecttimeout", seconds(config.connect_timeout, "none")),
        ("identityfile", files(&config.identity_files, "\n")),
        ("userknownhostsfile", files(&config.user_known_hosts, " ")),
        ("globalknownhostsfile", files(&config.global_known_hosts, " ")),
        ("revokedhostkeys", files(&config.revoked_host_keys, " ")),
        ("hostkeyalias", config.host_key_alias.clone().unwrap_or_default()),
        ("preferredauthentications", config.preferred_authentications.clone().unwrap_or_default().join(",")),
        ("proxyjump", String::new()),
        ("proxycommand", String::new()),
    ]);
    fields.insert(
        "addressfamily",
        match config.address_family {
            AddressFamily::Any => "any".to_owned(),
            AddressFamily::Inet => "inet".to_owned(),
            AddressFamily::Inet6 => "inet6".to_owned(),
            other => panic!("{other:?}"),
        },
    );
    fields.insert(
        "stricthostkeychecking",
        match config.host_key_check {
            HostKeyCheck::Strict => "true".to_owned(),
            HostKeyCheck::Ask => "ask".to_owned(),
            HostKeyCheck::AcceptNew => "accept-new".to_owned(),
            HostKeyCheck::Off => "false".to_owned(),
            other => panic!("{other:?}"),
        },
    );
    match &config.proxy {
        None => {}
        Some(Proxy::Command(command)) => drop(fields.insert("proxycommand", command.clone())),
        Some(Proxy::Jump(hops)) => {
            let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
            fields.insert("proxyjump", hops.join(","));
        }
        Some(other) => panic!("{other:?}"),
    }
    fields
}

/// Tells whether both complain about different lines. OpenSSH names none where a value only turns out wrong in the end.
fn other_place(row: &str, ours: &ConfigError, theirs: &str) -> Option<String> {
    let named = theirs.split_once("line ").and_then(|(before, after)| {
        let file = before.rsplit(['\n', ' ']).find(|word| word.contains('/'))?.trim_end_matches(':');
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        Some((PathBuf::from(file), digits.parse::<usize>().ok()?))
    });
    let (file, line) = named?;
    let same = ours.file == file && ours.line == Some(line);
    (!same).then(|| format!("{row}: {ours}, but OpenSSH: {theirs}"))
}

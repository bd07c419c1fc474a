//! The commands of one page, run one after the other by one shell in a scratch folder.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use super::pages::{Command, root};
use crate::story::{PROGRAM, Running, StandIn};

/// What a command says of places, and what it says in the scratch folder. Nothing else is changed.
pub(super) const PLACES: &[(&str, &str)] = &[
    ("/usr/local/bin/coverbatch", "{root}/bin/coverbatch"),
    ("/usr/local/share/man/man1", "{root}/out/man1"),
    ("/usr/bin/coverbatch", "{root}/bin/coverbatch"),
    ("/usr/share/coverbatch", "{root}/usr/share/coverbatch"),
    ("/etc/coverbatch", "{root}/etc/coverbatch"),
    ("/etc/bash_completion.d", "{root}/etc/bash_completion.d"),
    ("/srv/", "{root}/srv/"),
    // There is no such user here.
    (" -o coverbatch", ""),
    (" -g coverbatch", ""),
    // The same program, which is built already.
    ("cargo run --release -- ", "coverbatch "),
    ("--api-url http://127.0.0.1:8780", "--api-url http://127.0.0.1:{port} --account stand-in"),
    ("--account label-", "--config {root}/etc/coverbatch/config.toml --account label-"),
    ("https://hc-ping.example", "{service}"),
    ("mail -s", "true"),
    ("coverbatch sandbox ", "coverbatch sandbox --listen 127.0.0.1:{port} "),
    ("coverbatch receive ", "coverbatch receive --listen 127.0.0.1:0 "),
];

/// What the environment says: the service is a stand-in on this machine, and it is asked faster
/// than the real one, but where the page shows what is printed.
const SETTINGS: [(&str, &str); 5] = [
    ("COVERBATCH_API_URL", "{service}"),
    ("COVERBATCH_ACCOUNT", "api.sunoapi.org"),
    ("COVERBATCH_RATE", "200/1s"),
    ("COVERBATCH_POLL_RATE", "200/1s"),
    // Else the first look comes after a minute.
    ("COVERBATCH_WAIT_TIMEOUT", "2s"),
];

/// A scratch folder, and the service that is asked from there.
pub(super) struct Session {
    folder: TempDir,
    service: StandIn,
    port: u16,
}

/// What a command came to.
pub(super) struct Ended {
    /// As the shell tells it; none for a command that goes on.
    pub(super) code: Option<i32>,
    /// Both streams, with the places of the page.
    pub(super) output: String,
}

impl Session {
    /// A machine where a label keeps its catalog.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        for name in ["covers.csv", "every-outcome.csv", "first-run.csv", "messy.csv", "rerun/interrupted-night.csv"] {
            let name = format!("sample-batches/{name}");
            let sample = fs::read(root().join(&name)).unwrap();
            put(&name, &sample);
            put(&format!("usr/share/coverbatch/{name}"), &sample);
        }
        put("etc/coverbatch/config.toml", &fs::read(root().join("packaging/config.toml")).unwrap());
        for name in ["tracks.csv", "catalog.csv", "srv/label-a/tracks.csv"] {
            put(name, CATALOG.as_bytes());
        }
        put("mail.csv", &[CATALOG, TROUBLE].concat().into_bytes());
        for name in ["bin", "etc/bash_completion.d", "etc/coverbatch/keys", "out", "target", "var/lib/coverbatch"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        symlink(PROGRAM, folder.path().join("bin/coverbatch")).unwrap();
        image::RgbImage::new(8, 8).save(folder.path().join("srv/label.png")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, service: StandIn::quick(&["--generation", "100ms", "--image-pixels", "64"]), port }
    }

    /// Begins to run them.
    pub(super) fn start(&self, commands: &[&Command]) -> Running {
        let mut script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned();
        for (number, command) in commands.iter().enumerate() {
            let text = self.placed(&command.text);
            let text = if command.is_cron { self.as_cron_does(&text) } else { text };
            let file = self.output(number);
            let file = file.display();
            if serves(&command.text) {
                let text = text.trim_end_matches([' ', '&']);
                let _ = writeln!(script, "{text} >{file} 2>&1 &\nuntil [ -s {file} ]; do sleep 0.02; done");
            } else if command.printed.is_some() {
                let _ = writeln!(script, "( unset COVERBATCH_RATE; {text}\n) >{file} 2>&1; echo $? >{file}.code");
            } else {
                let _ = writeln!(script, "{{ {text}\n}} >{file} 2>&1; echo $? >{file}.code");
            }
        }
        let path = self.folder.path().join("script");
        fs::write(&path, script).unwrap();
        let mut shell = std::process::Command::new("bash");
        shell.arg(path).current_dir(self.folder.path()).env_clear().envs(self.settings());
        let search = format!("{}/bin:/usr/bin:/bin", self.folder.path().display());
        shell.env("HOME", self.home()).env("PATH", search);
        Running::begin(shell, PathBuf::new())
    }

    /// What the command of this number came to.
    pub(super) fn ended(&self, number: usize) -> Ended {
        let file = self.output(number);
        let code = fs::read_to_string(file.with_extension("code")).ok().map(|code| code.trim().parse().unwrap());
        let mut output = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
        for (name, value) in self.settings() {
            output = output.replace(&format!("{name}={value} "), "");
        }
        let (program, root) = (self.folder.path().join("bin/coverbatch"), self.folder.path());
        // The stand-in signs its words.
        output = output
            .replace(" (sandbox)", "")
            .replace(&program.display().to_string(), "coverbatch")
            .replace(&format!("{}/", root.display()), "/")
            .replace(&root.display().to_string(), "/");
        Ended { code, output }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("var/lib/coverbatch")
    }

    fn output(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("out/{number}"))
    }

    fn settings(&self) -> [(&'static str, String); 5] {
        SETTINGS.map(|(name, value)| (name, value.replace("{service}", &self.service.address)))
    }

    fn placed(&self, text: &str) -> String {
        let root = self.folder.path().display().to_string();
        let here = |text: String, (from, to): &(&str, &str)| {
            let to = to.replace("{root}", &root).replace("{port}", &self.port.to_string());
            text.replace(from, &to.replace("{service}", &self.service.address))
        };
        PLACES.iter().fold(text.to_owned(), here)
    }

    /// The command as cron runs it: with the service, and otherwise with hardly any environment.
    fn as_cron_does(&self, text: &str) -> String {
        let home = self.home();
        let settings = self.settings().map(|(name, value)| format!("{name}={value}")).join(" ");
        let quoted = shlex::try_quote(text).unwrap();
        format!("env -i HOME={} PATH=/usr/bin:/bin {settings} /bin/sh -c {quoted}", home.display())
    }
}

/// Whether a command goes on until it is interrupted.
pub(super) fn serves(command: &str) -> bool {
    ["coverbatch receive ", "coverbatch sandbox "].iter().any(|serving| command.contains(serving))
}

/// What the pages call `tracks.csv`.
const CATALOG: &str = "\
task_id,artist,title,isrc
73d6128b3523a0079df10da9471017c8,Ada Vance,Harbour Lights,NLA502600001
8d95409a1e6efee17d9dd1d55b4ebfed,The Lowlands,Paper Lanterns,NLA502600002
1ab7b132ef528a2d226d26989a5d0994,Ikeda Trio,Slow Tide,NLA502600003
9bfd29fb8e73e52ff20ac5fb42b5a615,Ada Vance,Northbound,NLA502600004
870aee85dfaa6a58af511dfba440f914,The Lowlands,Glass Orchard,NLA502600005
ef111a3da586a394434e35a2c0f9fd15,Ikeda Trio,Second Sunrise,NLA502600006
a7173cc5cdd0e31df00cd34f058b1d33,Ada Vance,Velvet Static,NLA502600007
e560dc5cd1dc9fb7ab15bebed1c6b2f0,The Lowlands,Blue Hour,NLA502600008
";

/// What else is in the catalog whose mail README shows.
const TROUBLE: &str = "\
code-404-6f02be,Ada Vance,Cinder,NLA502600009
code-422-d19a73,The Lowlands,Copper Wire,NLA502600010
code-404-50e7c9,Ikeda Trio,Wintering,NLA502600011
73d6128b3523a0079df10da9471017c8,Ada Vance,Harbour Lights (Deluxe),NLA502600012
";

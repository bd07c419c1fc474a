//! A real browser, driven over the `WebDriver` protocol: <https://www.w3.org/TR/webdriver2/>.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::sleep;
use std::time::Duration;

use coverbatch::clock::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest that one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// The key codes of the protocol.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ESCAPE: &str = "\u{e00c}";
pub(crate) const RIGHT: &str = "\u{e014}";

/// The browser of the tests that are going on. To start one takes longer than most of them; the last one ends it.
static SHARED: Mutex<Weak<Process>> = Mutex::new(Weak::new());

/// One test after the other has it.
static TURN: Mutex<()> = Mutex::new(());

/// A window of its own in the browser, which nobody else uses meanwhile.
pub(crate) struct Browser {
    process: Arc<Process>,
    _turn: MutexGuard<'static, ()>,
}

/// A browser, ended when dropped.
struct Process {
    driver: Child,
    port: u16,
    session: String,
    profile: TempDir,
    /// Kept open, as the driver ends when nobody listens.
    _output: BufReader<ChildStdout>,
}

impl Process {
    fn start() -> Self {
        let mut driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let (port, profile) = (port_of(&mut output), tempfile::tempdir().unwrap());
        let mut process = Self { driver, port, session: String::new(), profile, _output: output };
        process.open_session();
        process
    }

    fn open_session(&mut self) {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.iter().copied().chain([profile.as_str()]).collect();
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let answer = self.call("POST", "/session", &capabilities);
        answer["sessionId"].as_str().unwrap().clone_into(&mut self.session);
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer: Value = serde_json::from_str(&read_body(stream)).unwrap();
        assert!(answer["value"].get("error").is_none(), "{method} {path}: {}", answer["value"]);
        answer["value"].take()
    }
}

impl Browser {
    /// A new window, once nobody else needs the browser; `None`, and said so, where none is installed, which is an error in CI.
    pub(crate) fn start() -> Option<Self> {
        let process = Self::shared()?;
        let browser = Self { process, _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner) };
        browser.change_window();
        Some(browser)
    }

    fn shared() -> Option<Arc<Process>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = shared.upgrade() {
            return Some(process);
        }
        let program = |name: &str| Command::new(name).arg("--version").output().is_ok();
        if !program("chromium") || !program("chromedriver") {
            assert!(std::env::var_os("CI").is_none(), "chromium and chromedriver are needed in CI");
            println!("not tested: chromium and chromedriver are not installed");
            return None;
        }
        let process = Arc::new(Process::start());
        *shared = Arc::downgrade(&process);
        Some(process)
    }

    /// Leaves the window of the test before, and what that has set and logged, for a new one.
    fn change_window(&self) {
        let window = self.post("window/new", &json!({ "type": "window" }));
        self.call("DELETE", "window");
        self.post("window", &json!({ "handle": window["handle"] }));
        drop(self.console());
    }

    fn call(&self, method: &str, command: &str) -> Value {
        self.process.call(method, &format!("/session/{}/{command}", self.process.session), &Value::Null)
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        self.process.call("POST", &format!("/session/{}/{command}", self.process.session), body)
    }

    /// Opens a file, at this hash, and waits until it is loaded.
    pub(crate) fn open(&self, page: &Path, hash: &str) {
        // From a blank page, as a change of the hash alone loads nothing.
        self.post("url", &json!({ "url": "about:blank" }));
        self.post("url", &json!({ "url": format!("file://{}{hash}", page.display()) }));
    }

    /// What the script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// A number that the script returns.
    pub(crate) fn number(&self, script: &str) -> f64 {
        self.run(script).as_f64().unwrap()
    }

    /// How many of something the script counts.
    pub(crate) fn count(&self, script: &str) -> u64 {
        self.run(script).as_u64().unwrap()
    }

    /// A text that the script returns.
    pub(crate) fn text(&self, script: &str) -> String {
        self.run(script).as_str().unwrap().to_owned()
    }

    /// Waits until the script returns this text: some of what keys set off comes after them.
    #[track_caller]
    pub(crate) fn shows(&self, script: &str, expected: &str) {
        let clock = Clock::start();
        while self.text(script) != expected && clock.elapsed() < PATIENCE {
            sleep(Duration::from_millis(10));
        }
        assert_eq!(self.text(script), expected, "{script}");
    }

    /// Presses and releases keys, one after the other, wherever the focus is.
    pub(crate) fn press(&self, keys: &[&str]) {
        let stroke =
            |key: &&str| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let strokes: Vec<Value> = keys.iter().flat_map(stroke).collect();
        self.post("actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] }));
    }

    /// Everything the console has been told: errors, and what the policy refused.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "browser" }));
        entries.as_array().unwrap().iter().map(ToString::to_string).collect()
    }

    /// Makes the window this large, and light or dark.
    pub(crate) fn look(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.develop("Emulation.setDeviceMetricsOverride", &size);
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.develop("Emulation.setEmulatedMedia", &scheme);
    }

    /// Lives in this zone of time from the next page on.
    pub(crate) fn live_in(&self, zone: &str) {
        self.develop("Emulation.setTimezoneOverride", &json!({ "timezoneId": zone }));
    }

    /// Runs no script of the next page.
    pub(crate) fn without_script(&self) {
        self.develop("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// Shows the page as it will be printed.
    pub(crate) fn put_on_paper(&self) {
        self.develop("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    }

    /// Prints the page into a PDF.
    pub(crate) fn print(&self, to: &Path) {
        let pdf = self.post("print", &json!({ "background": true }));
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, pdf.as_str().unwrap());
        fs::write(to, bytes.unwrap()).unwrap();
    }

    fn develop(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Writes what is to be seen as a PNG.
    pub(crate) fn take_picture(&self, to: &Path) {
        let picture = self.call("GET", "screenshot");
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, picture.as_str().unwrap());
        fs::write(to, bytes.unwrap()).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn port_of(output: &mut impl BufRead) -> u16 {
    let started = output.lines().find_map(|line| {
        line.unwrap().split_once("started successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
    });
    started.unwrap().parse().unwrap()
}

/// The body of an answer of a length that its head tells.
fn read_body(stream: TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

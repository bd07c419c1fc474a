//! Who answers: the stand-in in a process of its own, or a script.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::{PROGRAM, Running, wait_for};

/// `coverbatch sandbox` on a free port; ends with the test.
pub(crate) struct StandIn {
    _process: Running,
    pub(crate) address: String,
}

impl StandIn {
    /// One with these options, and otherwise quick and with hardly a limit.
    pub(crate) fn quick(options: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["sandbox", "--listen", "127.0.0.1:0"]).args(options).env_clear();
        for (option, quick) in [("--latency", "1ms"), ("--rate", "10000/1s")] {
            if !options.contains(&option) {
                command.args([option, quick]);
            }
        }
        let process = Running::begin(command, PathBuf::new());
        wait_for("the stand-in to listen", || process.stdout_so_far().ends_with('\n'));
        let address = process.stdout_so_far().trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { _process: process, address }
    }
}

/// A server that gives the answers of a script, and remembers what it was asked.
pub(crate) struct Scripted {
    runtime: Runtime,
    server: MockServer,
}

impl Scripted {
    /// One that answers so.
    pub(crate) fn by(script: impl Respond + 'static) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(async {
            let server = MockServer::start().await;
            Mock::given(any()).respond_with(script).mount(&server).await;
            server
        });
        Self { runtime, server }
    }

    /// One that says the same to everyone.
    pub(crate) fn always(code: i64, message: &str) -> Self {
        Self::by(envelope(code, message, &Value::Null))
    }

    /// One that accepts everything.
    pub(crate) fn accepting() -> Self {
        Self::by(|request: &Request| accepted(request))
    }

    pub(crate) fn address(&self) -> String {
        self.server.uri()
    }

    /// What it was asked.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.runtime.block_on(self.server.received_requests()).unwrap()
    }
}

/// An answer of the service: HTTP 200, and the code in the body.
pub(crate) fn envelope(code: i64, message: &str, data: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "code": code, "msg": message, "data": data }))
}

/// Code 200 with a cover for the music task that the request names.
pub(crate) fn accepted(request: &Request) -> ResponseTemplate {
    let body: Value = request.body_json().unwrap();
    let cover = format!("cover-of-{}", body["taskId"].as_str().unwrap());
    envelope(200, "success", &json!({ "taskId": cover }))
}

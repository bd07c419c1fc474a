//! A command that is told how a run ended: the summary as JSON on its standard input.
//!
//! It never fails a run. It gets so much time and no more, none of the secrets of this program, and what goes wrong with it
//! is one line.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::tempfile;
use tokio::time::{interval, timeout};
use tracing::warn;

use crate::cli::service::secret_variables;
use crate::domain::one_line;

/// What runs the command.
const SHELL: &str = "/bin/sh";

/// How long the command may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked at whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// The password of a database, for whoever reads it from the environment.
const DATABASE_PASSWORD: &str = "PGPASSWORD";

/// Most bytes that are read of what the command said.
const MOST_SAID: u64 = 4096;

/// Gives `document` to a command line of the shell, and waits for its end.
pub(super) async fn notify(command: &str, document: String) {
    if let Err(problem) = tell(command, document).await {
        warn!(problem, "--notify-command did not do what it should; the run is as it is");
    }
}

async fn tell(command: &str, document: String) -> Result<(), String> {
    let (mut child, mut said) = start(command).map_err(|error| format!("it cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // One that needs none of it may close its input, or read nothing: then this ends with it.
        drop(tokio::task::spawn_blocking(move || input.write_all(document.as_bytes())));
    }
    match timeout(LIMIT, end_of(&mut child)).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{status}{}", first_line(&mut said))),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            end(&mut child);
            Err(format!("it took longer than {}s and was ended", LIMIT.as_secs()))
        }
    }
}

/// Ends a command with all that it has started, as each part of a pipe is.
fn end(child: &mut Child) {
    let group = format!("kill -s KILL -- -{}", child.id());
    let _ = Command::new(SHELL).args(["-c", &group]).stderr(Stdio::null()).status();
    let _ = child.kill();
    let _ = child.wait();
}

/// The command in its shell, in a group of its own, and the file that it writes its errors to. Standard output of this program is data, and its
/// standard error is the mail.
fn start(command: &str) -> io::Result<(Child, File)> {
    let said = tempfile()?;
    let mut shell = Command::new(SHELL);
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(said.try_clone()?).process_group(0);
    for secret in secret_variables().chain([DATABASE_PASSWORD]) {
        shell.env_remove(secret);
    }
    Ok((shell.spawn()?, said))
}

async fn end_of(child: &mut Child) -> io::Result<ExitStatus> {
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
    }
}

/// `: curl: (6) Could not resolve host`, if anything was said.
fn first_line(said: &mut File) -> String {
    let mut bytes = Vec::new();
    let _ = said.rewind().and_then(|()| said.take(MOST_SAID).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.map(|line| format!(": {}", one_line(line))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn a_command_that_hangs_is_ended_after_30_seconds() {
        let clock = Clock::start();
        let problem = tell("exec sleep 600", "{}".to_owned()).await.unwrap_err();
        assert_eq!(problem, "it took longer than 30s and was ended");
        assert_eq!(clock.elapsed().as_secs(), 30);
    }

    #[test]
    fn a_command_that_is_ended_leaves_nothing_that_it_has_started() {
        let (mut child, mut said) = start("sleep 1000 | sleep 1001 & echo $! >&2; wait").unwrap();
        let clock = Clock::start();
        let sleeper = loop {
            let id = first_line(&mut said);
            if !id.is_empty() {
                break id.trim_start_matches(": ").to_owned();
            }
            assert!(clock.elapsed() < LIMIT, "it has not begun");
            std::thread::sleep(LOOK);
        };
        end(&mut child);
        let runs = || {
            // One that nobody has waited for is still listed, as `Z`.
            let state = fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
            state.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['S', 'R', 'D']))
        };
        while runs() {
            assert!(clock.elapsed() < LIMIT, "{sleeper} goes on");
            std::thread::sleep(LOOK);
        }
    }
}

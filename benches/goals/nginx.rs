//! nginx with one worker and an answer that only differs in its id: fast enough that the clients are what is measured.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Bench;
use crate::server::accepted;
use crate::trouble::Trouble;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(10);

/// nginx on a port of this machine; ends when it is dropped.
pub(crate) struct Nginx<'a> {
    program: &'a Path,
    folder: TempDir,
    process: Child,
}

/// An address of this machine at which nobody listens.
///
/// A ledger belongs to one address, so that nginx and the server of the measurements take turns at it.
pub(crate) fn free_address() -> Result<SocketAddr, Trouble> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl<'a> Nginx<'a> {
    /// Listens when this returns.
    pub(crate) fn start(bench: &'a Bench, address: SocketAddr) -> Result<Self, Trouble> {
        let folder =
            TempDir::with_prefix_in("nginx-", bench.folder.path()).map_err(Trouble::at(bench.folder.path()))?;
        let (path, log) = (folder.path().join("nginx.conf"), folder.path().join("nginx.err"));
        fs::write(&path, configuration(address)).map_err(Trouble::at(&path))?;
        let errors = File::create(&log).map_err(Trouble::at(&log))?;
        let program = bench.tools.path("nginx");
        let mut command = command(program, folder.path());
        let process = command.stderr(errors).spawn().map_err(Trouble::at(program))?;
        let mut nginx = Self { program, folder, process };
        nginx.wait_for(address)?;
        Ok(nginx)
    }

    fn wait_for(&mut self, address: SocketAddr) -> Result<(), Trouble> {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > START || matches!(self.process.try_wait(), Ok(Some(_))) {
                let said = fs::read_to_string(self.folder.path().join("nginx.err")).unwrap_or_default();
                return Err(Trouble::Command { command: "nginx".to_owned(), said });
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Nginx<'_> {
    /// By nginx's own command, since its worker would outlive a master that is killed.
    fn drop(&mut self) {
        let stopped = command(self.program, self.folder.path()).args(["-s", "stop"]).stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).args(["-c", "nginx.conf"]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Works as root and as anybody: all it writes is in its own folder.
fn configuration(address: SocketAddr) -> String {
    format!(
        "worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen {address} reuseport backlog=1024;
        location / {{
            default_type application/json;
            return 200 '{}';
        }}
    }}
}}
",
        accepted("$request_id")
    )
}

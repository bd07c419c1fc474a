//! Rows a second of a first run, against a client that sends the same requests and keeps no books.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;

use crate::Bench;
use crate::batch::{Batch, IN_FLIGHT};
use crate::call::{KEY, Usage};
use crate::catalog::id;
use crate::figures::{Bound, Verdict, figure, median, print_table};
use crate::nginx::{Nginx, free_address};
use crate::server::{Manner, Server, Submission};
use crate::trouble::Trouble;

/// Rows unless others are asked for.
const ROWS: u32 = 200_000;

/// Who takes turns.
const CLIENTS: [&str; 2] = ["coverbatch", "curl"];

/// `run`, which makes each row durable twice, has to be as fast as curl, which keeps nothing.
const OF_CURL: f64 = 1.0;

/// A request as the program sends it, to be sent by others.
struct Request {
    url: String,
    /// With the id of row 0.
    body: String,
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Verdict>, Trouble> {
    let rows = bench.options.rows.unwrap_or(ROWS);
    let address = free_address()?;
    let request = Request::sample(bench, address)?;
    let _nginx = Nginx::start(bench, address)?;
    round(bench, address, &request, (rows / 100).max(100))?;
    let rounds = bench.rounds("throughput", |_| round(bench, address, &request, rows))?;
    print_table(&["client", "rows/s", "CPU µs/row", "peak MiB"], &table(&rounds, rows));
    let times_as_fast = median(rounds.iter().map(|r| r[1].wall.div_duration_f64(r[0].wall)));
    Ok(vec![Verdict::new("rows/s of run / curl", times_as_fast, "", Bound::AtLeast(OF_CURL))])
}

fn table(rounds: &[[Usage; 2]], rows: u32) -> Vec<Vec<String>> {
    let row = |(client, name): (usize, &&str)| {
        let of = |figure_of: &dyn Fn(&Usage) -> f64| figure(median(rounds.iter().map(|r| figure_of(&r[client]))));
        vec![
            (*name).to_owned(),
            of(&|usage| usage.rows_per_second(rows)),
            of(&|usage| usage.cpu_micros_per_row(rows)),
            of(&|usage| usage.peak_mib),
        ]
    };
    CLIENTS.iter().enumerate().map(row).collect()
}

/// Each client once, with a fresh ledger.
fn round(bench: &Bench, address: SocketAddr, request: &Request, rows: u32) -> Result<[Usage; 2], Trouble> {
    let batch = Batch::of(bench, (0..rows).map(u64::from))?;
    let ours = batch.run("c.csv", address, &[])?;
    let curl = request.by_curl(&batch, rows)?;
    Ok([ours, curl])
}

impl Request {
    /// What the program sends for row 0.
    fn sample(bench: &Bench, address: SocketAddr) -> Result<Self, Trouble> {
        let server = Server::start(address, Manner::default())?;
        let batch = Batch::of(bench, 0..1)?;
        batch.run("c.csv", address, &[])?;
        let nothing = || batch.program(&["run"]).failed("it sent nothing");
        let Submission { path, body, .. } = server.submissions().into_iter().next().ok_or_else(nothing)?;
        Ok(Self { url: format!("http://{address}{path}"), body })
    }

    fn by_curl(&self, batch: &Batch<'_>, rows: u32) -> Result<Usage, Trouble> {
        let path = batch.path("curl.conf");
        self.write_curl(File::create(&path).map_err(Trouble::at(&path))?, rows).map_err(Trouble::at(&path))?;
        let words = ["-q", "-s", "--parallel", "--parallel-max", IN_FLIGHT, "-K", "curl.conf"];
        batch.usage_of_tool(&batch.tool("curl", &words))
    }

    fn write_curl(&self, file: File, rows: u32) -> std::io::Result<()> {
        let mut file = BufWriter::new(file);
        for row in 0..rows {
            let body = self.body.replace(&id(0), &id(row.into())).replace('"', "\\\"");
            let next = if row == 0 { "" } else { "next\n" };
            writeln!(file, "{next}url = \"{}\"\nheader = \"Authorization: Bearer {KEY}\"", self.url)?;
            writeln!(file, "header = \"Content-Type: application/json\"\ndata = \"{body}\"\noutput = \"/dev/null\"")?;
        }
        file.into_inner()?.sync_all()
    }
}

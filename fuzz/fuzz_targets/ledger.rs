//! A ledger with any bytes over some of it: refused in words, or read; never a crash.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use coverbatch::domain::MusicTaskId;
use coverbatch::ledger::{ReadLedger as _, SqliteLedger};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

const API: &str = "https://api.kie.ai";

/// A ledger with nothing in it.
fn sound() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let _runtime = runtime().enter();
        runtime().block_on(SqliteLedger::open(&path, API).unwrap().close());
        fs::read(&path).unwrap()
    })
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

fn use_it(path: &Path) {
    let _runtime = runtime().enter();
    if let Ok(Some(ledger)) = SqliteLedger::open_to_read(path, None) {
        runtime().block_on(async {
            let _ = ledger.look_up(vec![MusicTaskId::new("a1").unwrap()]).await;
            ledger.close().await;
        });
    }
    if let Ok(ledger) = SqliteLedger::open(path, API) {
        runtime().block_on(ledger.close());
    }
}

fuzz_target!(|input: (u16, &[u8])| {
    let (at, bytes) = input;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    fs::write(&path, bytes).unwrap();
    use_it(&path);
    let mut patched = sound().to_vec();
    let at = usize::from(at) % patched.len();
    let end = (at + bytes.len()).min(patched.len());
    patched[at..end].copy_from_slice(&bytes[..end - at]);
    fs::write(&path, patched).unwrap();
    use_it(&path);
});

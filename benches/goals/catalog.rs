//! Catalogs whose ids look like the service's: 32 hexadecimal digits in no order, the same in every run.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::trouble::Trouble;

/// Numbers of rows from here on are in no first catalog.
const NEW: u64 = 1 << 40;

/// The id of the music task of this number.
pub(crate) fn id(number: u64) -> String {
    format!("{:016x}{:016x}", mixed(2 * number), mixed(2 * number + 1))
}

/// `SplitMix64`: neighbours have nothing in common, and no two numbers come to the same.
/// <https://prng.di.unimi.it/splitmix64.c>
const fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The numbers of new rows, `count` of them, none of which is in another `batch`.
pub(crate) fn new_rows(batch: u32, count: u32) -> impl Iterator<Item = u64> {
    let first = NEW * (u64::from(batch) + 1);
    (0..count).map(move |row| first + u64::from(row))
}

/// The numbers of as many rows as were in the first catalog, of which `new` are other ones, evenly among them.
pub(crate) fn mostly_settled(rows: u32, new: u32) -> impl Iterator<Item = u64> {
    let step = (rows / new.max(1)).max(1);
    (0..rows).map(move |row| {
        let nth = row / step;
        if row % step == 0 && nth < new { NEW + u64::from(nth) } else { row.into() }
    })
}

/// The same in another order.
pub(crate) fn shuffled(rows: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut rows: Vec<u64> = rows.collect();
    // Not by their numbers alone, so that this order is not that of the ids.
    rows.sort_by_cached_key(|row| mixed(!row));
    rows
}

/// Writes a catalog of these rows.
pub(crate) fn write(path: &Path, rows: impl Iterator<Item = u64>) -> Result<(), Trouble> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "track,title,task_id")?;
        for (at, row) in rows.enumerate() {
            writeln!(file, "T{at:08},Song {at},{}", id(row))?;
        }
        // On the disk, so that nobody who is measured has to wait for it.
        file.into_inner()?.sync_all()
    };
    write().map_err(Trouble::at(path))
}

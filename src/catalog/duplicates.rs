//! Which rows name what an earlier row names already, without keeping the names in memory.
//!
//! Each name becomes 128 bits: two hashes under one secret key, so that nobody can craft two with the same bits, and
//! chance needs about 2^64 rows. The bits and the row number go into one of 32 temporary files by the first bits,
//! so that all rows of a name are in the same file, in order. Each file has its table of first rows, or one after the
//! other if it is large, so that no table grows with the catalog; only the repeated rows, usually few, are kept.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use tempfile::SpooledTempFile;

/// How many files the ids are spread over: as many as five bits tell apart, and fewer than a process may have open.
const PARTITIONS: usize = 32;

/// Up to how many bytes each of them stays in memory.
const IN_MEMORY_BYTES: usize = 64 * 1024;

/// About how many ids have their first rows in memory together: those of a larger file are gone through in rounds. A
/// little less than a table of half a megabyte holds.
const IDS_PER_ROUND: usize = 12_000;

/// How many bytes are gathered for one write to a file.
const BUFFER_BYTES: usize = 4 * 1024;

/// The repeated rows with their first rows, by row number.
#[derive(Debug, Default)]
pub(super) struct Duplicates(Vec<(u32, u32)>);

impl Duplicates {
    /// The first row with the id of this one, unless this is it.
    pub(super) fn first_row_of(&self, row: u32) -> Option<u32> {
        self.0.binary_search_by_key(&row, |(repeat, _)| *repeat).ok().map(|at| self.0[at].1)
    }

    /// How many rows repeat one.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// The names of the rows seen so far, most often their ids.
#[derive(Debug)]
pub(crate) struct DuplicateIndex {
    key: RandomState,
    partitions: Vec<TempList<20>>,
}

impl DuplicateIndex {
    pub(crate) fn new() -> Self {
        Self { key: RandomState::new(), partitions: (0..PARTITIONS).map(|_| TempList::new()).collect() }
    }

    /// Notes the name of a row that comes after all rows noted before.
    pub(crate) fn note(&mut self, name: &[u8], row: u32) -> io::Result<()> {
        // Two inputs under one key, not one input under two: std's keys of one thread differ by 1 only.
        let [high, low] = [0u8, 1].map(|half| self.key.hash_one((half, name)).to_be_bytes());
        let partition = &mut self.partitions[usize::from(high[0] >> 3)];
        let mut entry = [0; 20];
        entry[..8].copy_from_slice(&high);
        entry[8..16].copy_from_slice(&low);
        entry[16..].copy_from_slice(&row.to_be_bytes());
        partition.push(entry)
    }

    pub(super) fn into_duplicates(self) -> io::Result<Duplicates> {
        self.duplicates_in_rounds(IDS_PER_ROUND)
    }

    fn duplicates_in_rounds(self, ids_per_round: usize) -> io::Result<Duplicates> {
        let mut pairs = TempList::<8>::new();
        self.each_in_rounds(ids_per_round, |row, first| {
            let mut pair = [0; 8];
            pair[..4].copy_from_slice(&row.to_be_bytes());
            pair[4..].copy_from_slice(&first.to_be_bytes());
            pairs.push(pair)
        })?;
        let mut duplicates = Vec::with_capacity(pairs.length);
        pairs.each(|[a, b, c, d, e, f, g, h]| {
            duplicates.push((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
            Ok(())
        })?;
        duplicates.sort_unstable();
        Ok(Duplicates(duplicates))
    }

    /// Gives every row that repeats a name to `take`, with the first row of that name; in no order.
    pub(crate) fn each(self, take: impl FnMut(u32, u32) -> io::Result<()>) -> io::Result<()> {
        self.each_in_rounds(IDS_PER_ROUND, take)
    }

    fn each_in_rounds(self, ids_per_round: usize, mut take: impl FnMut(u32, u32) -> io::Result<()>) -> io::Result<()> {
        // One table for all, and as large for few rows as for many.
        let mut first_rows = HashMap::with_capacity(ids_per_round);
        self.partitions
            .into_iter()
            .try_for_each(|partition| find_duplicates(partition, ids_per_round, &mut first_rows, &mut take))
    }
}

/// Finds the repeated rows of one partition, each with its first row.
///
/// A table of first rows and not a sort of all, because one id may fill the partition with millions of rows. The table
/// holds about as many ids however large the partition is: each round looks at the ids of one remainder only.
fn find_duplicates(
    mut partition: TempList<20>,
    ids_per_round: usize,
    first_rows: &mut HashMap<[u8; 16], u32>,
    take: &mut impl FnMut(u32, u32) -> io::Result<()>,
) -> io::Result<()> {
    let rounds = partition.length.div_ceil(ids_per_round) as u64;
    for round in 0..rounds {
        first_rows.clear();
        partition.each(|entry| {
            let (mut id, mut low, mut row) = ([0; 16], [0; 8], [0; 4]);
            low.copy_from_slice(&entry[8..16]);
            if u64::from_be_bytes(low) % rounds != round {
                return Ok(());
            }
            id.copy_from_slice(&entry[..16]);
            row.copy_from_slice(&entry[16..]);
            let row = u32::from_be_bytes(row);
            let first = *first_rows.entry(id).or_insert(row);
            if first == row { Ok(()) } else { take(row, first) }
        })?;
    }
    Ok(())
}

/// Entries of `N` bytes, in memory while they are few.
#[derive(Debug)]
struct TempList<const N: usize> {
    file: BufWriter<SpooledTempFile>,
    length: usize,
}

impl<const N: usize> TempList<N> {
    fn new() -> Self {
        Self { file: BufWriter::with_capacity(BUFFER_BYTES, SpooledTempFile::new(IN_MEMORY_BYTES)), length: 0 }
    }

    fn push(&mut self, entry: [u8; N]) -> io::Result<()> {
        self.length += 1;
        self.file.write_all(&entry)
    }

    /// Gives every entry to `take`, in the order in which they came.
    fn each(&mut self, mut take: impl FnMut([u8; N]) -> io::Result<()>) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.rewind()?;
        let mut reader = BufReader::with_capacity(IN_MEMORY_BYTES, file);
        for _ in 0..self.length {
            let mut entry = [0; N];
            reader.read_exact(&mut entry)?;
            take(entry)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ids: impl IntoIterator<Item = String>) -> DuplicateIndex {
        let mut seen = DuplicateIndex::new();
        for (row, id) in (1..).zip(ids) {
            seen.note(id.as_bytes(), row).unwrap();
        }
        seen
    }

    fn duplicates(ids: impl IntoIterator<Item = String>) -> Duplicates {
        seen(ids).into_duplicates().unwrap()
    }

    #[test]
    fn a_repeated_row_knows_its_first_row() {
        let duplicates = duplicates(["a", "b", "a", "A", "b", "a"].map(str::to_owned));
        let found: Vec<_> = (0..8).map(|row| duplicates.first_row_of(row)).collect();
        assert_eq!(found, [None, None, None, Some(1), None, Some(2), Some(1), None]);
        assert_eq!(duplicates.count(), 3);
    }

    #[test]
    fn three_hundred_thousand_rows_repeat_as_a_table_in_memory_says() {
        let ids: Vec<String> = (0u64..300_000).map(|row| format!("id-{}", row * row % 299_993)).collect();
        let seen = seen(ids.iter().cloned());
        assert!(seen.partitions.iter().all(|partition| partition.file.get_ref().is_rolled()));
        let duplicates = seen.into_duplicates().unwrap();
        let mut model: HashMap<&str, u32> = HashMap::new();
        for (row, id) in (1..).zip(&ids) {
            let first = *model.entry(id).or_insert(row);
            assert_eq!(duplicates.first_row_of(row), (first != row).then_some(first), "row {row}");
        }
        assert_eq!(duplicates.count(), ids.len() - model.len());
    }

    #[test]
    fn a_file_that_is_gone_through_in_rounds_gives_every_repeated_row_once() {
        let ids: Vec<String> = (0u64..30_000).map(|row| format!("id-{}", row * row % 9973)).collect();
        let whole = duplicates(ids.iter().cloned());
        assert!(whole.count() > 20_000);
        for ids_per_round in [1000, 100, 7] {
            assert_eq!(seen(ids.iter().cloned()).duplicates_in_rounds(ids_per_round).unwrap().0, whole.0);
        }
    }

    #[test]
    fn one_id_in_every_row_is_no_special_case() {
        let duplicates = duplicates((0..100_000).map(|_| "same".to_owned()));
        assert_eq!(duplicates.count(), 99_999);
        assert_eq!((duplicates.first_row_of(1), duplicates.first_row_of(100_000)), (None, Some(1)));
    }
}

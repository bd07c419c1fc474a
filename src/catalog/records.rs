//! One pass over the records of the catalog, header included: the only place that parses CSV.

use std::io;
use std::sync::Arc;

use csv::{ByteRecord, Reader, ReaderBuilder};

pub use super::lines::MAX_RECORD_BYTES;
use super::lines::{Lines, Start, Supply};
use super::origin::Origin;
use super::quoting::Quoting;
use super::{CatalogError, Delimiter};

/// How many bytes are looked at together when a quote's end is searched.
const BLOCK_BYTES: usize = 8 * 1024;

/// A pass over the records.
pub(super) struct Records {
    reader: Reader<Lines>,
    origin: Arc<Origin>,
    delimiter: Delimiter,
}

impl Records {
    /// A pass from the first record, the header.
    pub(super) fn new(origin: &Arc<Origin>, delimiter: Delimiter) -> Self {
        let reader = ReaderBuilder::new()
            .delimiter(delimiter.byte())
            .has_headers(false)
            .flexible(true)
            .from_reader(Lines::new(Arc::clone(origin)));
        Self { reader, origin: Arc::clone(origin), delimiter }
    }

    /// Reads the next record and says in which line it starts; `None` at the end of the file.
    pub(super) fn read(&mut self, record: &mut ByteRecord) -> Result<Option<u64>, CatalogError> {
        let consumed = self.consumed();
        self.reader.get_mut().start_record(consumed);
        match self.reader.read_byte_record(record) {
            Ok(true) => self.closed().map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(self.failure(error)),
        }
    }

    /// Where in the file the parser stands: after the record read last, possibly within its CR LF.
    pub(super) fn consumed(&self) -> u64 {
        self.origin.text_start() + self.reader.position().byte()
    }

    /// The line where the current record starts, provided that it does not end within quotes.
    fn closed(&self) -> Result<u64, CatalogError> {
        let Start { offset, line } = self.reader.get_ref().record();
        match self.reader.get_ref().supply() {
            Supply::Ended if self.is_open_at_end(offset)? => {
                Err(CatalogError::UnclosedQuote { catalog: self.origin.source().clone(), line })
            }
            Supply::Ended | Supply::Flowing | Supply::TooLong => Ok(line),
        }
    }

    /// Whether a quote is open at the end of the file, if a record starts at `offset`.
    fn is_open_at_end(&self, mut offset: u64) -> Result<bool, CatalogError> {
        let mut block = [0; BLOCK_BYTES];
        let mut quoting = Quoting::CellStart;
        loop {
            let length = self.origin.read_fully(&mut block, offset)?;
            if length == 0 {
                return Ok(quoting == Quoting::Quoted);
            }
            quoting = block[..length].iter().fold(quoting, |at, byte| at.after(*byte, self.delimiter));
            offset += length as u64;
        }
    }

    fn failure(&self, error: csv::Error) -> CatalogError {
        let lines = self.reader.get_ref();
        let (line, catalog) = (lines.record().line, self.origin.source().clone());
        match lines.supply() {
            Supply::TooLong => CatalogError::RecordTooLong { catalog, line },
            Supply::Flowing | Supply::Ended => self.origin.unreadable(io::Error::from(error)),
        }
    }
}

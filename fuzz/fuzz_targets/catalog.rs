//! Any bytes as a catalog: refused in words, or read twice with the same rows.

#![no_main]

use std::io::Write as _;

use coverbatch::catalog::{Catalog, CatalogOptions, Row};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let by_name = CatalogOptions::default();
    let by_number = CatalogOptions { id_column: Some("1".to_owned()), ..CatalogOptions::default() };
    for options in [by_name, by_number] {
        let catalog = match Catalog::open(&file.path().to_path_buf().into(), &options) {
            Ok(catalog) => catalog,
            Err(error) => {
                assert!(!error.to_string().chars().any(char::is_control));
                continue;
            }
        };
        let check = catalog.check();
        assert_eq!(check.rows, check.distinct + check.duplicates + check.invalid);
        let (mut rows, mut row) = (catalog.rows().unwrap(), Row::default());
        let (mut count, mut line) = (0, 0);
        while rows.next_row(&mut row).unwrap() {
            count += 1;
            assert!(row.number == count && row.line >= line);
            line = row.line;
            if let Some(first) = catalog.first_row_of(row.number) {
                assert!(first < row.number);
            }
        }
        assert_eq!(count, check.rows);
    }
});

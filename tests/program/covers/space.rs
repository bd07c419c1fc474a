//! A folder for images that cannot take them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::stage::{DOWNLOAD, Seeing, learned_tracks};
use crate::story::{Batch, PROGRAM, Table, can_mount};

#[test]
fn a_disk_that_fills_up_with_images_stops_the_run_and_one_with_room_finishes() {
    if !can_mount() {
        return;
    }
    let service = Seeing::with(|scenario| scenario.image_pixels = 256);
    let batch = learned_tracks(30, &service.address());
    fs::create_dir_all(batch.path("small")).unwrap();
    fs::create_dir_all(batch.path("kept")).unwrap();
    let inside = format!(
        "mount -t tmpfs -o size=400k none small && {{ {PROGRAM} run songs.csv --poll-rate 1000/1s --download small; \
         code=$?; cp -a small/. kept/; exit $code; }}"
    );
    let ran = batch.shell(&format!("unshare --mount --map-root-user sh -c '{inside}'")).exit(8);
    ran.says("small").says("No space left on device");
    assert!(batch.results_path().exists(), "the results say what is known");
    let asked = service.submissions();
    let left: Vec<String> =
        fs::read_dir(batch.path("kept")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    assert!(!left.is_empty() && left.len() < 60, "{left:?}");
    super::stage::hasten(&batch);
    let again = batch.run(&["--poll-rate", "1000/1s", "--download", "kept"]).exit(0);
    let table = Table::read(&again.results, b',');
    assert_eq!((table.len() as u64, table.with("completed")), (30, 30));
    assert_eq!(fs::read_dir(batch.path("kept")).unwrap().count(), 60);
    assert_eq!(service.submissions().max(asked), 31, "no cover was asked for twice");
    for column in ["1", "2"] {
        let files = table.column(&format!("cover_file_{column}"));
        for (file, url) in files.iter().zip(table.column(&format!("cover_image_{column}"))) {
            assert!(fs::read(batch.path("kept").join(file)).unwrap() == super::stage::get(url), "{file}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_refused_before_anything_is_sent() {
    let service = Seeing::quick();
    let batch = Batch::tracks(3).to(&service.address());
    fs::write(batch.path("covers"), "a file").unwrap();
    batch.run(&DOWNLOAD).exit(8).says("`covers`");
    batch.run(&["--download", "songs.csv/covers"]).exit(8).says("`songs.csv/covers`");
    batch.run(&["--download", "/proc/covers"]).exit(8).says("`/proc/covers`");
    fs::create_dir(batch.path("closed")).unwrap();
    fs::set_permissions(batch.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(batch.path("closed/probe"), "").is_err() {
        batch.run(&["--download", "closed"]).exit(8).says("`closed`");
    }
    assert_eq!(service.stats().requests, 0);
}

//! Names of files in words of the catalog, and images that a distributor would refuse.

use std::fs;

use super::stage::{FOLDER, Seeing, assert_images, download, hasten, images, learns, quick};
use crate::story::{Batch, Ran, wait_for};

const CATALOG: &str = "task_id,artist,title\na1,Miles Davis,So What\nb2,AC/DC,T.N.T.\nc3,MILES DAVIS,so what\nd4,,\n";

const TEMPLATE: [&str; 2] = ["--name-template", "{Artist} - {title}"];

fn batch(address: &str) -> Batch {
    let batch = Batch::of(CATALOG).to(address);
    learns(&batch);
    batch
}

fn first_files(ran: &Ran) -> Vec<String> {
    ran.table().rows(&["task_id", "cover_file_1"])
}

const NAMED: [&str; 4] =
    ["a1 Miles Davis - So What_1.png", "b2 AC_DC - T.N.T._1.png", "c3 MILES DAVIS - so what_c3_1.png", "d4 d4-1.png"];

#[test]
fn files_are_called_in_words_and_reruns_change_nothing() {
    let service = Seeing::quick();
    let batch = batch(&service.address());
    let ran = batch.run(&download(&TEMPLATE)).exit(0);
    assert_eq!(first_files(&ran), NAMED);
    assert_images(&batch, &ran);
    let seen = service.stats().images;
    let (other, again) = (batch.run(&download(&["--name-template", "{title}"])), batch.run(&download(&[])));
    assert_eq!((first_files(&other.exit(0)), first_files(&again.exit(0))), (first_files(&ran), first_files(&ran)));
    assert_eq!(service.stats().images, seen, "what is saved is neither fetched again nor renamed");
}

#[test]
fn a_run_that_saves_nothing_names_the_files_for_whoever_does() {
    let service = Seeing::quick();
    let batch = batch(&service.address());
    batch.run(&[&TEMPLATE[..], &["--poll-rate", "1000/1s"]].concat()).exit(0);
    let ran = batch.call("follow", &download(&[])).exit(0);
    assert_eq!(first_files(&ran), NAMED);
    assert_images(&batch, &ran);
}

#[test]
fn files_of_others_are_spared_and_default_covers_give_way() {
    let service = quick(&["--generation", "2s"]);
    let batch = batch(&service.address);
    let foreign = batch.path(FOLDER).join("AC_DC - T.N.T._1.png");
    fs::create_dir(batch.path(FOLDER)).unwrap();
    fs::write(&foreign, "of another").unwrap();
    let mut content = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(16, 16).write_to(&mut content, image::ImageFormat::Jpeg).unwrap();
    fs::write(batch.path("default.jpg"), content.into_inner()).unwrap();
    let more = [&TEMPLATE[..], &["--default-cover", "default.jpg", "--wait-timeout"]].concat();
    let mut ran = batch.run(&download(&[&more[..], &["1ms"]].concat())).exit(4);
    let default_covers = NAMED.map(|name| name.replace("b2 AC_DC - T.N.T._1", "b2 b2-1").replace(".png", ".jpg"));
    assert_eq!(first_files(&ran), default_covers);
    wait_for("the covers to be finished", || {
        hasten(&batch);
        ran = batch.run(&download(&[&more[..], &["1s"]].concat()));
        ran.code == Some(0)
    });
    let expected = NAMED.map(|name| name.replace("b2 AC_DC - T.N.T._1", "b2 b2-1"));
    assert_eq!(first_files(&ran), expected);
    assert_eq!(fs::read(&foreign).unwrap(), b"of another");
    assert_eq!(images(&batch).len(), 9, "{:?}", images(&batch));
}

#[test]
fn a_template_that_cannot_name_files_is_refused_before_anything_is_sent() {
    let service = Seeing::quick();
    let batch = batch(&service.address());
    let sent = service.submissions();
    for (template, problem) in [
        ("{album} - {title}", "the catalog has no column `album`"),
        ("cover", "it names no column, such as `{title}`"),
        ("{title", "each `{` needs its `}`, with the name of a column between them"),
        ("{artist}/{title}", "no name of a file can hold `/`"),
    ] {
        batch.run(&download(&["--name-template", template])).exit(2).says(problem);
        batch.call("follow", &download(&["--name-template", template])).exit(2).says(problem);
    }
    assert_eq!((service.submissions(), batch.path(FOLDER).exists()), (sent, false));
}

#[test]
fn sizes_are_in_the_results_and_small_covers_are_told_of() {
    let service = Seeing::quick();
    let batch = batch(&service.address());
    let ran = batch.run(&download(&["--warn-below", "64"])).exit(0).silent();
    let bytes = fs::metadata(batch.path(FOLDER).join("a1-1.png")).unwrap().len();
    let columns = ["task_id", "cover_width_1", "cover_height_1", "cover_bytes_1", "cover_width_2"];
    assert_eq!(ran.table().rows(&columns)[0], format!("a1 64 64 {bytes} 64"));
    let told = "small    4 covers are below --warn-below, lines 2 (So What, Miles Davis), 3 (T.N.T., AC/DC)";
    batch.run(&download(&["--warn-below", "65"])).exit(0).says(told);
}

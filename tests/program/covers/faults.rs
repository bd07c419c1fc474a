//! Downloads that go wrong, each in its own way, and what the host of the images never learns.

use std::fs;
use std::time::Duration;

use super::stage::{
    DOWNLOAD, FOLDER, Seeing, assert_images, download, hasten, images, learned, learned_tracks, ledger, quick,
};
use crate::story::Ran;

/// Row by row: status, reason and message.
fn said(ran: &Ran) -> Vec<String> {
    ran.table().rows(&["cover_status", "cover_reason", "cover_message"])
}

#[test]
fn an_image_is_kept_under_the_extension_of_its_bytes_whatever_its_address_says() {
    let service = quick(&[]);
    let batch = learned(["imgjpeg-1", "imgwebp-2", "imgmoved-3", "img503x1-4", "imgcutx1-5"], &service.address);
    let ran = batch.run(&DOWNLOAD).exit(0);
    assert_eq!(ran.table().with("completed"), 5);
    let expected = ["imgjpeg-1-1.jpg", "imgwebp-2-1.webp", "imgmoved-3-1.png", "img503x1-4-1.png", "imgcutx1-5-1.png"];
    assert_eq!(ran.table().column("cover_file_1"), expected);
    assert_eq!(images(&batch).len(), 10);
    let start = |name: &str| fs::read(batch.path(FOLDER).join(name)).unwrap()[..4].to_vec();
    assert_eq!(start("imgjpeg-1-2.jpg")[..3], [0xff, 0xd8, 0xff]);
    assert_eq!(start("imgwebp-2-2.webp"), b"RIFF");
    assert_eq!(start("imgmoved-3-2.png"), b"\x89PNG");
}

#[test]
fn what_is_no_image_is_not_kept_and_the_results_say_why() {
    let service = quick(&[]);
    let table = [
        ("imghtml-1", "neither PNG, JPEG nor WebP"),
        ("imgempty-2", "sent no bytes"),
        ("imgcut-3", "end of file before message length reached"),
        ("imgtrunc-4", "the PNG is cut off"),
        ("imghuge-5", "larger than 50 MiB"),
        ("img404-6", "answers HTTP 404"),
        ("img503-7", "answers HTTP 503"),
        ("imgredirect-8", "redirects to an address that is not fetched"),
        ("imgdamaged-9", "the PNG is damaged after"),
        ("a10", ""),
    ];
    let batch = learned(table.map(|(id, _)| id), &service.address);
    let ran = batch.run(&download(&["--max-attempts", "2"])).exit(4);
    let results = ran.table();
    assert_eq!(images(&batch), ["a10-1.png", "a10-2.png"]);
    assert_eq!(results.with("completed"), 1);
    for (at, (id, words)) in table.iter().enumerate().take(9) {
        let message = results.column("cover_message")[at];
        assert!(message.starts_with("image 1: ") && message.contains(words), "{id}: {message}");
        assert_eq!(results.column("cover_file_1")[at], "", "{id}");
        assert!(results.column("cover_image_1")[at].starts_with("http://127.0.0.1"), "{id}");
        assert_eq!(results.column("cover_status")[at], "submitted", "{id}");
    }
    let redirected = results.column("cover_message")[7];
    assert!(redirected.contains("169.254.169.254"), "{redirected}");
}

#[test]
fn images_are_forgotten_once_their_host_says_so_a_day_after_their_end() {
    for (id, retention, status) in [("a1", Duration::from_millis(1), 404), ("img410-1", Duration::from_secs(60), 410)] {
        let service = Seeing::with(|scenario| scenario.retention = retention);
        let batch = learned([id], &service.address());
        batch.run(&["--wait", "--poll-rate", "1000/1s"]).exit(0);
        let options = download(&["--max-attempts", "2"]);
        let young = batch.call("follow", &options).exit(4);
        assert_eq!(said(&young), [format!("submitted not_found image 1: `127.0.0.1` answers HTTP {status}")]);
        ledger(&batch).execute("UPDATE task SET completed_at = completed_at - 90000000", ()).unwrap();
        hasten(&batch);
        let before = service.stats().images;
        let old = batch.call("follow", &options).exit(3);
        old.says("the service has forgotten its images").says("1 forgotten by the service");
        batch.run(&options).exit(3);
        assert_eq!(service.stats().images, before + 2, "nobody asks for them again");
    }
}

#[test]
fn the_key_is_in_no_request_for_an_image_and_in_no_output() {
    let key = "a-key-for-the-tests";
    let service = Seeing::quick();
    let ids = ["a1", "imgredirect-2", "imgmoved-3", "imgcutx1-4", "genfail-5"];
    let batch = learned(ids, &service.address()).env("COVERBATCH_CALLBACK_SECRET", "a-callback-secret");
    let options =
        download(&["--max-attempts", "2", "-vvv", "--json", "--callback-url", "http://127.0.0.1:9/{task_id}/{token}"]);
    let ran = batch.run(&options).exit(4);
    let followed = batch.call("follow", &download(&["--max-attempts", "1", "-vvv", "--wait-timeout", "1s"])).exit(4);
    let seen = service.stats();
    assert!(seen.images >= 8, "{seen:?}");
    assert_eq!(seen.keys_at_images, 0);
    for text in [&ran.stdout, &ran.stderr, &followed.stdout, &followed.stderr] {
        assert!(!text.contains(key) && !text.contains("a-callback-secret"), "{text}");
    }
    assert!(ran.stderr.len() > 1000, "-vvv says something");
    for name in batch.listing().iter().filter(|name| name.starts_with("songs.")) {
        let bytes = fs::read(batch.path(name)).unwrap();
        let holds = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!holds(key) && !holds("a-callback-secret"), "{name}");
    }
}

#[test]
fn images_on_this_machine_are_fetched_only_if_the_service_is_on_it_or_its_host_is_named() {
    let service = quick(&[]);
    let batch = learned(["a1"], &service.address);
    batch.run(&["--wait", "--poll-rate", "1000/1s"]).exit(0);
    // The same ledger, but of a service elsewhere, whose record named images on this machine.
    let elsewhere = "https://service.invalid";
    ledger(&batch)
        .execute("UPDATE account SET api_url = replace(api_url, ?1, ?2)", [&service.address, elsewhere])
        .unwrap();
    let options = ["--api-url", elsewhere, "--max-attempts", "1"];
    let ran = batch.call("follow", &download(&options)).exit(4);
    assert!(
        said(&ran)[0].ends_with("`127.0.0.1` is 127.0.0.1, which is not public; `--image-host` would permit the host"),
        "{:?}",
        said(&ran)
    );
    assert_eq!(images(&batch), Vec::<String>::new());
    hasten(&batch);
    let ran = batch.call("follow", &download(&[options.as_slice(), &["--image-host", "127.0.0.1"]].concat())).exit(0);
    assert_images(&batch, &ran);
}

#[test]
fn a_service_that_is_faulty_now_and_then_gives_every_image_in_the_end() {
    let service = Seeing::with(|scenario| scenario.fault_percent = 15);
    let batch = learned_tracks(40, &service.address());
    for _ in 0..4 {
        if batch.run(&download(&["--max-attempts", "8", "--wait-timeout", "40s"])).code == Some(0) {
            break;
        }
    }
    let ran = batch.run(&DOWNLOAD).exit(0);
    assert_eq!(ran.table().with("completed"), 40);
    assert_eq!(images(&batch).len(), 80);
}

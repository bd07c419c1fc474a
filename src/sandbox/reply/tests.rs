//! Downloads as a client makes them, through real sockets; names as a table.

use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::sandbox::tests::{Said, exchange, generate, id_of, quick, read_cover, stand_in};
use crate::sandbox::{Sandbox, Scenario};

fn gradient(seed: u64) -> Gradient {
    Gradient { seed, pixels: 64, format: ImageFormat::Png }
}

#[test]
fn an_image_is_of_its_seed_and_has_its_size() {
    assert_eq!(gradient(1).encoded().unwrap(), gradient(1).encoded().unwrap());
    let all: HashSet<Vec<u8>> = (0..50).map(|seed| gradient(seed).encoded().unwrap()).collect();
    assert_eq!(all.len(), 50);
    for pixels in [1, 64] {
        let image = Gradient { pixels, ..gradient(1) }.drawn();
        assert_eq!(image.dimensions(), (pixels.into(), pixels.into()));
        let last = u32::from(pixels) - 1;
        assert_eq!(image.get_pixel(last, 0), image.get_pixel(0, last));
        assert_eq!(image.get_pixel(0, 0) == image.get_pixel(last, last), pixels == 1);
    }
}

#[test]
fn each_encoding_can_be_read_as_what_it_is() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let bytes = Gradient { format, ..gradient(1) }.encoded().unwrap();
        assert_eq!(image::guess_format(&bytes).unwrap(), format);
        assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 64);
    }
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Covers are done at once.
fn instant() -> Scenario {
    Scenario { generation: Duration::ZERO..=Duration::ZERO, image_pixels: 64, ..quick() }
}

fn path(music: &str, number: u8) -> String {
    format!("/images/{}-{number}.png", id_of(music))
}

/// What a download without a key gets.
async fn download(sandbox: &Sandbox, path: &str) -> Said {
    exchange(sandbox, "GET", path, None, "").await
}

#[test]
fn an_image_has_the_name_of_its_cover_and_a_number() {
    let file = |cover_id: &str, number, is_moved| Some(ImageFile { cover_id: cover_id.to_owned(), number, is_moved });
    let table = [
        ("abc-1.png", file("abc", 1, false)),
        ("a-b-2.png", file("a-b", 2, false)),
        ("moved/abc-2.png", file("abc", 2, true)),
        ("abc-3.png", None),
        ("abc-01.png", None),
        ("abc-1.jpg", None),
        ("abc.png", None),
        ("", None),
    ];
    for (name, expected) in table {
        assert_eq!(ImageFile::read(name), expected, "{name}");
    }
}

#[test]
fn a_download_is_a_get_below_images() {
    let read = |method: &str, path: &str, headers: &HeaderMap| {
        ImageRequest::read(&method.parse().unwrap(), &path.parse().unwrap(), headers)
    };
    let plain = HeaderMap::new();
    let keyed = HeaderMap::from_iter([(header::AUTHORIZATION, "Basic a".parse().unwrap())]);
    assert_eq!(read("GET", "/images/x", &plain), Some(ImageRequest { file: None, shows_key: false }));
    assert_eq!(read("GET", "/images/x", &keyed), Some(ImageRequest { file: None, shows_key: true }));
    assert_eq!((read("POST", "/images/x", &plain), read("GET", "/images", &plain)), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_cover_has_two_images_that_differ_and_stay_the_same() {
    let sandbox = stand_in(instant()).await;
    let mut images_seen = Vec::new();
    for music in ["a", "b"] {
        generate(&sandbox, music).await;
        let images = read_cover(&sandbox, &id_of(music)).await["data"]["response"]["images"].take();
        for url in images.as_array().unwrap() {
            let path = url.as_str().unwrap().strip_prefix(&sandbox.base_url()).unwrap();
            let said = download(&sandbox, path).await;
            assert_eq!((said.status, said.content_type.as_str(), said.is_whole), (200, "image/png", true));
            assert_eq!(download(&sandbox, path).await.bytes, said.bytes);
            images_seen.push(said.bytes);
        }
    }
    for (at, picture) in images_seen.iter().enumerate() {
        let read = image::load_from_memory_with_format(picture, ImageFormat::Png).unwrap();
        assert_eq!((read.width(), read.height()), (64, 64));
        assert!(!images_seen[..at].contains(picture), "{at}");
    }
    assert_eq!((images_seen.len(), sandbox.stats().images), (4, 8));
}

#[tokio::test(start_paused = true)]
async fn an_image_is_there_from_the_end_of_its_cover_until_the_retention_has_passed() {
    let (generation, retention) = (Duration::from_secs(1), Duration::from_secs(1));
    let scenario = Scenario { generation: generation..=generation, retention, ..instant() };
    let sandbox = stand_in(scenario).await;
    generate(&sandbox, "a").await;
    assert_eq!(download(&sandbox, &path("a", 1)).await.status, 404);
    tokio::time::sleep(generation).await;
    assert_eq!(download(&sandbox, &path("a", 1)).await.status, 200);
    tokio::time::sleep(retention).await;
    assert_eq!(download(&sandbox, &path("a", 1)).await.status, 404);
    assert_eq!(read_cover(&sandbox, &id_of("a")).await["data"]["successFlag"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_of_a_finished_cover_is_not_there() {
    let sandbox = stand_in(instant()).await;
    for music in ["genfail-1", "noimages-1", "stuck-1"] {
        generate(&sandbox, music).await;
        assert_eq!(download(&sandbox, &path(music, 1)).await.status, 404, "{music}");
    }
    assert_eq!(download(&sandbox, &path("a", 1)).await.status, 404);
    assert_eq!(download(&sandbox, "/images/../etc/passwd").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_at_the_images_is_counted_and_one_elsewhere_is_not() {
    let sandbox = stand_in(instant()).await;
    generate(&sandbox, "a").await;
    download(&sandbox, &path("a", 1)).await;
    assert_eq!(sandbox.stats().keys_at_images, 0);
    exchange(&sandbox, "GET", &path("a", 1), Some("key"), "").await;
    exchange(&sandbox, "GET", "/images/unknown", Some("key"), "").await;
    assert_eq!(sandbox.stats().keys_at_images, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_an_image_is_seen_by_a_download() {
    let sandbox = stand_in(instant()).await;
    let get = async |music: &str| {
        generate(&sandbox, music).await;
        download(&sandbox, &path(music, 1)).await
    };
    let jpeg = get("imgjpeg-1").await;
    assert!(jpeg.bytes.starts_with(b"\xff\xd8\xff") && jpeg.content_type == "image/png", "{jpeg:?}");
    let webp = get("imgwebp-1").await;
    assert_eq!((&webp.bytes[..4], &webp.bytes[8..12]), (&b"RIFF"[..], &b"WEBP"[..]));
    let page = get("imghtml-1").await;
    assert_eq!((page.status, page.content_type.as_str(), page.is_whole), (200, "text/html", true));
    let empty = get("imgempty-1").await;
    assert_eq!((empty.status, empty.bytes.len(), empty.is_whole), (200, 0, true));
    let cut = get("imgcut-1").await;
    assert!(cut.status == 200 && cut.bytes.starts_with(PNG) && !cut.is_whole, "{cut:?}");
    let half = get("imgtrunc-1").await;
    assert!(half.is_whole && half.bytes.starts_with(PNG));
    assert!(image::load_from_memory(&half.bytes).is_err());
    let damaged = get("imgdamaged-1").await;
    assert!(damaged.is_whole && damaged.bytes.starts_with(PNG));
    assert!(image::load_from_memory(&damaged.bytes).is_err());
    let gone = get("img404-1").await;
    assert_eq!((gone.status, gone.content_type.as_str()), (404, "text/html"));
    let astray = get("imgredirect-1").await;
    assert_eq!((astray.status, astray.location.as_str()), (302, ASTRAY));
    let moved = get("imgmoved-1").await;
    let there = moved.location.strip_prefix(&sandbox.base_url()).unwrap();
    assert_eq!((moved.status, download(&sandbox, there).await.bytes.starts_with(PNG)), (302, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_image_is_longer_than_50_mib_and_does_not_say_so() {
    let sandbox = stand_in(instant()).await;
    generate(&sandbox, "imghuge-1").await;
    let said = download(&sandbox, &path("imghuge-1", 1)).await;
    assert!(said.bytes.len() > 50 * 1024 * 1024 && !said.is_whole, "{}", said.bytes.len());
}

#[tokio::test(start_paused = true)]
async fn downloads_are_counted_for_each_image_and_only_once_it_is_there() {
    let generation = Duration::from_secs(1);
    let sandbox = stand_in(Scenario { generation: generation..=generation, ..instant() }).await;
    let status = async |number| download(&sandbox, &path("img503x1-1", number)).await.status;
    generate(&sandbox, "img503x1-1").await;
    assert_eq!(status(1).await, 404);
    tokio::time::sleep(generation).await;
    assert_eq!([status(1).await, status(1).await, status(2).await, status(2).await], [503, 200, 503, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_faults_befall_images_too() {
    let sandbox = stand_in(Scenario { fault_percent: 50, ..instant() }).await;
    while generate(&sandbox, "a").await.status != 200 || sandbox.stats().accepted == 0 {}
    let mut seen = Vec::new();
    for _ in 0..40 {
        let said = download(&sandbox, &path("a", 1)).await;
        seen.push((said.status, said.is_whole));
    }
    assert!([(200, true), (200, false), (502, true)].iter().all(|kind| seen.contains(kind)), "{seen:?}");
}

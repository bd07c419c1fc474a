//! The report page in a real browser: it filters, it is worked with keys, nothing of the catalog runs in it, and a page
//! of 10,000 rows is still quick.
//!
//! `cargo test --test page to_look_at -- --ignored --nocapture` writes sample pages and pictures of them, and measures;
//! `cargo test --test page readme -- --ignored` makes the picture of README.md again.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]
#![expect(clippy::print_stdout, reason = "says what was not tested, and what was measured")]

mod browser;
mod sample;

use std::path::Path;
use std::process::Command;

use browser::{Browser, ENTER, ESCAPE, RIGHT, TAB};
use coverbatch::clock::UnixMillis;
use coverbatch::domain::Status;
use coverbatch::page::{MAX_ROWS, PageImage, Stage};

const FOUND: &str = "return document.getElementById('found').textContent";

/// Rows and covers to be seen.
const SEEN: &str = "return [...document.querySelectorAll('[data-line]')].filter(e => e.checkVisibility()).length";

/// Filters by text as typing does, and returns the milliseconds until the page is laid out again.
const FILTER: &str = "const q = document.getElementById('q'), start = performance.now(); q.value = 'harbour (radio'; \
     q.dispatchEvent(new Event('input', { bubbles: true })); document.body.offsetHeight; return performance.now() - start";

/// The milliseconds from the start of the navigation to the end of loading.
const LOADED: &str = "return performance.getEntriesByType('navigation')[0].loadEventEnd";

fn rows(count: u64) -> Vec<coverbatch::page::PageRow> {
    let now = sample::morning();
    (2..count + 2).map(|line| sample::row(line, now)).collect()
}

#[test]
fn a_view_in_the_address_is_restored_and_typing_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let page = sample::write(&sample::page("night.csv", rows(300), sample::morning()), folder.path(), "report.html");

    let Some(browser) = Browser::start() else { return };
    browser.open(&page, "");
    assert_eq!(browser.text(FOUND), "300 rows");
    browser.open(&page, "#status=failed&q=not%20FOUND");
    assert_eq!(browser.text(FOUND), "3 of 300 rows");
    assert_eq!(browser.count(SEEN), 3);
    browser.open(&page, "#status=nonsense&q=no+such");
    assert_eq!(browser.text(FOUND), "0 of 300 rows");
    assert!(browser.run("return document.getElementById('none').checkVisibility()").as_bool().unwrap());
    browser.open(&page, "#line-14");
    assert_eq!(browser.text(FOUND), "300 rows", "a place is no view");

    browser.run("document.getElementById('q').focus()");
    browser.press(&["l", "i", "n", "e", " ", "1", "4"]);
    assert_eq!(browser.text(FOUND), "11 of 300 rows");
    assert_eq!(browser.text("return location.hash"), "#q=line%2014");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn the_page_is_worked_with_keys_alone() {
    let folder = tempfile::tempdir().unwrap();
    let page = sample::write(&sample::page("night.csv", rows(300), sample::morning()), folder.path(), "report.html");
    let Some(browser) = Browser::start() else { return };
    browser.open(&page, "");
    let focus = "const e = document.activeElement; return e.id || e.textContent.trim()";

    browser.press(&[TAB]);
    browser.shows(focus, "Skip to the report");
    browser.press(&[ENTER]);
    browser.shows(focus, "main");
    // Past four numbers and the list of statuses, to the first cause.
    browser.press(&[TAB, TAB, TAB, TAB, TAB, TAB, ENTER]);
    browser.shows("return location.hash", "#status=failed&q=Music%20task%20not%20found");
    browser.shows(focus, "rows");
    browser.shows(FOUND, "3 of 300 rows");
    browser.press(&[TAB]);
    browser.shows(focus, "q");
    browser.press(&[TAB, TAB, TAB]);
    browser.shows(focus, "Show all");
    browser.press(&[ENTER]);
    browser.shows(FOUND, "300 rows");
}

/// The titles of the covers, in the order in which they are shown.
const TITLES: &str = "return [...document.querySelectorAll('.card > .name')].map(e => e.textContent)";

fn texts(value: &serde_json::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn rows_are_put_into_the_order_that_is_wanted_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = rows(300);
    sample::illustrate(&mut rows, folder.path());
    let now = sample::morning();
    for row in rows.iter_mut().filter(|row| row.line % 10 == 2 && row.stage == Stage::Saved) {
        row.stage = Stage::Online;
    }
    let page = sample::write(&sample::page("night.csv", rows.clone(), now), folder.path(), "report.html");
    let covers = || rows.iter().filter(|row| !row.images.is_empty());
    let in_catalog: Vec<String> = covers().map(|row| row.labels[0].clone()).collect();

    let Some(browser) = Browser::start() else { return };
    browser.open(&page, "#sort=title");
    let mut by_title = in_catalog.clone();
    by_title.sort_by_key(|title| title.to_lowercase());
    let shown = texts(&browser.run(TITLES));
    assert_eq!(shown.len(), by_title.len());
    // Signs within titles are weighed otherwise by a browser than by their bytes; first words are not.
    let first = |titles: &[String]| titles.iter().map(|t| t.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(first(&shown), first(&by_title));

    browser.run("const s = document.getElementById('sort'); s.value = 'expiry'; s.dispatchEvent(new Event('input', { bubbles: true }))");
    assert_eq!(browser.text("return location.hash"), "#sort=expiry");
    let mut by_end: Vec<_> = covers().filter(|row| row.stage == Stage::Online).collect();
    by_end.sort_by_key(|row| row.expires_at);
    let lines = "return [...document.querySelectorAll('.card')].map(e => e.dataset.line)";
    let expected: Vec<String> = by_end.iter().map(|row| row.line.to_string()).collect();
    assert_eq!(texts(&browser.run(lines))[..expected.len()], expected, "what is online only, the first to end first");

    browser.run("document.querySelector('#filter button').click()");
    assert_eq!(texts(&browser.run(TITLES)), in_catalog);
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn a_cover_is_seen_larger_with_both_images_and_the_next_one_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = rows(12);
    sample::illustrate(&mut rows, folder.path());
    let page = sample::write(&sample::page("night.csv", rows, sample::morning()), folder.path(), "report.html");
    let Some(browser) = Browser::start() else { return };
    browser.look(1280, 900, "light");
    browser.open(&page, "");
    let (place, small) =
        ("return document.getElementById('view-place').textContent", "document.querySelector('.card img')");
    let title = "return document.querySelector('#large .name').textContent";
    assert!(!browser.run("return document.getElementById('view').open").as_bool().unwrap());

    browser.run(&format!("{small}.closest('a').focus()"));
    browser.press(&[ENTER]);
    browser.shows(place, "Cover 1 of 11");
    assert_eq!(browser.count("return document.querySelectorAll('#large img').length"), 2);
    let side = "const [a, b] = [...document.querySelectorAll('#large img')].map(e => e.getBoundingClientRect()); \
                return a.top === b.top && b.left > a.right && b.bottom <= innerHeight && a.width";
    assert!(browser.number(side) > 2.0 * browser.number(&format!("return {small}.width")));
    let first = browser.text(title);
    browser.press(&[RIGHT]);
    browser.shows(place, "Cover 2 of 11");
    assert_ne!(browser.text(title), first);
    browser.press(&[ESCAPE]);
    browser.shows("return String(document.getElementById('view').open)", "false");
    browser.shows("return document.activeElement.closest('.card').dataset.line", "3");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
fn times_are_told_in_utc_and_beside_it_where_the_reader_is() {
    let folder = tempfile::tempdir().unwrap();
    let morning = UnixMillis::from_rfc3339("2026-11-22T23:10:00Z").unwrap();
    let page = sample::write(&sample::page("night.csv", rows(12), morning), folder.path(), "report.html");
    let Some(browser) = Browser::start() else { return };
    for (zone, made, axis) in [
        ("UTC", "As of 22 Nov 2026, 23:10 UTC", ""),
        ("America/New_York", "As of 22 Nov 2026, 23:10 UTC (18:10 GMT-5)", "GMT-5"),
        ("Europe/Paris", "As of 22 Nov 2026, 23:10 UTC (23 Nov, 00:10 CET)", "CET"),
    ] {
        browser.live_in(zone);
        browser.open(&page, "");
        assert_eq!(browser.text("return document.querySelector('.made').textContent"), made);
        assert_eq!(browser.text("return document.querySelector('.plot .zone').textContent"), axis);
    }
}

#[test]
fn without_script_everything_is_there_and_links_lead_to_the_images() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = rows(300);
    sample::illustrate(&mut rows, folder.path());
    let page = sample::write(&sample::page("night.csv", rows, sample::morning()), folder.path(), "report.html");
    let Some(browser) = Browser::start() else { return };
    browser.without_script();
    browser.open(&page, "");
    assert!(!browser.run("return document.getElementById('filter').checkVisibility()").as_bool().unwrap());
    assert_eq!(
        browser.count("return new Set([...document.querySelectorAll('[data-line]')].map(e => e.dataset.line)).size"),
        300
    );
    assert!(browser.text("return document.querySelector('.card .open').getAttribute('href')").starts_with("./covers/"));
}

/// Pictures that are on show, and of these how many have come.
const PICTURES: &str = "const all = [...document.images].filter(e => e.checkVisibility()); \
     return `${all.length} ${all.filter(e => e.complete && e.naturalWidth >= 200).length}`";

/// What the page has fetched, which is nothing but what it is made of.
const FETCHED: &str =
    "return performance.getEntriesByType('resource').map(e => e.name).filter(e => !e.startsWith('data:')).join()";

#[test]
fn a_page_with_its_images_inside_works_alone_in_another_place() {
    let (folder, mail) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("tracks.csv"), "task_id,title\na,Stella\nb,Nardis\n").unwrap();
    for words in [
        "run tracks.csv --sandbox --download covers",
        "report tracks.csv --sandbox --download covers --embed -o report.html",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coverbatch"));
        assert!(command.args(words.split(' ')).env_clear().current_dir(&folder).status().unwrap().success(), "{words}");
    }
    let page = mail.path().join("report.html");
    std::fs::copy(folder.path().join("report.html"), &page).unwrap();
    drop(folder);
    let Some(browser) = Browser::start() else { return };
    browser.look(1280, 900, "light");
    browser.open(&page, "");
    browser.shows(PICTURES, "4 4");
    browser.run("document.querySelector('.card .open').click()");
    // Both images of the cover that is seen larger, before those of the two cards.
    browser.shows(PICTURES, "6 6");
    assert_eq!((browser.text(FETCHED), browser.console()), (String::new(), Vec::new()));
}

#[test]
fn nothing_is_cut_when_it_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = rows(300);
    sample::illustrate(&mut rows, folder.path());
    let page = sample::write(&sample::page("night.csv", rows, sample::morning()), folder.path(), "report.html");
    let Some(browser) = Browser::start() else { return };
    browser.open(&page, "");
    browser.put_on_paper();
    for whole in [".card", ".list tbody tr", ".list-of-causes li", "figure"] {
        let rule = format!("return getComputedStyle(document.querySelector('{whole}')).breakInside");
        assert_eq!(browser.text(&rule), "avoid", "{whole}");
    }
    let skipped = "return [...document.querySelectorAll('.chunk')].filter(e => getComputedStyle(e).contentVisibility !== 'visible').length";
    assert_eq!(browser.count(skipped), 0);
    assert!(!browser.run("return document.getElementById('filter').checkVisibility()").as_bool().unwrap());
}

#[test]
fn nothing_of_the_catalog_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = rows(20);
    for row in &mut rows {
        let hostile = || sample::HOSTILE.to_owned();
        (row.id, row.message, row.cover_task_id) = (hostile(), hostile(), Some(hostile()));
        row.labels = vec![hostile(), hostile()];
        let urls = ["javascript:document.title='ran'", "https://cdn.example/\"onerror=\"document.title='ran'"];
        row.images = urls
            .map(|url| PageImage { url: url.into(), file: Some(url.into()), thumbnail: Some(hostile()), size: None })
            .into();
    }
    let page = sample::page(sample::HOSTILE, rows, sample::morning());
    let page = sample::write(&page, folder.path(), "report.html");
    let Some(browser) = Browser::start() else { return };
    browser.open(&page, "#q=%3Cscript%3E");
    assert_eq!(browser.text(FOUND), "20 rows");
    assert_eq!(browser.count("return document.scripts.length"), 1);
    assert_eq!(browser.count("return document.images.length"), 0);
    let links = "return [...document.links].filter(a => !/^(https?|file):/.test(a.href)).length";
    assert_eq!(browser.count(links), 0);
    assert!(browser.text("return document.title").contains("</bdi></title></script>"), "and it did not change itself");
    assert_eq!(browser.console(), [""; 0], "not even tried");
}

#[test]
fn the_policy_refuses_what_is_slipped_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::write(&sample::page("night.csv", rows(3), sample::morning()), folder.path(), "report.html");
    let html = std::fs::read_to_string(&path).unwrap();
    let broken =
        "<script>document.title='ran'</script><p style='color:red' onclick='1'>x</p><img src=https://cdn.example/x>";
    std::fs::write(&path, html.replace("</main>", &format!("{broken}</main>"))).unwrap();
    let Some(browser) = Browser::start() else { return };
    browser.open(&path, "");
    assert_ne!(browser.text("return document.title"), "ran");
    assert!(browser.console().len() >= 3, "{:?}", browser.console());
}

#[test]
fn ten_thousand_rows_load_and_are_filtered_quickly() {
    let folder = tempfile::tempdir().unwrap();
    let page = sample::page("year.csv", rows(u64::try_from(MAX_ROWS).unwrap()), sample::morning());
    let path = sample::write(&page, folder.path(), "report.html");
    let Some(browser) = Browser::start() else { return };
    browser.open(&path, "#status=failed");
    let failed = page.rows.iter().filter(|row| row.status == Status::Failed).count();
    assert_eq!(browser.text(FOUND), format!("{failed} of 10,000 rows"));
    browser.open(&path, "");
    let took = browser.number(FILTER);
    assert!(took < 2000.0, "{took} ms, where 100 are meant on a machine without load");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
#[ignore = "writes pages and pictures to look at, and measures"]
fn pages_to_look_at() {
    let browser = Browser::start().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder).unwrap();
    for count in [12_u64, 150, 1000, 10_000] {
        let mut rows = rows(count);
        if let Some(row) = rows.get_mut(4) {
            row.labels[0] = "اسم الأغنية \u{202e} reversed <b>bold</b>".into();
        }
        sample::illustrate(&mut rows, &folder);
        let title = if count == 12 { "release-2026-11.csv" } else { "back-catalogue.csv" };
        let path = sample::write(&sample::page(title, rows, sample::morning()), &folder, &format!("{count}.html"));
        browser.look(1280, 900, "light");
        browser.open(&path, "");
        let kilobytes = std::fs::metadata(&path).unwrap().len() / 1024;
        let (loaded, filtered) = (browser.number(LOADED), browser.number(FILTER));
        println!("{count} rows: {kilobytes} KB, loaded in {loaded:.0} ms, filtered in {filtered:.0} ms");
        for (name, width, scheme) in [("light", 1280, "light"), ("dark", 1280, "dark"), ("phone", 390, "light")] {
            browser.look(width, 900, scheme);
            browser.open(&path, "");
            let height = browser.count("return document.documentElement.scrollHeight").min(3600);
            browser.look(width, u32::try_from(height).unwrap(), scheme);
            std::thread::sleep(std::time::Duration::from_millis(300));
            browser.take_picture(&folder.join(format!("{count}-{name}.png")));
        }
        browser.look(1280, 900, "light");
        browser.open(&path, "");
        browser.run("document.querySelector('.card .open').click()");
        browser.take_picture(&folder.join(format!("{count}-larger.png")));
        if count <= 150 {
            browser.print(&folder.join(format!("{count}.pdf")));
        }
        println!("sideways: {}", browser.run("return document.documentElement.scrollWidth > innerWidth"));
    }
    println!("{}", folder.display());
}

#[test]
#[ignore = "writes `docs/page.png`"]
fn picture_for_the_readme() {
    let browser = Browser::start().unwrap();
    let (folder, repository) = (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")));
    std::fs::copy(repository.join("sample-batches/covers.csv"), folder.path().join("tracks.csv")).unwrap();
    for words in [
        "run tracks.csv --sandbox --check-music --download covers --wait-timeout 10s",
        "report tracks.csv --sandbox --download covers --embed -o report.html",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coverbatch"));
        let code = command.args(words.split(' ')).env_clear().current_dir(&folder).status().unwrap().code();
        assert_eq!(code, Some(4), "a row of this sample is never finished: {words}");
    }
    browser.look(1000, 700, "light");
    browser.open(&folder.path().join("report.html"), "#covers");
    browser.take_picture(&repository.join("docs/page.png"));
}

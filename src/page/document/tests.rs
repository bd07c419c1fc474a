//! The page as text: hostile texts, the policy, contrast, and what stands where.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::*;
use crate::clock::UnixMillis;
use crate::domain::{ImageSize, Reason};
use crate::page::chart::Activity;
use crate::page::row::PageImage;
use crate::results::RowName;

const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "</title></style></script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "<!-- <!doctype",
    "&lt;b&gt; &amp; &#60;i>",
    "{{ page.title }}{% raw %}",
    "<svg/onload=alert(1)>",
    "]]><x>",
];

fn time(text: &str) -> UnixMillis {
    UnixMillis::from_rfc3339(text).unwrap()
}

fn row(line: u64, text: &str, status: Status) -> PageRow {
    PageRow {
        line,
        id: text.to_owned(),
        labels: vec![format!("title {text}"), text.to_owned()],
        status,
        stage: if status.is_settled() { Stage::Saved } else { Stage::Person },
        reason: Some(Reason::NotFound),
        code: Some(404),
        message: text.to_owned(),
        attempts: 2,
        first_sent_at: Some(time("2026-11-22T02:10:00Z")),
        finished_at: Some(time("2026-11-22T02:10:01Z")),
        cover_task_id: Some(text.to_owned()),
        images: Vec::new(),
        fallback: false,
        expires_at: None,
    }
}

/// A page with this text wherever a text can be.
fn page(text: &str) -> Page {
    let night = time("2026-11-22T02:10:00Z");
    let mut activity = Activity::new(night, night.after(Duration::from_secs(3600)));
    activity.add(night, Kind::Accepted);
    let image =
        PageImage { url: text.to_owned(), file: Some(text.to_owned()), thumbnail: Some(text.to_owned()), size: None };
    let covered = PageRow { images: vec![image; 2], expires_at: Some(night), ..row(3, text, Status::Completed) };
    let mut cause = Cause::new(Status::Failed, Some(Reason::NotFound), Remedy::Person);
    cause.add(true, (Some(404), text), || RowName { line: Some(2), id: None, labels: vec![text.to_owned(); 2] });
    let mut stages = Stages::new(night);
    stages.add(Stage::Saved, Some(night));
    stages.add(Stage::Online, Some(night));
    stages.add(Stage::Person, None);
    Page {
        title: text.to_owned(),
        generated_at: night,
        counts: vec![(Status::Completed, 1), (Status::Failed, 1)],
        stages,
        rows_total: 2,
        duplicates: 1,
        default_covers: 1,
        causes: vec![cause],
        activity,
        runs: vec![RunLine { started: night, ended: None, how: text.to_owned() }],
        next: Some(Next { advice: "go on with", command: text.to_owned() }),
        rows: vec![row(2, text, Status::Failed), covered],
    }
}

fn html(page: &Page) -> String {
    let mut bytes = Vec::new();
    page.write_html(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The tags of a page, each up to its `>`, without style and script.
fn tags(html: &str) -> Vec<String> {
    let bare = html.replacen(STYLE, "", 1).replacen(SCRIPT, "", 1);
    let mut tags = Vec::new();
    for piece in bare.split('<').skip(1) {
        let tag = piece.split('>').next().unwrap();
        let name = tag.split(|c: char| c.is_whitespace()).next().unwrap().to_owned();
        tags.push(name);
    }
    tags
}

#[test]
fn a_hostile_text_adds_no_tag_and_no_attribute() {
    let expected = tags(&html(&page("harmless")));
    for text in HOSTILE {
        let html = html(&page(text));
        assert_eq!(tags(&html), expected, "{text}");
        assert!(!html.contains(text) || !text.contains(['<', '"', '\'']), "{text}");
        let quotes = |html: &str| html.matches('"').count();
        assert_eq!(quotes(&html), quotes(&self::html(&page("harmless"))), "{text}");
    }
}

#[test]
fn only_addresses_of_the_web_become_links() {
    let html = |url: &str| {
        let mut page = page("harmless");
        page.rows[1].images = vec![PageImage { url: url.to_owned(), ..PageImage::default() }];
        html(&page)
    };
    assert_eq!(html("https://cdn.example/1.png").matches("https://cdn.example/1.png").count(), 2);
    assert!(!html("javascript:alert(1)").contains("javascript:"));
    assert!(!html("data:text/html,x").contains("data:text"));
}

#[test]
fn every_text_that_may_turn_its_direction_is_isolated() {
    let html = html(&page("abc\u{202e}def")).replacen(SCRIPT, "", 1);
    let (isolated, all) =
        (html.matches("<bdi>").count() + html.matches("<bdi class").count(), html.matches("</bdi>").count());
    assert_eq!(isolated, all);
    for (at, _) in html.match_indices("abc\u{202e}") {
        let before = &html[..at];
        let is_isolated = before.rfind("<bdi") > before.rfind("</bdi>");
        assert!(is_isolated || before.ends_with("<code>"), "{}", &html[at.saturating_sub(80)..at + 12]);
    }
    assert!(html.contains("– abcdef</title>"), "a title has no element to isolate it");
}

#[test]
fn the_policy_allows_the_emitted_style_and_script_and_nothing_else() {
    let html = html(&page("harmless"));
    let between = |open: &str, close: &str| {
        assert_eq!(html.matches(open).count(), 1, "{open}");
        html.split(open).nth(1).unwrap().split(close).next().unwrap().to_owned()
    };
    let policy = between("http-equiv=\"Content-Security-Policy\" content=\"", "\"").replace("&#39;", "'");
    let style = hash(&between("<style>", "</style>"));
    let script = hash(&between("<script>", "</script>"));
    let expected = format!(
        "default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'"
    );
    assert_eq!(policy, expected);
    let bare = html.replacen(STYLE, "", 1).replacen(SCRIPT, "", 1);
    assert!(!bare.contains(" style="), "no inline style");
    let is_handler = |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_lowercase()).starts_with('=');
    assert!(!bare.split(" on").skip(1).any(is_handler), "no inline handler");
    assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
}

#[test]
fn what_is_online_only_says_how_long_and_what_stands_in_is_marked() {
    let mut page = page("harmless");
    let now = page.generated_at;
    let mut shown = |stage, expires: Duration, fallback| {
        page.rows[1].stage = stage;
        page.rows[1].expires_at = Some(now.after(expires));
        page.rows[1].fallback = fallback;
        html(&page)
    };
    let days = |days: u64| Duration::from_secs(3600 * 24 * days);
    let saved = shown(Stage::Saved, days(12), false);
    assert!(saved.contains("<p class=\"kept\">Saved, online until 4 Dec</p>"));
    assert!(!saved.contains("default cover</span>"));
    let later = shown(Stage::Online, days(12), false);
    assert!(later.contains("<p class=\"expiry later\"") && later.contains("<b>12 days left</b></p>"));
    let soon = shown(Stage::Online, days(2), true);
    assert!(soon.contains("<p class=\"expiry soon\"") && soon.contains("Online only until 24 Nov: <b>2 days left</b>"));
    assert!(soon.contains("default cover</span>"));
    assert!(shown(Stage::Online, Duration::ZERO, false).contains("<b>may be gone</b></p>"));
}

#[test]
fn the_headline_tells_how_many_covers_are_in_hand() {
    let mut page = page("harmless");
    let mut headline = |stages: &[(Stage, u64)]| {
        page.stages = Stages::new(page.generated_at);
        page.rows_total = stages.iter().map(|(_, rows)| rows).sum();
        for (stage, rows) in stages {
            (0..*rows).for_each(|_| page.stages.add(*stage, None));
        }
        page.headline()
    };
    let (saved, online, none) = (Stage::Saved, Stage::Online, Stage::Person);
    assert_eq!(headline(&[(saved, 1198), (online, 5), (none, 2)]), "1,198 of 1,205 covers are in hand");
    assert_eq!(headline(&[(saved, 1), (none, 2)]), "1 of 3 covers is in hand");
    assert_eq!(headline(&[(saved, 12)]), "All 12 covers are in hand");
    assert_eq!(headline(&[(saved, 1)]), "The one cover is in hand");
    assert_eq!(headline(&[(Stage::Accepted, 12)]), "None of 12 covers is in hand");
    assert_eq!(headline(&[(online, 12)]), "All 12 covers are finished, online only");
    assert_eq!(headline(&[(online, 2), (Stage::NextRun, 1)]), "2 of 3 covers are finished, online only");
    assert_eq!(headline(&[(none, 1)]), "The one cover is not in hand");
    assert_eq!(headline(&[]), "The catalog has no rows");
}

#[test]
fn rows_that_do_not_fit_are_counted_and_empty_parts_are_left_out() {
    let mut page = page("harmless");
    page.rows_total = 20_000;
    assert!(html(&page).contains("This page shows 2 of 20,000 rows."));
    let empty = Page {
        counts: Vec::new(),
        rows_total: 0,
        duplicates: 0,
        default_covers: 0,
        stages: Stages::new(page.generated_at),
        causes: Vec::new(),
        activity: Activity::default(),
        runs: Vec::new(),
        next: None,
        rows: Vec::new(),
        ..page
    };
    assert!(!tags(&html(&empty)).iter().any(|tag| tag == "table" || tag == "figure" || tag == "pre"));
}

#[test]
fn a_page_is_written_piece_by_piece_and_an_error_is_told() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            assert!(bytes.len() < 64 << 10, "streamed");
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut page = page("harmless");
    page.rows = (0..5000).map(|line| row(line, "harmless", Status::Failed)).collect();
    assert_eq!(page.write_html(&mut Full(3)).unwrap_err().kind(), io::ErrorKind::StorageFull);
    page.write_html(&mut Full(usize::MAX)).unwrap();
}

#[test]
fn an_image_says_how_large_it_is() {
    let mut page = page("harmless");
    page.rows[1].images[1].size = Some(ImageSize { width: 3000, height: 2000, bytes: 2_149_999 });
    let html = html(&page);
    assert!(html.contains("<p class=\"id\">image 2: 3000 × 2000, 2.1 MB</p>") && !html.contains("image 1: "));
}

/// The colours of the style sheet in the light and in the dark.
fn palettes() -> [BTreeMap<&'static str, [f64; 3]>; 2] {
    let mut parts = STYLE.splitn(2, "@media (prefers-color-scheme: dark)");
    [parts.next().unwrap(), parts.next().unwrap().split("\n}\n").next().unwrap()].map(|part| {
        let colour = |line: &'static str| {
            let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
            let part = |at: usize| f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap()) / 255.0;
            Some((name, [part(0), part(2), part(4)]))
        };
        part.lines().filter_map(colour).collect()
    })
}

/// <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [r, g, b] = colour.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_text_stands_out_from_what_is_behind_it() {
    for palette in palettes() {
        assert_eq!(palette.len(), 22);
        let of = |one: &str, other: &str| contrast(palette[one], palette[other]);
        for text in ["ink", "dim", "link", "good", "wait", "bad"] {
            for behind in ["paper", "sheet"] {
                assert!(of(text, behind) >= 4.5, "{text} on {behind}: {}", of(text, behind));
            }
        }
        for tone in ["good", "wait", "bad"] {
            assert!(of(tone, &format!("{tone}-bg")) >= 4.5, "{tone}");
        }
        assert!(of("ink", "rule") >= 4.5 && of("dim", "wait-bg") >= 4.5 && of("link", "wait-bg") >= 4.5);
        // Graphics need 3:1 against the paper: the plain colour, or the marks on it.
        for bar in ["accepted", "existing-mark", "throttled-mark", "unavailable-mark", "trouble-mark", "rejected"] {
            assert!(of(&format!("c-{bar}"), "paper") >= 3.0, "{bar}: {}", of(&format!("c-{bar}"), "paper"));
        }
    }
}

#[test]
fn a_hash_is_that_of_the_specification() {
    // The example of section 8.2 of Content Security Policy Level 2.
    assert_eq!(hash("alert('Hello, world.');"), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
}

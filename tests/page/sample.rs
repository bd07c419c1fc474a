//! Pages as nights leave them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coverbatch::clock::{Clock, UnixMillis};
use coverbatch::domain::{Reason, Status};
use coverbatch::page::{
    Activity, Kind, Next, Page, PageImage, PageRow, RunLine, Stage, Stages, thumbnail_size, thumbnails,
};
use coverbatch::results::{Cause, Remedy, RowName};
use image::{Rgb, RgbImage};

const FIRST: [&str; 10] =
    ["Blue", "Paper", "Northern", "Slow", "Glass", "Velvet", "Early", "Little", "Copper", "Distant"];
const SECOND: [&str; 9] =
    ["Harbour", "Lanterns", "Machines", "Rivers", "Weather", "Orchard", "Signals", "Kingdom", "Hours"];
const THIRD: [&str; 7] = ["", " (Radio Edit)", " II", "", " – Live in Utrecht", "", " feat. Ana Ruiz"];

pub(crate) const HOSTILE: &str = "</bdi></title></script><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">\u{202e}txet";

/// The end of a night, now.
pub(crate) fn morning() -> UnixMillis {
    Clock::start().unix()
}

fn title(line: u64) -> String {
    let pick = |from: &[&'static str], by: u64| from[usize::try_from(by).unwrap() % from.len()];
    format!("{} {}{}", pick(&FIRST, line * 7), pick(&SECOND, line * 5 + line / 9), pick(&THIRD, line * 3))
}

/// The title; of most an artist, and of some an ISRC.
fn labels(line: u64) -> Vec<String> {
    let artist = ["Ada Vance", "The Lowlands", "Ikeda Trio"][usize::try_from(line % 3).unwrap()];
    let more = [artist.to_owned(), format!("NLA50{line:07}")];
    [title(line)].into_iter().chain(more.into_iter().take(usize::try_from(line % 7 % 3).unwrap())).collect()
}

fn stage(status: Status) -> Stage {
    match status {
        Status::Completed => Stage::Saved,
        Status::Submitted | Status::Exists => Stage::Accepted,
        Status::Ignored => Stage::Ignored,
        Status::Failed | Status::GenerationFailed | Status::Invalid => Stage::Person,
        Status::GaveUp | Status::InDoubt | Status::Pending => Stage::NextRun,
    }
}

fn status(line: u64) -> Status {
    match line % 97 {
        13 => Status::Failed,
        31 => Status::GaveUp,
        59 => Status::GenerationFailed,
        71 => Status::Submitted,
        83 if line < 400 => Status::Invalid,
        _ => Status::Completed,
    }
}

fn said(status: Status) -> (Reason, &'static str) {
    match status {
        Status::Failed => (Reason::NotFound, "Music task not found"),
        Status::GaveUp => (Reason::ServerError, "Unexpected server error, please try again later"),
        Status::GenerationFailed => (Reason::GenerationFailed, "The prompt was rejected by the image model"),
        Status::Invalid => (Reason::BadRow, "task id contains ' '; only letters, digits, `-` and `_` are allowed"),
        Status::Submitted => (Reason::Accepted, "success"),
        Status::Completed | Status::Exists | Status::Ignored | Status::InDoubt | Status::Pending => {
            (Reason::Generated, "")
        }
    }
}

/// A row of a night that ends now, without its pictures.
pub(crate) fn row(line: u64, now: UnixMillis) -> PageRow {
    let status = status(line);
    let (reason, message) = said(status);
    let sent = now.before(Duration::from_secs(14_000 - line % 9_000));
    let is_sent = status != Status::Invalid;
    let id =
        format!("{:08x}-{:04x}-4a1b-9c7e-{:012x}", line * 2_654_435_761 % 0xffff_ffff, line * 31 % 0xffff, line * 77);
    let image = |place| PageImage { url: format!("https://cdn.example/{id}_{place}.png"), ..PageImage::default() };
    PageRow {
        line,
        images: if status == Status::Completed { (1..3).map(image).collect() } else { Vec::new() },
        id,
        labels: labels(line),
        status,
        stage: stage(status),
        reason: Some(reason),
        code: (status == Status::Failed).then_some(404),
        message: message.to_owned(),
        attempts: if !is_sent {
            0
        } else if status == Status::GaveUp {
            6
        } else {
            1
        },
        first_sent_at: is_sent.then_some(sent),
        finished_at: is_sent.then(|| sent.after(Duration::from_secs(75))),
        cover_task_id: status.is_settled().then(|| format!("cov_{:010x}", line * 99_991)),
        fallback: false,
        expires_at: (status == Status::Completed)
            .then(|| now.after(Duration::from_secs(3600 * (336 - line * 7 % 336)))),
    }
}

fn kind(place: u64) -> Kind {
    match place % 100 {
        0..70 => Kind::Accepted,
        70..84 => Kind::Existing,
        84..94 => Kind::Throttled,
        94..97 => Kind::Trouble,
        _ => Kind::Rejected,
    }
}

fn activity(now: UnixMillis) -> Activity {
    let begin = now.before(Duration::from_secs(3600 * 6));
    let mut activity = Activity::new(begin, now);
    for place in 0..4_000_u64 {
        let minute = place * 300 / 4_000;
        let jitter = place * 7919 % 13;
        let kind = if (110..150).contains(&minute) { Kind::Unavailable } else { kind(place * 37 + minute) };
        if (110..150).contains(&minute) && place % 12 > 0 || jitter < minute % 9 {
            continue;
        }
        activity.add(begin.after(Duration::from_secs(600 + minute * 60 + jitter)), kind);
    }
    activity
}

/// A page of these rows.
pub(crate) fn page(title: &str, rows: Vec<PageRow>, now: UnixMillis) -> Page {
    let with = |status: Status| rows.iter().filter(move |row| row.status == status);
    let count = |status: Status| u64::try_from(with(status).count()).unwrap();
    let cause = |status: Status| {
        let remedy = if stage(status) == Stage::Person { Remedy::Person } else { Remedy::NextRun };
        let mut cause = Cause::new(status, Some(said(status).0), remedy);
        let words = &with(status).next().unwrap().message;
        for row in with(status) {
            let name = || RowName { line: Some(row.line), id: Some(row.id.clone()), labels: row.labels.clone() };
            cause.add(true, ((status == Status::Failed).then_some(404), words), name);
        }
        cause
    };
    let lacking = Status::ALL.iter().copied().filter(|status| !status.is_settled() && count(*status) > 0);
    let mut stages = Stages::new(now);
    for row in &rows {
        stages.add(row.stage, row.expires_at);
    }
    let began = now.before(Duration::from_secs(21_000));
    Page {
        title: title.to_owned(),
        generated_at: now,
        counts: Status::ALL.iter().map(|status| (*status, count(*status))).collect(),
        rows_total: u64::try_from(rows.len()).unwrap(),
        duplicates: 3,
        default_covers: u64::try_from(rows.iter().filter(|row| row.fallback).count()).unwrap(),
        stages,
        causes: lacking.map(cause).collect(),
        activity: activity(now),
        runs: vec![RunLine {
            started: began,
            ended: Some(now.before(Duration::from_secs(240))),
            how: "finished".into(),
        }],
        next: Some(Next {
            advice: "correct the rows that need a person; what else is left goes on with",
            command: format!("cd /srv/catalog && coverbatch run {title} --retry all --download covers"),
        }),
        rows,
    }
}

/// Draws art for the rows in `folder/covers` and puts it into them, with small copies.
pub(crate) fn illustrate(rows: &mut [PageRow], folder: &Path) {
    std::fs::create_dir_all(folder.join("covers")).unwrap();
    let art: Vec<PathBuf> = (0..24).map(|seed| draw(seed, folder)).collect();
    let is_lacking = |row: &PageRow| row.status == Status::GaveUp;
    let covered = rows.iter().filter(|row| row.status == Status::Completed || is_lacking(row)).count();
    let small = thumbnail_size(covered * 2).map_or_else(|| vec![None; 24], |size| thumbnails(&art, size));
    for row in rows.iter_mut().filter(|row| row.status == Status::Completed || is_lacking(row)) {
        row.fallback = is_lacking(row);
        if row.fallback {
            row.images = vec![PageImage::default()];
        }
        for (place, image) in (0..).zip(&mut row.images) {
            let which = if row.fallback { 0 } else { usize::try_from(row.line * 2 + place).unwrap() % 24 };
            image.file = Some(format!("covers/{}", art[which].file_name().unwrap().to_str().unwrap()));
            image.thumbnail.clone_from(&small[which]);
        }
    }
}

fn draw(seed: u32, folder: &Path) -> PathBuf {
    let path = folder.join(format!("covers/{seed}-1.png"));
    let base = [seed * 83 % 200, seed * 47 % 180, seed * 131 % 220];
    let (cx, cy, radius) = (80 + seed * 53 % 260, 90 + seed * 91 % 240, 40 + seed * 17 % 110);
    let pixel = |x: u32, y: u32| {
        let inside = x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < radius.pow(2);
        let stripe = seed % 3 == 1 && ((x + y * 2) / 60).is_multiple_of(2);
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 28;
        let shade = [y / 6, x / 8, (x + y) / 10];
        let lift = if inside {
            120
        } else if stripe {
            45
        } else {
            0
        };
        let part = |at: usize| u8::try_from((base[at] + shade[at] + lift + grain).min(255)).unwrap();
        Rgb([part(0), part(1), part(2)])
    };
    RgbImage::from_fn(420, 420, pixel).save(&path).unwrap();
    path
}

/// Writes the page into the folder.
pub(crate) fn write(page: &Page, folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    page.write_html(&mut File::create(&path).unwrap()).unwrap();
    path
}

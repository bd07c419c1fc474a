//! `coverbatch report`: one self-contained page of the batch and its covers, filled from catalog and ledger.

use std::ffi::OsStr;
use std::io::{BufWriter, IntoInnerError};
use std::path::{self, Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::task::spawn_blocking;

use crate::catalog::{Catalog, Labels};
use crate::cli::account::{LedgerArgs, open_to_read};
use crate::cli::options::{CatalogArgs, LabelArgs};
use crate::cli::results::view;
use crate::clock::{Clock, UnixMillis};
use crate::domain::{Reason, Status};
use crate::error::{Error, Exit};
use crate::files::{FileError, Replacement};
use crate::join::{Join, Joined};
use crate::ledger::{AnyLedger, Artwork, LedgerPlace, PastRun, ReadLedger as _};
use crate::page::{Activity, Kind, MAX_ROWS, Page, PageImage, PageRow, RunLine, thumbnail_size, thumbnails};
use crate::results::{self, Cover, Goal, ResultLine, Tally, View};

/// Write one self-contained HTML page of the batch and its covers; sends nothing, also while a run is going on
#[derive(Debug, Args)]
#[command(before_help = "Example: coverbatch report catalog.csv -o report.html --download covers/")]
pub(super) struct ReportArgs {
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    ledger: LedgerArgs,

    /// Where the page goes; `-` is standard output [default: <stem>.report.html beside the catalog]
    #[arg(short = 'o', long, value_name = "PATH")]
    output: Option<PathBuf>,

    /// The folder that images were saved into, to show them
    #[arg(long, value_name = "DIR", env = "COVERBATCH_DOWNLOAD", hide_env = true)]
    download: Option<PathBuf>,

    #[command(flatten)]
    label: LabelArgs,
}

pub(super) async fn run(args: ReportArgs) -> Result<Exit, Error> {
    let path = args.output.clone().unwrap_or_else(|| args.catalog.beside(&args.ledger.suffix(".report.html")));
    let guard = args.catalog.guard(&args.ledger).writes("--output", "the page", Some(&path));
    guard.images("--download", args.download.as_deref()).check()?;
    let catalog = args.catalog.open().await?;
    let place = args.catalog.ledger(&args.ledger)?;
    let ledger = open_to_read(&place).await?;
    let goal = if args.download.is_some() { Goal::Files } else { Goal::Accepted };
    let now = Clock::start().unix();
    let view = View { goal, now, ..view(&ledger, &args.catalog, &args.ledger).await? };
    let tally = results::count(&catalog, Some(&ledger), view, Tally::default()).await?;
    let filler = Filler {
        catalog: &catalog,
        ledger: &ledger,
        place: &place,
        identity: args.catalog.identity(),
        view,
        images: args.download.as_deref(),
        page: &path,
        labels: args.label.find(&catalog)?,
    };
    let page = filler.page(&tally).await?;
    ledger.close().await;
    write(&path, &page)?;
    Ok(Exit::of_rows(&tally))
}

/// Writes the page.
fn write(path: &Path, page: &Page) -> Result<(), FileError> {
    let mut file = BufWriter::new(Replacement::begin(path)?);
    let written = page.write_html(&mut file).and_then(|()| file.into_inner().map_err(IntoInnerError::into_error));
    written.map_err(|cause| FileError::new(path, cause))?.commit()
}

/// Runs that a page lists.
const MOST_RUNS: u32 = 10;

/// A night: runs that began within so long of the last one are shown with it.
const NIGHT: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a page gets what it tells.
struct Filler<'a> {
    catalog: &'a Arc<Catalog>,
    ledger: &'a AnyLedger,
    place: &'a LedgerPlace,
    identity: String,
    view: View,
    /// The folder of the images.
    images: Option<&'a Path>,
    /// Where the page will be.
    page: &'a Path,
    labels: Labels,
}

impl Filler<'_> {
    /// The page, whose rows have been counted.
    async fn page(&self, tally: &Tally) -> Result<Page, Error> {
        let runs = self.ledger.past_runs(&self.identity, MOST_RUNS).await?;
        Ok(Page {
            title: self.title(),
            generated_at: self.view.now,
            counts: Status::ALL.iter().map(|status| (*status, tally.with(*status))).collect(),
            rows_total: tally.rows,
            duplicates: tally.duplicates,
            awaited: tally.awaited + tally.forgotten,
            causes: tally.causes().into_iter().cloned().collect(),
            activity: self.activity(&runs).await?,
            runs: runs.iter().map(run_line).collect(),
            next: (tally.left() > 0).then(|| self.next()),
            rows: self.rows(tally).await?,
        })
    }

    fn title(&self) -> String {
        Path::new(&self.identity).file_name().unwrap_or(OsStr::new(&self.identity)).to_string_lossy().into_owned()
    }

    /// What tells more of what is left, and how a run goes on with it.
    fn next(&self) -> String {
        let ledger = self.place.to_string();
        let words = ["coverbatch", "status", &self.identity, "--ledger", &ledger];
        shlex::try_join(words).unwrap_or_else(|_| "coverbatch status".to_owned())
    }

    /// The submissions of the last night.
    async fn activity(&self, runs: &[PastRun]) -> Result<Activity, Error> {
        let Some((from, until)) = night(runs, self.view.now) else { return Ok(Activity::default()) };
        let mut activity = Activity::new(from, until);
        for sends in self.ledger.sends_between((from, until), activity.bin_length()).await? {
            for _ in 0..sends.count {
                activity.add(sends.at.max(from), kind(sends.reason));
            }
        }
        Ok(activity)
    }

    /// The rows to show: those that need someone first, and then as many others as there is room for.
    async fn rows(&self, tally: &Tally) -> Result<Vec<PageRow>, Error> {
        let most = u64::try_from(MAX_ROWS).unwrap_or(u64::MAX);
        let mut room_for_others = most.saturating_sub(tally.left());
        let (mut rows, mut files) = (Vec::new(), Vec::new());
        let mut join = Join::new(self.catalog, Some(self.ledger), self.view.trust)?;
        while let Some(chunk) = Some(join.next().await.map_err(results::ResultsError::from)?).filter(|c| !c.is_empty())
        {
            for joined in &chunk {
                let line = ResultLine::new(self.catalog, joined, self.view);
                let is_left = !line.status.is_settled() || matches!(line.cover, Cover::Awaited | Cover::Forgotten);
                if rows.len() >= MAX_ROWS || (!is_left && room_for_others == 0) {
                    continue;
                }
                room_for_others = room_for_others.saturating_sub(u64::from(!is_left));
                files.push(self.files_of(joined));
                rows.push(self.row(joined, &line));
            }
        }
        self.with_pictures(rows, files).await
    }

    fn row(&self, joined: &Joined, line: &ResultLine) -> PageRow {
        let record = joined.record.as_ref();
        let art = record.map(|record| &record.artwork);
        PageRow {
            line: joined.row.line,
            id: joined.row.id.as_ref().map(ToString::to_string).unwrap_or_default(),
            label: Some(self.labels.of(self.catalog, &joined.row).join(", ")).filter(|label| !label.is_empty()),
            status: line.status,
            reason: line.reason,
            message: line.message().to_owned(),
            attempts: record.map_or(0, |record| record.submissions),
            first_sent_at: record.and_then(|record| record.first_sent_at),
            finished_at: record.and_then(|record| record.finished_at),
            cover_task_id: record.and_then(|record| record.cover.as_ref()).map(ToString::to_string),
            images: art.map(pictures).unwrap_or_default(),
            fallback: art.is_some_and(|art| art.fallback.is_some()),
            expires_at: art.and_then(Artwork::expires_at),
        }
    }

    /// Where the images of a row are on disk.
    fn files_of(&self, joined: &Joined) -> Vec<Option<PathBuf>> {
        let Some(art) = joined.record.as_ref().map(|record| &record.artwork) else { return Vec::new() };
        names(art).into_iter().map(|name| within(self.images?, &name?)).collect()
    }

    /// The rows with small copies of their images, and the way from the page to each.
    async fn with_pictures(
        &self,
        mut rows: Vec<PageRow>,
        files: Vec<Vec<Option<PathBuf>>>,
    ) -> Result<Vec<PageRow>, Error> {
        let all: Vec<PathBuf> = files.iter().flatten().flatten().cloned().collect();
        let small = match thumbnail_size(all.len()) {
            Some(size) => {
                let work = spawn_blocking(move || thumbnails(&all, size));
                work.await.unwrap_or_else(|defect| std::panic::resume_unwind(defect.into_panic()))
            }
            None => Vec::new(),
        };
        let mut small = small.into_iter();
        for (row, files) in rows.iter_mut().zip(files) {
            for (image, file) in row.images.iter_mut().zip(files) {
                let Some(file) = file else { continue };
                image.file = Some(way(self.page, &file).to_string_lossy().into_owned());
                image.thumbnail = small.next().flatten();
            }
        }
        Ok(rows)
    }
}

/// The images of a cover as far as they are known; the default cover stands in where none is.
fn pictures(art: &Artwork) -> Vec<PageImage> {
    let urls = art.images.as_ref().map_or(&[][..], |images| images.urls());
    let count = urls.len().max(names(art).len());
    (0..count).map(|at| PageImage { url: urls.get(at).cloned().unwrap_or_default(), ..PageImage::default() }).collect()
}

/// The names of the files, one for each image that has a name or an address.
fn names(art: &Artwork) -> Vec<Option<String>> {
    let known = art.images.as_ref().map_or(0, |images| images.urls().len());
    let mut names: Vec<Option<String>> = art.files.iter().take(known).cloned().collect();
    if let Some(fallback) = &art.fallback {
        match names.first_mut() {
            Some(first) => *first = Some(fallback.clone()),
            None => names.push(Some(fallback.clone())),
        }
    }
    names
}

/// Where a file of a folder is. `None` for a name or a link that leads elsewhere: it may come from a results CSV that
/// anybody wrote.
fn within(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components();
    let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    Some(folder.join(name)).filter(|path| is_name && !path.is_symlink())
}

/// The way from a page to a file, through the folders that they have in common.
fn way(page: &Path, file: &Path) -> PathBuf {
    let real = |path: &Path| path.canonicalize().or_else(|_| path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let absolute = path::absolute(page).unwrap_or_else(|_| page.to_owned());
    let folder = real(absolute.parent().unwrap_or(Path::new("/")));
    let file = real(file);
    let common = folder.components().zip(file.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}

fn run_line(run: &PastRun) -> RunLine {
    let what = if run.submits { "run" } else { "follow" };
    let how = match (run.ended, run.cut_short) {
        (None, None) => format!("{what}: still going on, or killed"),
        (None, Some(_)) => format!("{what}: killed"),
        (Some(_), None) => format!("{what}: finished"),
        (Some(_), Some(reason)) => format!("{what}: stopped early ({reason})"),
    };
    RunLine { started: run.started, ended: run.ended, how }
}

/// From the first run of the last night to the end of its last.
fn night(runs: &[PastRun], now: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
    let last = runs.iter().find(|run| run.submits)?;
    let first = last.started.before(NIGHT);
    let within = || runs.iter().filter(|run| run.submits && run.started >= first);
    let from = within().map(|run| run.started).min()?;
    Some((from, last.ended.unwrap_or(now)))
}

/// How the plot shows a submission.
fn kind(reason: Option<Reason>) -> Kind {
    match reason {
        Some(Reason::Accepted) => Kind::Accepted,
        Some(Reason::AlreadyExists | Reason::Conflict) => Kind::Existing,
        Some(Reason::RateLimited) => Kind::Throttled,
        Some(Reason::Maintenance | Reason::Outage) => Kind::Unavailable,
        Some(
            Reason::NotFound | Reason::InvalidRequest | Reason::Rejected | Reason::Unauthorized | Reason::NoCredits,
        ) => Kind::Rejected,
        Some(
            Reason::ServerError
            | Reason::Timeout
            | Reason::Connection
            | Reason::BadResponse
            | Reason::Deadline
            | Reason::Interrupted
            | Reason::TooManyFailures
            | Reason::Held
            | Reason::BadRow
            | Reason::Generated
            | Reason::GenerationFailed
            | Reason::MusicNotReady
            | Reason::MusicFailed,
        )
        | None => Kind::Trouble,
    }
}

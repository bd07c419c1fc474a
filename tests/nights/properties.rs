//! Whatever the catalog looks like and whatever the service does, the promises hold.

use std::collections::HashSet;

use coverbatch::domain::{MusicTaskId, Rate, Verdict};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Builder;

use crate::support::{Morning, Night, Reply, Sent, millis, most_in_window, nonzero, seconds};

/// A catalog as its author thinks of it: a title, the id, and anything.
#[derive(Debug, Clone)]
struct Songs {
    rows: Vec<[Vec<u8>; 3]>,
    delimiter: u8,
    is_marked: bool,
    is_crlf: bool,
    is_quoted: bool,
}

impl Songs {
    fn bytes(&self) -> Vec<u8> {
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .terminator(if self.is_crlf { Terminator::CRLF } else { Terminator::Any(b'\n') })
            .quote_style(if self.is_quoted { QuoteStyle::Always } else { QuoteStyle::Necessary })
            .from_writer(if self.is_marked { b"\xef\xbb\xbf".to_vec() } else { Vec::new() });
        writer.write_record(["title", "task_id", "notes"]).unwrap();
        for row in &self.rows {
            writer.write_record(row).unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn id(&self, row: usize) -> Option<MusicTaskId> {
        MusicTaskId::new(&self.rows[row][1]).ok()
    }
}

/// Bytes of a cell, those that mean something in a CSV file being frequent; no NUL, which a CSV file does not have, no
/// digit, which makes ids, and no backslash, which may mean something or not.
fn cell() -> impl Strategy<Value = Vec<u8>> {
    let others = (1_u8..=255).prop_filter("a meaning", |byte| !byte.is_ascii_digit() && *byte != b'\\');
    let special = prop::sample::select(b"\"\"\r\n\n,;\t| =\xef\xbb\xbf".to_vec());
    vec(prop_oneof![3 => special, 3 => b'a'..=b'e', 1 => others], 0..8)
}

/// Mostly one of few ids, so that they repeat; sometimes none.
fn id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-f][1-4]".prop_map(String::into_bytes),
        1 => " [a-f]1\t".prop_map(String::into_bytes),
        1 => prop::sample::select(vec![&b""[..], b"  ", b"two words", b"caf\xc3\xa9"]).prop_map(<[u8]>::to_vec),
    ]
}

fn songs() -> impl Strategy<Value = Songs> {
    let row = (cell(), id(), cell()).prop_map(|(title, id, notes)| {
        // A row of blanks would be none.
        let title = if id.trim_ascii().is_empty() { [&title[..], b"x"].concat() } else { title };
        [title, id, notes]
    });
    (vec(row, 0..25), prop::sample::select(b",;\t|".to_vec()), any::<[bool; 3]>()).prop_map(
        |(rows, delimiter, [is_marked, is_crlf, is_quoted])| {
            // The csv crate puts carriage returns into quotes only where they end lines.
            let has_returns = rows.iter().flatten().any(|cell| cell.contains(&b'\r'));
            Songs { rows, delimiter, is_marked, is_crlf, is_quoted: is_quoted || has_returns }
        },
    )
}

/// What may be answered to one submission, and how late.
fn reply() -> impl Strategy<Value = Reply> {
    let deed = prop_oneof![
        8 => Just(Reply::cover()),
        2 => Just(Reply::lost()),
        2 => Just(Reply::unreachable()),
        6 => prop::sample::select(vec![400, 404, 409, 422, 429, 430, 455, 500, 501]).prop_map(Reply::code),
        2 => prop::sample::select(vec![400, 413, 500, 502, 503]).prop_map(Reply::page),
        1 => (0_u64..2000).prop_map(|asked| Reply::code(455).retry_after(asked)),
    ];
    (deed, 0_u64..30_000).prop_map(|(deed, late)| deed.after(millis(late)))
}

fn rate() -> impl Strategy<Value = Rate> {
    (1_u32..30, 200_u64..15_000).prop_map(|(count, period)| Rate { count: nonzero(count), period: millis(period) })
}

/// A batch of these songs, whose service says these things, one after the other and again from the first.
fn night(songs: &Songs, replies: Vec<Reply>, rate: Rate, seed: u64) -> Night {
    Night::over(songs.bytes()).answers(move |call| replies[(call.number - 1) % replies.len()]).with(|with| {
        (with.rate, with.delimiter, with.run.seed) = (rate, songs.delimiter, seed);
        // A service that asks everyone to wait ten minutes after every other answer makes a batch of days.
        with.longest = seconds(30 * 86_400);
        with.run.concurrency = nonzero(u32::try_from(seed % 9 + 1).unwrap());
    })
}

/// Every row of the catalog once, in its order, with its own cells untouched.
fn assert_whole(songs: &Songs, morning: &Morning) -> Result<(), TestCaseError> {
    let own: Vec<_> = morning.results.rows.iter().map(|row| row[..3].to_vec()).collect();
    let expected: Vec<_> = songs.rows.iter().map(|row| row.to_vec()).collect();
    prop_assert_eq!(own, expected);
    let statuses = ["submitted", "exists", "failed", "gave_up", "in_doubt", "pending", "invalid"];
    let counted: usize = statuses.iter().map(|status| morning.results.count(status)).sum();
    prop_assert_eq!(counted, songs.rows.len());
    prop_assert_eq!(morning.tally.rows, songs.rows.len() as u64);
    for (row, status) in morning.results.column("cover_status").iter().enumerate() {
        prop_assert_eq!(songs.id(row).is_none(), status == "invalid");
    }
    Ok(())
}

/// No submission after an answer that settled its row, and a row says that it is settled when it is.
fn assert_settled_once(songs: &Songs, sent: &[Sent], morning: &Morning) -> Result<(), TestCaseError> {
    let mut settled = HashSet::new();
    for sent in sent {
        prop_assert!(!settled.contains(&sent.id), "{} was settled", sent.id);
        if matches!(sent.verdict, Some(Verdict::Accepted(_) | Verdict::Covered(_))) {
            settled.insert(sent.id.clone());
        }
    }
    for (row, status) in morning.results.column("cover_status").iter().enumerate() {
        let is_settled = songs.id(row).is_some_and(|id| settled.contains(id.as_str()));
        prop_assert_eq!(is_settled, status == "submitted" || status == "exists", "row {}", row + 1);
    }
    Ok(())
}

/// At most N in any window over all runs, by our count and by the gate's.
fn assert_paced(rate: Rate, sent: &[Sent], morning: &Morning) -> Result<(), TestCaseError> {
    let (most, limit) = (most_in_window(sent, rate.period), rate.count.get() as usize);
    prop_assert!(most <= limit, "{most} in a window of {rate}");
    prop_assert!(morning.gate.most_in_window <= limit);
    prop_assert!(morning.gate.most_in_window >= most_in_window(&morning.sent, rate.period));
    Ok(())
}

fn in_paused_time<T>(night: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(night)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn two_runs_keep_every_promise(
        songs in songs(), replies in vec(reply(), 1..40), rate in rate(), seed in any::<u64>(),
    ) {
        in_paused_time(async {
            let night = night(&songs, replies, rate, seed);
            for _ in 0..2 {
                let morning = night.run().await;
                let sent = night.service.sent();
                assert_whole(&songs, &morning)?;
                assert_settled_once(&songs, &sent, &morning)?;
                assert_paced(rate, &sent, &morning)?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn a_killed_run_and_the_next_keep_every_promise(
        songs in songs(), replies in vec(reply(), 1..40), rate in rate(), seed in any::<u64>(), moment in 1_u64..60_000,
    ) {
        in_paused_time(async {
            let night = night(&songs, replies, rate, seed);
            let was_killed = night.is_killed_after(millis(moment)).await;
            let killed = night.service.sent().len();
            let morning = night.run().await;
            let sent = night.service.sent();
            assert_whole(&songs, &morning)?;
            assert_paced(rate, &sent, &morning)?;
            prop_assert!(was_killed || killed == sent.len() - morning.sent.len());
            assert_settled_once(&songs, &sent, &morning)
        })?;
    }
}

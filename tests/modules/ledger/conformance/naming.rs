//! What the files of music tasks are called.

use coverbatch::images::NameWords;

use super::*;

fn words_of(text: &str) -> NameWords {
    NameWords::new(text).unwrap()
}

/// What these music tasks are called once these words are wanted.
async fn named<const N: usize>(ledger: &impl FollowLedger, rows: [(&str, &str); N]) -> [Option<String>; N] {
    let rows = rows.into_iter().map(|(id, text)| (task(id), words_of(text))).collect();
    let named: Vec<_> = ledger.name_files(rows).await.unwrap();
    let named: Vec<_> = named.into_iter().map(|words| words.map(|words| words.as_str().to_owned())).collect();
    named.try_into().unwrap()
}

#[tokio::test]
async fn no_two_music_tasks_are_called_the_same_and_names_stay() {
    let ledger = fresh().await;
    let first = [("a", "So What"), ("b", "SO WHAT"), ("c", "Naima")];
    let expected = [Some("So What".to_owned()), Some("SO WHAT_b".to_owned()), Some("Naima".to_owned())];
    assert_eq!(named(&ledger, first).await, expected);
    assert_eq!(named(&ledger, first).await, expected, "once more");
    let [b, a] = named(&ledger, [("b", "SO WHAT"), ("a", "So What")]).await;
    assert_eq!([b, a], [Some("SO WHAT_b".to_owned()), Some("So What".to_owned())], "in another order");
    // Other words than before leave the old ones to others.
    assert_eq!(named(&ledger, [("a", "Freddie")]).await, [Some("Freddie".to_owned())]);
    assert_eq!(named(&ledger, [("d", "so what")]).await, [Some("so what".to_owned())]);
    assert_eq!(named(&ledger, [("b", "SO WHAT")]).await, [Some("SO WHAT_b".to_owned())]);
}

#[tokio::test]
async fn one_whose_words_are_taken_with_its_id_is_called_by_the_id_alone() {
    let ledger = fresh().await;
    let taken = [("a", "x"), ("c", "x_b")];
    assert_eq!(named(&ledger, taken).await, [Some("x".to_owned()), Some("x_b".to_owned())]);
    assert_eq!(named(&ledger, [("b", "x")]).await, [None]);
}

#[tokio::test]
async fn what_is_on_disk_keeps_its_name() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    assert_eq!(named(&ledger, [("a", "So What")]).await, [Some("So What".to_owned())]);
    for id in ["a", "b"] {
        accepted(&ledger, run, id, 0, Some(waiter(run, true))).await;
        polled(&ledger, 10, generated(1, true)).await;
        let job = claim_job(&ledger, CoverScope::All, JobKind::Download, 20).await.unwrap();
        assert_eq!((job.words, job.default_cover), ((id == "a").then(|| words_of("So What")), None));
        ledger.settle_job(job.key, saved(ImageNumber::One, "1.png"), at(30)).await.unwrap();
    }
    let again = [("a", "Freddie"), ("b", "Naima")];
    assert_eq!(named(&ledger, again).await, [Some("So What".to_owned()), None], "one by its words, one by its id");
    assert_eq!(one(&ledger, "c").await, None, "names make no music task known");
}

#[tokio::test]
async fn whoever_downloads_is_told_of_the_words_and_of_what_stands_in() {
    let ledger = fresh().await;
    let run = run_in(&ledger).await;
    accepted(&ledger, run, "a", 0, Some(waiter(run, true))).await;
    ledger.note_default_covers(vec![(task("a"), "a-1.jpg".to_owned())]).await.unwrap();
    polled(&ledger, 10, generated(1, true)).await;
    assert_eq!(named(&ledger, [("a", "So What")]).await, [Some("So What".to_owned())]);
    let job = claim_job(&ledger, CoverScope::All, JobKind::Download, 20).await.unwrap();
    assert_eq!((job.words, job.default_cover), (Some(words_of("So What")), Some("a-1.jpg".to_owned())));
}

//! Messages about mistakes that are easily made: each says what to do.

use std::fs::File;

use crate::story::{Batch, StandIn};

/// Ids as the service gives them.
const CATALOG: &str = "task_id,title,artist\n\
    73d6128b3523a0079df10da9471017c8,Harbour Lights,Ada\n\
    8d95409a1e6efee17d9dd1d55b4ebfed,Paper Lanterns,Bo\n";

/// A command line beside that catalog and a ledger of the stand-in, its exit code, and what it has to say.
const MISTAKES: &[(&str, i32, &[&str])] = &[
    ("run songs.csv --sandbox --concurrency 0", 2, &["at least 1"]),
    ("run songs.csv --sandbox --timeout -5s", 2, &["a duration such as `30s`, more than zero"]),
    ("run songs.csv --sandbox --timeout 0s", 2, &["a duration such as `30s`, more than zero"]),
    ("COVERBATCH_RATE=20 run songs.csv --sandbox", 2, &["`20/10s`", "comes from the variable COVERBATCH_RATE"]),
    ("run song.csv --no-callback", 7, &["cannot read `/", "/song.csv`"]),
    ("resume x", 2, &["a rerun is the same `coverbatch run` again"]),
    ("songs.csv", 2, &["did you mean `coverbatch run songs.csv`?"]),
    ("run songs.csv --sandbox --delimiter ;", 7, &["its cells look divided by `,`; leave out --delimiter"]),
    ("run songs.csv --sandbox --download covers --default-cover songs.csv", 2, &["it is neither PNG, JPEG nor WebP"]),
    ("run songs.csv --sandbox --wait-timeout 5s", 2, &["no effect without --wait"]),
    (
        "run songs.csv --callback-url https://x.example/{id}",
        2,
        &["`{id}` is not filled in", "`{task_id}` and `{token}`"],
    ),
    (
        "run songs.csv --callback-url http://localhost/x",
        2,
        &["names this machine by an address that means another one to the service"],
    ),
    ("run songs.csv --sandbox --id-column title", 7, &["is `title` the column of ids"]),
    ("why 73d6 --ledger songs.sandbox.db", 0, &[]),
    ("why zz --ledger songs.sandbox.db", 2, &["knows nothing of `zz`"]),
    ("why 73d6", 2, &["there is `songs.sandbox.db`; name one with"]),
];

#[test]
fn every_mistake_that_is_easily_made_is_told_with_what_to_do() {
    let batch = Batch::of(CATALOG);
    batch.run(&["--sandbox", "--rate", "500/1s"]).exit(0);
    let batch = batch.env("SUNO_API_KEY", "a-key-for-the-tests");
    for (line, code, words) in MISTAKES {
        let line = match line.split_once(' ') {
            Some((variable, rest)) if variable.contains('=') => format!("{variable} {} {rest}", crate::story::PROGRAM),
            _ => format!("{} {line}", crate::story::PROGRAM),
        };
        let ran = batch.shell(&line.replace(';', "';'")).exit(*code);
        for words in *words {
            assert!(ran.stderr.contains(words), "`{line}` does not say `{words}`:\n{}", ran.stderr);
        }
    }
}

#[test]
fn a_catalog_that_is_not_there_is_told_before_a_key_that_is_not_there() {
    let ran = Batch::of(CATALOG).shell(&format!("{} run song.csv --no-callback", crate::story::PROGRAM));
    assert!(!ran.stderr.contains("API key") && ran.stderr.contains("/song.csv`"), "{}", ran.stderr);
}

#[test]
fn a_summary_that_cannot_be_printed_is_8() {
    assert!(File::options().write(true).open("/dev/full").is_ok());
    let line = format!("{} run songs.csv --sandbox --json > /dev/full", crate::story::PROGRAM);
    Batch::ids(["a"]).shell(&line).exit(8).says("error: cannot write to standard output");
}

#[test]
fn the_headline_after_an_outage_tells_for_how_long_and_which_trouble() {
    let service = StandIn::quick(&["--maintenance", "0s+600s"]);
    let outage = ["--max-outage", "1s"];
    let first = |batch: Batch| batch.run(&outage).exit(4).stderr.lines().next().unwrap().to_owned();
    let refused = first(Batch::ids(["a"]).to(&service.address));
    assert!(refused.starts_with(
        "coverbatch: stopped, the service refused every request for 1s (--max-outage): code 455, System maintenance; "
    ), "{refused}");
    let nobody = first(Batch::ids(["a"]).to("http://127.0.0.1:1"));
    assert!(nobody.contains("for 1s (--max-outage): tcp connect error: Connection refused"), "{nobody}");
}

//! The configuration file: where it is, what it says, and what wins over it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::story::{Batch, PROGRAM, Ran, Scripted, StandIn, Table};

/// With a configuration file of the user, in a folder beside which another one would be found.
fn configured(batch: Batch, text: &str) -> Batch {
    fs::create_dir_all(batch.path("xdg/coverbatch")).unwrap();
    fs::write(file(&batch), text).unwrap();
    let folder = batch.path("xdg");
    batch.env("XDG_CONFIG_HOME", folder)
}

fn file(batch: &Batch) -> PathBuf {
    batch.path("xdg/coverbatch/config.toml")
}

/// `coverbatch config …`.
fn config(batch: &Batch, words: &[&str]) -> Ran {
    batch.start_words(&[&["config"], words].concat()).finish()
}

/// The value of an option that `config` tells, and its place within the file if it is there.
#[track_caller]
fn told(batch: &Batch, words: &[&str], option: &str) -> String {
    let ran = config(batch, words).exit(0);
    let mut lines = ran.stdout.lines();
    let line =
        lines.find(|line| line.starts_with(&format!("{option} = ")) || line.starts_with(&format!("# {option} ")));
    let (value, place) = line.unwrap_or_else(|| panic!("no {option} in {}", ran.stdout)).split_once(" # ").unwrap();
    let place = place.replace(&*file(batch).to_string_lossy(), "file");
    format!("{} ({place})", value.trim_end().split_once(" = ").map_or("", |(_, value)| value))
}

/// The callback address of the last request.
fn callback(service: &Scripted) -> String {
    let body: Value = service.requests().last().unwrap().body_json().unwrap();
    body["callBackUrl"].as_str().unwrap().to_owned()
}

#[test]
fn every_option_can_be_set_by_the_file() {
    let service = Scripted::accepting();
    let text = format!(
        r#"
        api-url = "{}"
        provider = "kie"
        api-key-file = "key"
        callback-url = "https://x.example/{{task_id}}"
        results = "out.csv"
        failures = "left.csv"
        id-column = "b"
        delimiter = "|"
        skip-lines = 1
        rate = "7/1s"
        concurrency = 1
        timeout = "5s"
        max-attempts = 2
        max-outage = '1m'
        deadline = "1m"
        retry = "all"
        in-doubt = "hold"
        max-failures = "10%"
        image-host = ["a.example", "b.example"]
        json = true
        log-format = "json"
        verbose = 1
        quiet = true
        [account.songs]
        ledger = "my.db"
        [account.others]
        ledger = "others.db"
        "#,
        service.address()
    );
    let batch = configured(Batch::of("a list\na|b\ncovered|x\n"), &text);
    let folder = batch.path("xdg/coverbatch");
    fs::write(folder.join("key"), "from-the-file\n").unwrap();
    let ran = batch.run(&[]).exit(0);
    assert_eq!(ran.json()["requests"]["limit"], "7/1s");
    assert_eq!(callback(&service), "https://x.example/x");
    assert_eq!(service.requests()[0].headers["authorization"], "Bearer from-the-file");
    // Paths are looked for beside the file that names them, wherever the command is started.
    let names = ["config.toml", "key", "left.csv", "my.db", "out.csv"];
    let mut listing: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    listing.sort();
    assert_eq!(listing, names);
    assert_eq!(batch.listing(), ["songs.csv", "xdg"]);
    assert_eq!(Table::read(&folder.join("out.csv"), b'|').rows(&["b", "cover_status"]), ["x submitted"]);
    batch.call("status", &[]).exit(0).prints("  submitted         1\n");
}

#[test]
fn flags_win_over_variables_those_over_the_account_and_that_over_the_top() {
    let text = "rate = \"1/1s\"\nquiet = true\nverbose = 2\n[account.songs]\nrate = \"2/1s\"\n[account.none]\n";
    let batch = configured(Batch::ids(["a"]), text);
    assert_eq!(told(&batch, &["--account", "none"], "rate"), "\"1/1s\" (file:1)");
    assert_eq!(told(&batch, &[], "rate"), "\"2/1s\" (file:5)");
    assert_eq!(told(&batch, &["status"], "rate"), "\"2/1s\" (file:5)");
    assert_eq!(told(&batch, &[], "timeout"), "\"30s\" (default)");
    assert_eq!(told(&batch, &[], "deadline"), " (not set)");
    assert_eq!(told(&batch, &[], "verbose"), "2 (file:3)");
    assert_eq!(told(&batch, &["-v"], "verbose"), "1 (flag)");
    let batch = batch.env("COVERBATCH_RATE", "3/1s").env("COVERBATCH_QUIET", "0");
    assert_eq!(told(&batch, &[], "rate"), "\"3/1s\" (variable COVERBATCH_RATE)");
    assert_eq!(told(&batch, &[], "quiet"), "false (variable COVERBATCH_QUIET)");
    assert_eq!(told(&batch, &["run", "songs.csv", "--rate", "4/1s"], "rate"), "\"4/1s\" (flag)");
}

#[test]
fn what_wins_over_an_option_wins_over_its_opposite() {
    let (url, inert) = ("callback-url = \"https://file.example/\"\n", "https://no-callback.invalid/");
    let variable = ("COVERBATCH_CALLBACK_URL", "https://env.example/");
    let none = ("COVERBATCH_NO_CALLBACK", "1");
    let both = "[account.songs]\nno-callback = true\n";
    let no = "no-callback = true\n";
    for (text, variables, options, called) in [
        (url.to_owned(), vec![], &[][..], "https://file.example/"),
        (url.to_owned(), vec![none], &[], inert),
        (url.to_owned(), vec![], &["--no-callback"], inert),
        (no.to_owned(), vec![variable], &[], "https://env.example/"),
        (no.to_owned(), vec![none], &["--callback-url", "https://flag.example/"], "https://flag.example/"),
        (format!("{url}{both}"), vec![], &[], inert),
        (format!("{url}{both}"), vec![variable], &[], "https://env.example/"),
    ] {
        let service = Scripted::accepting();
        let mut batch = configured(Batch::ids(["a"]), &text).env("SUNO_API_KEY", "some-key-or-other");
        for (name, value) in variables {
            batch = batch.env(name, value);
        }
        batch.run(&[options, &["--api-url", &service.address()]].concat()).exit(0).silent();
        assert_eq!(callback(&service), called, "{text}");
    }
    let batch = configured(Batch::ids(["a"]), &format!("{url}{no}")).env("SUNO_API_KEY", "some-key-or-other");
    let ran = batch.run(&[]).exit(2).says("error: --callback-url and --no-callback exclude each other\n");
    let name = file(&batch).display().to_string();
    ran.says(&format!("hint: --callback-url comes from {name}:1\nhint: --no-callback comes from {name}:2\n"));
}

#[test]
fn the_stand_in_of_a_flag_or_variable_reads_no_file() {
    let text = "results = \"real.csv\"\nledger = \"real.db\"\nrate = \"1/1s\"\nping-url = \"http://127.0.0.1:9/\"\n";
    let batch = configured(Batch::ids(["a", "b"]), text);
    batch.run(&["--sandbox"]).exit(0).silent().results(&["a submitted accepted", "b submitted accepted"]);
    assert_eq!(batch.listing(), ["songs.csv", "songs.sandbox.db", "songs.sandbox.results.csv", "xdg"]);
    let ran = batch.run(&["--sandbox", "--config", "xdg/coverbatch/config.toml"]).exit(2);
    ran.says("error: --sandbox reads no configuration file, so --config has no effect\n");
    let batch = batch.env("COVERBATCH_SANDBOX", "1").env("COVERBATCH_CONFIG", "xdg/coverbatch/config.toml");
    config(&batch, &[]).exit(0).prints("# no configuration file is read\n");
}

#[test]
fn a_file_of_its_own_can_ask_for_the_stand_in() {
    let batch = configured(Batch::ids(["a"]), "sandbox = true\nresults = \"tried.csv\"\n");
    batch.run(&[]).exit(0).silent();
    assert!(batch.path("xdg/coverbatch/tried.csv").exists());
    let ran = batch.run(&["--api-url", "http://127.0.0.1:1"]).exit(2);
    ran.says("error: --sandbox and --api-url exclude each other\n").says("hint: --sandbox comes from ");
}

#[test]
fn whatever_cannot_be_used_is_told_with_its_line_and_all_at_once() {
    let text = "rat = 1\n\
                timeout = 5\n\
                api_key = \"canary-7f3a91c2\"\n\
                sandbox = 1\n\
                provider = \"kei\"\n\
                verbose = \"loud\"\n\
                rate = [\"1/1s\"]\n\
                download = \"~/covers\"\n\
                quiet = false\n\
                config = \"other.toml\"\n\
                [account.b]\n\
                account = \"b\"\n\
                max-attempts = 0\n\
                [acount.c]\n";
    let batch = configured(Batch::ids(["a"]), text);
    let expected = format!(
        "error: the configuration `{}` cannot be used\n  \
         line 1: there is no option `rat`; did you mean `rate`?\n  \
         line 2: invalid value '5' for '--timeout <DUR>': expected a duration such as `30s`, more than zero and \
         at most 8760h (a year)\n  \
         line 3: `api_key` would hold a secret; name the file that holds it with `api-key-file`\n  \
         line 4: `sandbox` is either true or false\n  \
         line 5: invalid value 'kei' for '--provider <PROVIDER>' [possible values: sunoapi, kie]\n  \
         line 6: `verbose` takes a whole number, at most 255\n  \
         line 7: `rate` takes one value, not a list\n  \
         line 8: `download` begins with `~`, which only a shell understands; write the whole path\n  \
         line 10: there is no option `config`\n  \
         line 12: `account` chooses one of these tables, and cannot stand in one\n  \
         line 13: invalid value '0' for '--max-attempts <N>': expected a whole number, at least 1\n  \
         line 14: there is no option `acount`; did you mean `account`?\n\
         hint: every option that has a variable can stand there by its long name; `coverbatch config` tells which\n",
        file(&batch).display()
    );
    for command in ["run", "status"] {
        batch.call(command, &[]).exit(2).complains(&expected);
    }
    batch.start_words(&["why", "a"]).finish().exit(2).complains(&expected);
    batch.start_words(&["config"]).finish().exit(2).complains(&expected);
    // Neither asks for anything that is set.
    batch.start_words(&["completions", "bash"]).finish().exit(0);
    batch.start_words(&["ledger", "schema"]).finish().exit(0);
}

#[test]
fn a_secret_in_the_file_is_not_printed() {
    for text in [
        "api-key = \"canary-7f3a91c2\"",
        "a = 1\nkey = canary-7f3a91c2",
        "canary-7f3a91c2",
        "webhook-key = \"canary-7f3a91c2",
    ] {
        let batch = configured(Batch::ids(["a"]), text);
        for ran in [batch.run(&["-vvv"]).exit(2), config(&batch, &[]).exit(2)] {
            assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("canary"), "{}", ran.stderr);
        }
    }
    let batch = configured(Batch::ids(["a"]), "rate = \"1/1s\"\nkey = canary-7f3a91c2\n");
    batch.run(&[]).exit(2).says("/config.toml` is no TOML: line 2: string values must be quoted");
}

#[test]
fn what_is_secret_in_an_address_is_masked() {
    let text = "ledger = \"postgres://me:canary@db.example/covers?password=canary\"\n\
                ping-url = \"https://me:canary@hc.example/x?token=canary\"\n";
    let batch = configured(Batch::ids(["a"]), text).env("SUNO_API_KEY", "canary");
    let ran = config(&batch, &["--callback-url", "https://canary:canary@x.example/{task_id}#canary"]).exit(0);
    assert!(!ran.stdout.contains("canary"), "{}", ran.stdout);
    assert_eq!(told(&batch, &[], "ledger"), "\"postgres://me@db.example/covers?\" (file:1)");
    assert_eq!(told(&batch, &[], "ping-url"), "\"https://***@hc.example/x?***\" (file:2)");
    assert_eq!(told(&batch, &[], "SUNO_API_KEY"), " (variable)");
}

#[test]
fn a_secret_of_the_environment_wins_over_a_file_named_by_the_configuration_and_not_over_a_flag() {
    let text = "api-key-file = \"of-the-file\"\ncallback-secret-file = \"none\"\nno-callback = true\n";
    let service = Scripted::accepting();
    let mut batch = configured(Batch::ids(["a"]), text).env("COVERBATCH_API_URL", service.address());
    fs::create_dir(batch.path("handed")).unwrap();
    for name in ["xdg/coverbatch/of-the-file", "handed/suno_api_key", "of-the-variable", "of-the-flag"] {
        fs::write(batch.path(name), format!("key-{}\n", name.rsplit('/').next().unwrap())).unwrap();
    }
    let used = |batch: &Batch, options: &[&str], key: &str| {
        fs::write(batch.catalog(), format!("task_id\n{key}\n")).unwrap();
        let options = [options, &["--account", key]].concat();
        let ran = batch.run(&options).exit(0);
        assert_eq!(
            service.requests().last().unwrap().headers["authorization"],
            format!("Bearer key-{key}"),
            "{}",
            ran.stderr
        );
    };
    used(&batch, &[], "of-the-file");
    let handed = batch.path("handed");
    batch = batch.env("CREDENTIALS_DIRECTORY", handed);
    used(&batch, &[], "suno_api_key");
    assert_eq!(told(&batch, &[], "suno_api_key"), " (service manager)");
    assert_eq!(told(&batch, &[], "api-key-file"), " (not set)");
    batch = batch.env("SUNO_API_KEY", "key-itself");
    used(&batch, &[], "itself");
    batch = batch.env("COVERBATCH_API_KEY_FILE", "of-the-variable");
    used(&batch, &[], "of-the-variable");
    used(&batch, &["--api-key-file", "of-the-flag"], "of-the-flag");
    let address = "https://x.example/{task_id}/{token}";
    batch.run(&["--callback-url", address, "-n"]).exit(2).says("error: cannot read the file of --callback-secret-file");
    batch
        .env("COVERBATCH_CALLBACK_SECRET", "0123456789abcdef0123456789abcdef")
        .run(&["--callback-url", address, "-n"])
        .exit(0);
}

#[test]
fn what_is_told_is_a_file_that_says_the_same() {
    let text =
        "download = \"covers\"\nimage-host = [\"a.example\"]\nverbose = 1\nmax-failures = 7\nno-callback = true\n";
    let batch = configured(Batch::ids(["a"]), text).env("COVERBATCH_WAIT", "yes");
    let first = config(&batch, &["--delimiter", "\t", "-q"]).exit(0).stdout;
    fs::write(batch.path("told.toml"), &first).unwrap();
    let again = Batch::ids(["a"]);
    let second = config(&again, &["--config", &batch.path("told.toml").to_string_lossy()]).exit(0).stdout;
    let settings = |text: &str| -> Vec<String> {
        let values = text.lines().filter(|line| !line.starts_with('#'));
        values.map(|line| line.split_once(" # ").unwrap().0.trim_end().to_owned()).collect()
    };
    assert_eq!(settings(&first), settings(&second));
    assert!(settings(&first).contains(&format!("download = {:?}", batch.path("xdg/coverbatch/covers"))), "{first}");
}

#[test]
fn the_file_may_be_anywhere_and_one_that_is_named_must_be_there() {
    let batch = configured(Batch::ids(["a"]), "rate = \"1/1s\"\n");
    for (name, rate) in [("flag.toml", 2), ("variable.toml", 3)] {
        fs::write(batch.path(name), format!("\u{feff}rate = \"{rate}/1s\"\r\n")).unwrap();
    }
    assert_eq!(told(&batch, &[], "rate"), "\"1/1s\" (file:1)");
    let batch = batch.env("COVERBATCH_CONFIG", "variable.toml");
    assert!(told(&batch, &[], "rate").starts_with("\"3/1s\" ("));
    assert!(told(&batch, &["--config", "flag.toml"], "rate").starts_with("\"2/1s\" ("));
    let ran = batch.run(&["--config", "none.toml"]).exit(2);
    ran.complains("error: cannot read the configuration `none.toml`: No such file or directory (os error 2)\nhint: see --config\n");
    fs::create_dir(batch.path("folder")).unwrap();
    batch.run(&["--config", "folder"]).exit(2).says("error: cannot read the configuration `folder`: ");
}

#[test]
fn an_account_that_the_file_does_not_know_is_refused() {
    let batch = configured(Batch::ids(["a"]), "[account.label-a]\n[account.label-b]\nno-callback = true\n");
    let ran = batch.run(&["--account", "lable-a"]).exit(2);
    ran.says("/config.toml` has no [account.lable-a]\nhint: there is `label-a`, `label-b`; a table may be empty\n");
    assert_eq!(told(&batch, &["--account", "label-b"], "no-callback"), "true (file:3)");
    assert_eq!(told(&batch, &["--account", "label-a"], "no-callback"), "false (default)");
    let batch = configured(Batch::ids(["a"]), "account = \"alone\"\n").env("COVERBATCH_ACCOUNT", "songs");
    assert_eq!(told(&batch, &[], "account"), "\"songs\" (variable COVERBATCH_ACCOUNT)");
}

#[test]
fn the_metrics_of_the_file_tell_of_what_cannot_be_understood() {
    let text = "no-callback = true\n[account.songs]\nmetrics-file = \"m.prom\"\n";
    for (text, line, code) in [
        (text.to_owned(), "run songs.csv --no-such-option", 2),
        (text.to_owned(), "run none.csv", 7),
        (format!("rat = 1\n{text}"), "run songs.csv", 2),
        (format!("[account.b]\n{text}"), "follow songs.csv --account=songs --timeout x", 2),
    ] {
        let batch = configured(Batch::ids(["a"]), &text);
        batch.shell(&format!("{PROGRAM} {line}")).exit(code);
        let metrics = fs::read_to_string(batch.path("xdg/coverbatch/m.prom")).unwrap_or_default();
        assert!(metrics.contains(&format!("\ncoverbatch_exit_code {code}\n")), "{line}: {metrics}");
    }
}

#[test]
fn the_next_command_names_the_file_that_only_the_environment_led_to() {
    let service = StandIn::quick(&[]);
    let text = format!("api-url = \"{}\"\nno-callback = true\nmax-attempts = 1\n", service.address);
    let batch = configured(Batch::ids(["code-500x1-a"]), &text).env("SUNO_API_KEY", "some-key-or-other");
    let ran = batch.run(&[]).exit(4);
    assert!(ran.next().contains(&format!(" --config {}", file(&batch).display())), "{}", ran.next());
    let other = Batch::ids(["b"]).env("SUNO_API_KEY", "some-key-or-other");
    other.shell(ran.next()).exit(0).silent();
    batch.call("status", &[]).exit(0);
    fs::write(batch.catalog(), "task_id\ncode-500x1-b\n").unwrap();
    let ran = batch.run(&["--config", "xdg/coverbatch/config.toml"]).exit(4);
    assert_eq!(ran.next().matches("--config").count(), 1, "{}", ran.next());
}

#[test]
fn a_value_from_elsewhere_that_does_not_fit_is_told_with_its_place() {
    let batch = configured(Batch::ids(["a"]), "no-callback = true\n\napi-url = \"http://api.example\"\n");
    let batch = batch.env("SUNO_API_KEY", "some-key-or-other");
    let place = format!("hint: --api-url comes from {}:3\n", file(&batch).display());
    batch.run(&[]).exit(2).says("error: --api-url `http://api.example` cannot be used").says(&place);
    let ran = batch.run(&["--api-url", "http://x.example"]).exit(2);
    assert!(!ran.stderr.contains("comes from"), "{}", ran.stderr);
    let batch = batch.env("COVERBATCH_API_URL", "http://y.example");
    batch.run(&[]).exit(2).says("hint: --api-url comes from variable COVERBATCH_API_URL\n");
}

#[test]
fn a_command_line_to_tell_of_is_checked_like_any_other() {
    let batch = Batch::ids(["a"]);
    config(&batch, &["run", "--rat", "1/1s"])
        .exit(2)
        .complains("error: unexpected argument '--rat' found\nhint: `coverbatch COMMAND --help` names the options\n");
    config(&batch, &["--rate", "1"]).exit(2).says("error: invalid value '1' for '--rate <N/PERIOD>'");
    config(&batch, &["--help"]).exit(0).prints("Usage: coverbatch config [COMMAND LINE]...\n");
    config(&batch, &["follow", "--help"]).exit(0).prints("Usage: coverbatch follow ");
    config(&batch, &["receive"]).exit(0).prints("listen = \"127.0.0.1:8787\"");
    config(&batch, &["ledger", "check"]).exit(0).prints("provider = \"sunoapi\"");
}

#[test]
fn what_an_option_needs_may_stand_in_the_file() {
    let batch = configured(Batch::ids(["a"]), "download = \"covers\"");
    batch.run(&["--sandbox"]).exit(0);
    let ledger = ["--ledger", "songs.sandbox.db"];
    batch.call("report", &[&["--embed"], &ledger[..]].concat()).exit(4);
    fs::write(file(&batch), "").unwrap();
    let ran = batch.call("report", &[&["--embed"], &ledger[..]].concat()).exit(2);
    ran.says("error: --embed has no images to put into the page\nhint: give --download DIR too");
}

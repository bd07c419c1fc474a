//! Images over real sockets: what is fetched, what is refused, and that nothing leads into private networks.

use std::io::{self, Cursor, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use coverbatch::api::ImageSink;
use coverbatch::api::download::{DownloadConfig, Downloads};
use coverbatch::clock::Clock;
use coverbatch::domain::{Found, ImageKind, MAX_IMAGE_BYTES, MusicTaskId, Reading, Reason};
use coverbatch::images::{ImageFolder, ImageName, ImageNumber, NotAnImage, Store, check};
use image::{DynamicImage, ImageFormat, RgbImage};

/// Longest silence in tests that are not about it.
const PATIENT: Duration = Duration::from_secs(10);

/// The part of an address that no message may repeat.
const QUERY: &str = "signature=canary";

/// A client that knows one private host by name: this machine, as `localhost` and not by its address.
fn by_name(timeout: Duration) -> Downloads {
    downloads(&["localhost"], false, timeout)
}

fn downloads(hosts: &[&str], loopback_allowed: bool, timeout: Duration) -> Downloads {
    let hosts = hosts.iter().map(ToString::to_string).collect();
    Downloads::new(&DownloadConfig { hosts, loopback_allowed, timeout, clock: Clock::start() }).unwrap()
}

/// A server that answers one request a connection, and keeps their heads.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&heads), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, seen, answer) = (stream.unwrap(), Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    if let Some(head) = read_head(&mut stream) {
                        seen.lock().unwrap().push(head);
                        answer(&mut stream);
                    }
                });
            }
        });
        Self { port, heads }
    }

    /// A server that sends these bytes and closes.
    fn sending(parts: &[&[u8]]) -> Self {
        let bytes = parts.concat();
        Self::new(move |stream| drop(stream.write_all(&bytes)))
    }

    /// A server that sends this status and header line without a body.
    fn saying(status: &str, header: &str) -> Self {
        Self::sending(&[
            format!("HTTP/1.1 {status}\r\n{header}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes()
        ])
    }

    fn url(&self) -> String {
        format!("http://localhost:{}/s/1.png?{QUERY}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// The head of a request; `None` if there is none.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap().to_ascii_lowercase())
}

fn sample(format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 7]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn ok(length: impl std::fmt::Display) -> String {
    format!("HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
}

/// Memory for an image, like a disk that is full after some bytes.
struct Memory {
    bytes: Vec<u8>,
    room: usize,
}

impl ImageSink for Memory {
    async fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.bytes.extend(bytes);
        if self.bytes.len() > self.room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

async fn fetch(downloads: &Downloads, url: &str) -> (Reading<u64>, Vec<u8>) {
    let mut sink = Memory { bytes: Vec::new(), room: usize::MAX };
    let reading = downloads.fetch(url, &mut sink).await.unwrap();
    (reading, sink.bytes)
}

/// The reason and the words of a download that is expected to bring nothing.
async fn refused(downloads: &Downloads, url: &str) -> (Reason, String) {
    let (reading, _) = fetch(downloads, url).await;
    assert_eq!(reading.found, Found::Troubled, "{url}: {reading:?}");
    let message = reading.answer.message;
    assert!(!message.is_empty() && !message.contains(QUERY) && !message.contains("/s/"), "{url}: {message}");
    (reading.reason, message)
}

async fn refused_by(server: &Server) -> (Reason, String) {
    refused(&by_name(PATIENT), &server.url()).await
}

#[tokio::test]
async fn an_image_is_fetched_judged_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = ImageFolder::new(Store::open(folder.path()).unwrap(), 1, PATIENT);
    let task = MusicTaskId::new("m1").unwrap();
    for (format, name) in
        [(ImageFormat::Png, "m1-1.png"), (ImageFormat::Jpeg, "m1-1.jpg"), (ImageFormat::WebP, "m1-1.webp")]
    {
        let bytes = sample(format);
        let server = Server::sending(&[ok(bytes.len()).as_bytes(), &bytes]);
        let mut draft = store.draft().await.unwrap();
        let reading = by_name(PATIENT).fetch(&server.url(), &mut draft).await.unwrap();
        assert_eq!(reading.found, Found::Known(bytes.len() as u64));
        assert_eq!((reading.answer.http_status, reading.retry_after), (Some(200), None));
        let own = ImageName { task: task.clone(), words: None };
        assert_eq!(draft.keep(own, ImageNumber::One, None).await.unwrap().unwrap().name, name);
        assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_request_tells_nothing_but_what_it_wants() {
    let last = Server::sending(&[ok(1).as_bytes(), b"x"]);
    let first = Server::saying("302 Found", &format!("set-cookie: a=b\r\nlocation: {}", last.url()));
    let downloads = by_name(PATIENT);
    for _ in 0..2 {
        assert_eq!(fetch(&downloads, &first.url()).await.0.found, Found::Known(1));
    }
    let heads = [first.heads(), last.heads()].concat();
    assert_eq!(heads.len(), 4);
    for head in heads {
        let mut names: Vec<&str> = head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "host", "user-agent"], "{head}");
        assert!(head.starts_with(&format!("get /s/1.png?{QUERY} ")), "{head}");
        assert!(head.contains(&format!("user-agent: coverbatch/{}", env!("CARGO_PKG_VERSION"))), "{head}");
    }
}

#[tokio::test]
async fn every_status_but_200_is_trouble_with_this_image_alone() {
    let table = [
        ("404 Not Found", Reason::NotFound),
        ("410 Gone", Reason::NotFound),
        ("408 Request Timeout", Reason::Timeout),
        ("429 Too Many Requests", Reason::ServerError),
        ("500 Internal Server Error", Reason::ServerError),
        ("503 Service Unavailable", Reason::ServerError),
        ("401 Unauthorized", Reason::BadResponse),
        ("403 Forbidden", Reason::BadResponse),
        ("204 No Content", Reason::BadResponse),
        ("206 Partial Content", Reason::BadResponse),
        ("304 Not Modified", Reason::BadResponse),
        ("302 Found", Reason::BadResponse),
    ];
    for (status, reason) in table {
        let server = Server::saying(status, "retry-after: 7");
        let (reading, sink) = fetch(&by_name(PATIENT), &server.url()).await;
        let number: u16 = status[..3].parse().unwrap();
        assert_eq!((&reading.found, reading.reason), (&Found::Troubled, reason), "{status}");
        assert_eq!(reading.answer.http_status, Some(number));
        assert_eq!(reading.answer.message, format!("`localhost` answers HTTP {number}"));
        assert_eq!(reading.retry_after, Some(Duration::from_secs(7)), "{status}");
        assert!(sink.is_empty());
    }
}

#[tokio::test]
async fn an_image_that_is_cut_off_on_the_way_is_trouble() {
    let cut = Server::sending(&[ok(1000).as_bytes(), b"half"]);
    let (reason, message) = refused_by(&cut).await;
    assert_eq!(reason, Reason::Connection);
    assert!(message.starts_with("`localhost`: "), "{message}");
    let chunked = Server::sending(&[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"]);
    assert_eq!(refused_by(&chunked).await.0, Reason::Connection);
    let headless = Server::sending(&[b"HTTP/1.1 200 OK\r\ncontent-le"]);
    assert_eq!(refused_by(&headless).await.0, Reason::Connection);
}

#[tokio::test]
async fn a_cut_that_http_cannot_see_is_seen_in_the_image() {
    let bytes = sample(ImageFormat::Png);
    let server = Server::sending(&[b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &bytes[..bytes.len() / 2]]);
    let (reading, sink) = fetch(&by_name(PATIENT), &server.url()).await;
    assert_eq!(reading.found, Found::Known(bytes.len() as u64 / 2));
    assert_eq!(check(Cursor::new(sink)).unwrap(), Err(NotAnImage::CutOff(ImageKind::Png)));
}

#[tokio::test]
async fn no_bytes_are_no_image() {
    let words = (Reason::BadResponse, "`localhost` sent no bytes".to_owned());
    assert_eq!(refused_by(&Server::sending(&[ok(0).as_bytes()])).await, words);
    assert_eq!(refused_by(&Server::sending(&[b"HTTP/1.1 200 OK\r\n\r\n"])).await, words);
}

#[tokio::test]
async fn silence_ends_a_download_at_any_point() {
    let timeout = Duration::from_millis(300);
    let beginnings = [String::new(), "HTTP/1.1 200 OK\r\n".to_owned(), ok(1000), ok(1000) + "half"];
    for beginning in beginnings {
        let said = beginning.clone();
        let server = Server::new(move |stream| {
            stream.write_all(said.as_bytes()).unwrap();
            thread::sleep(PATIENT);
        });
        let (reason, message) = refused(&by_name(timeout), &server.url()).await;
        assert_eq!((reason, &*message), (Reason::Timeout, "`localhost` was silent for 300ms"), "{beginning:?}");
    }
}

#[tokio::test]
async fn a_slow_image_is_waited_for_and_an_endless_one_is_not() {
    let trickle = |bytes: usize| {
        Server::new(move |stream| {
            let _ = stream.write_all(ok(bytes).as_bytes());
            for _ in 0..bytes {
                thread::sleep(Duration::from_millis(50));
                if stream.write_all(b"x").is_err() {
                    return;
                }
            }
        })
    };
    let timeout = Duration::from_millis(500);
    // Longer than one silence, shorter than four.
    assert_eq!(fetch(&by_name(timeout), &trickle(16).url()).await.0.found, Found::Known(16));
    let (reason, message) = refused(&by_name(timeout), &trickle(1000).url()).await;
    assert_eq!((reason, &*message), (Reason::Timeout, "`localhost` took longer than 2s"));
}

#[tokio::test]
async fn an_image_of_more_than_50_mib_is_given_up() {
    let words = (Reason::BadResponse, "`localhost` sent an image larger than 50 MiB".to_owned());
    let said = Server::new(|stream| {
        let _ = stream.write_all(ok(MAX_IMAGE_BYTES + 1).as_bytes());
        thread::sleep(PATIENT);
    });
    let (reading, sink) = fetch(&by_name(Duration::from_secs(2)), &said.url()).await;
    assert_eq!((reading.reason, reading.answer.message, sink.len()), (words.0, words.1.clone(), 0), "at once");
    assert_eq!(MAX_IMAGE_BYTES, 50 << 20);
    let counted = |extra: usize| {
        Server::new(move |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let _ = stream.write_all(&vec![b'x'; usize::try_from(MAX_IMAGE_BYTES).unwrap() + extra]);
        })
    };
    assert_eq!(refused_by(&counted(1)).await, words);
    assert_eq!(fetch(&by_name(PATIENT), &counted(0).url()).await.0.found, Found::Known(MAX_IMAGE_BYTES));
}

#[tokio::test]
async fn a_redirect_reaches_nothing_private() {
    let secret = Server::sending(&[ok(6).as_bytes(), b"secret"]);
    let port = secret.port;
    let forbidden = [
        (format!("http://127.0.0.1:{port}/?{QUERY}"), "`127.0.0.1` is 127.0.0.1"),
        (format!("http://127.1:{port}/"), "`127.0.0.1` is"),
        (format!("http://2130706433:{port}/"), "`127.0.0.1` is"),
        (format!("http://0177.0.0.01:{port}/"), "`127.0.0.1` is"),
        (format!("http://127.0.0.1.:{port}/"), "`127.0.0.1` is"),
        (format!("http://0:{port}/"), "`0.0.0.0` is"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), "`[::ffff:7f00:1]` is ::ffff:127.0.0.1"),
        (format!("//127.0.0.1:{port}/"), "`127.0.0.1` is"),
        ("http://10.0.0.1/".to_owned(), "`10.0.0.1` is"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "`169.254.169.254` is"),
        ("https://[fd00::1]/".to_owned(), "`[fd00::1]` is"),
        ("file:///etc/passwd".to_owned(), "`file:` is neither http nor https"),
        (format!("http://me:pass@localhost:{port}/"), "the address at `localhost` holds a user name or a password"),
    ];
    for (target, words) in forbidden {
        let server = Server::saying("302 Found", &format!("location: {target}"));
        let (reason, message) = refused_by(&server).await;
        let start = format!("`localhost` redirects to an address that is not fetched: {words}");
        assert_eq!(reason, Reason::Rejected, "{target}: {message}");
        assert!(message.starts_with(&start) && !message.contains("me:pass"), "{target}: {message}");
    }
    assert!(secret.heads().is_empty(), "it was never asked");
}

#[tokio::test]
async fn a_name_reaches_nothing_private() {
    let secret = Server::sending(&[ok(6).as_bytes(), b"secret"]);
    let strict = downloads(&["images.example"], false, PATIENT);
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1", "127.0.0.1."] {
        let (reason, message) = refused(&strict, &format!("http://{host}:{}/?{QUERY}", secret.port)).await;
        assert_eq!(reason, Reason::Rejected, "{host}: {message}");
        assert!(message.contains("which is not public; `--image-host` would permit the host"), "{host}: {message}");
    }
    let (reason, _) = refused(&strict, "ftp://x.example/1.png").await;
    assert_eq!(reason, Reason::Rejected);
    assert!(secret.heads().is_empty(), "it was never asked");
}

#[tokio::test]
async fn a_redirect_by_name_reaches_nothing_private() {
    // Known by its address only, so that its name has to be resolved like any other.
    let secret = Server::sending(&[ok(6).as_bytes(), b"secret"]);
    let server = Server::saying("307 Temporary Redirect", &format!("location: {}", secret.url()));
    let downloads = downloads(&["127.0.0.1"], false, PATIENT);
    let (reason, message) = refused(&downloads, &format!("http://127.0.0.1:{}/?{QUERY}", server.port)).await;
    assert_eq!(reason, Reason::Rejected, "{message}");
    assert!(message.starts_with("not fetched: `localhost` is "), "{message}");
    assert_eq!((server.heads().len(), secret.heads().len()), (1, 0));
}

#[tokio::test]
async fn the_sandbox_reaches_this_machine() {
    let server = Server::sending(&[ok(1).as_bytes(), b"x"]);
    let sandbox = downloads(&[], true, PATIENT);
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let (reading, _) = fetch(&sandbox, &format!("http://{host}:{}/", server.port)).await;
        assert_eq!(reading.found, Found::Known(1), "{host}: {reading:?}");
    }
    assert_eq!(refused(&sandbox, "http://10.0.0.1/").await.0, Reason::Rejected);
}

#[tokio::test]
async fn five_redirects_are_followed_and_six_are_not() {
    // Each server of a chain leads to the one before it.
    let mut chain = vec![Server::sending(&[ok(1).as_bytes(), b"x"])];
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Again", "308 For Good", "302 Found"] {
        chain.push(Server::saying(status, &format!("location: {}", chain.last().unwrap().url())));
    }
    assert_eq!(fetch(&by_name(PATIENT), &chain[5].url()).await.0.found, Found::Known(1));
    let (reason, message) = refused_by(&chain[6]).await;
    assert_eq!((reason, &*message), (Reason::BadResponse, "`localhost` is behind more than 5 redirects"));
}

#[tokio::test]
async fn a_redirect_may_be_relative_but_must_be_a_url() {
    let count = AtomicUsize::new(0);
    let server = Server::new(move |stream| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let answer = if first {
            "HTTP/1.1 302 Found\r\nlocation: ../t/2.png\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        } else {
            &(ok(1) + "x")
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    assert_eq!(fetch(&by_name(PATIENT), &server.url()).await.0.found, Found::Known(1));
    assert!(server.heads()[1].starts_with("get /t/2.png "));
    let (reason, message) = refused_by(&Server::saying("302 Found", "location: http://a b/")).await;
    assert_eq!(reason, Reason::BadResponse, "{message}");
    assert!(message.starts_with("`localhost` redirects to what is not a URL: "), "{message}");
}

#[tokio::test]
async fn nobody_there_and_no_such_host_are_trouble_with_the_connection() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (reason, message) = refused(&by_name(PATIENT), &format!("http://localhost:{free}/?{QUERY}")).await;
    assert_eq!(reason, Reason::Connection, "{message}");
    let (reason, message) = refused(&by_name(PATIENT), &format!("https://no-such-host.invalid/?{QUERY}")).await;
    assert_eq!(reason, Reason::Connection, "{message}");
    assert!(message.starts_with("`no-such-host.invalid`: "), "{message}");
    let (reason, message) = refused(&by_name(PATIENT), "no url").await;
    assert_eq!((reason, &*message), (Reason::BadResponse, "the address is not a URL: relative URL without a base"));
}

#[tokio::test]
async fn a_full_disk_is_no_trouble_of_the_image_but_the_end() {
    let server = Server::sending(&[ok(10).as_bytes(), b"0123456789"]);
    let error = by_name(PATIENT).fetch(&server.url(), &mut Memory { bytes: Vec::new(), room: 4 }).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn what_is_no_host_name_is_refused_at_once() {
    let config = DownloadConfig {
        hosts: vec!["https://x.example".to_owned()],
        loopback_allowed: false,
        timeout: PATIENT,
        clock: Clock::start(),
    };
    let words = "`https://x.example` is not the name of a host; it stands without scheme, port and path";
    assert_eq!(Downloads::new(&config).unwrap_err().to_string(), words);
}

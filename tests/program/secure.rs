//! TLS, HTTP/2 and proxies: what an operator reads when they fail, and that the key goes to nobody but the service.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::story::{Batch, Ran};

/// A host that cannot be reached but by a proxy.
const HOST: &str = "api.cover.invalid";

const KEY: &str = "a-key-for-the-tests";

const ACCEPTED: &str = r#"{"code":200,"msg":"success","data":{"taskId":"c1"}}"#;

/// What a server shows of itself.
#[derive(Clone, Copy)]
enum Shown {
    Good,
    WrongName,
    Expired,
    NotYet,
    SelfSigned,
}

/// An authority, and a server's certificate of it.
struct Certificates {
    authority: String,
    config: Arc<ServerConfig>,
}

impl Certificates {
    fn of(shown: Shown, protocols: &[&[u8]]) -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.distinguished_name.push(DnType::CommonName, "the tests' authority");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let names = match shown {
            Shown::WrongName => vec!["other.example".to_owned()],
            Shown::Good | Shown::Expired | Shown::NotYet | Shown::SelfSigned => {
                vec!["localhost".to_owned(), HOST.to_owned()]
            }
        };
        let mut own = CertificateParams::new(names).unwrap();
        own.not_before = date_time_ymd(if matches!(shown, Shown::NotYet) { 2090 } else { 2020 }, 1, 1);
        own.not_after = date_time_ymd(if matches!(shown, Shown::Expired) { 2021 } else { 2099 }, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = match shown {
            Shown::SelfSigned => own.self_signed(&key).unwrap(),
            Shown::Good | Shown::WrongName | Shown::Expired | Shown::NotYet => own.signed_by(&key, &issuer).unwrap(),
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Self { authority: pem(issuer.der()), config: Arc::new(config) }
    }
}

/// A certificate as text.
fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "-----BEGIN CERTIFICATE-----".to_owned();
    for (nth, bytes) in der.chunks(3).enumerate() {
        if nth % 16 == 0 {
            text.push('\n');
        }
        let word = (0..3).fold(0, |word, at| word << 8 | usize::from(*bytes.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = char::from(DIGITS[word >> (18 - 6 * at) & 63]);
            text.push(if at > bytes.len() { '=' } else { digit });
        }
    }
    text + "\n-----END CERTIFICATE-----\n"
}

/// Each connection, handled by this; what it returns is noted.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(handle: impl Fn(TcpStream) -> io::Result<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), heard: Arc::default() };
        let heard = Arc::clone(&server.heard);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let note = handle(stream.unwrap()).unwrap_or_else(|error| format!("error: {error}"));
                heard.lock().unwrap().push(note);
            }
        });
        server
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Reads until it ends like this.
fn read_until(stream: &mut impl Read, end: &str) -> io::Result<String> {
    let (mut seen, mut block) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(end.as_bytes()) {
        match stream.read(&mut block)? {
            0 => return Err(io::Error::other(format!("ended after {}", seen.escape_ascii()))),
            length => seen.extend_from_slice(&block[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

fn secured(stream: TcpStream, config: &Arc<ServerConfig>) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
}

/// Answers one request over TLS.
fn accept(stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<String> {
    let mut stream = secured(stream, config);
    let request = read_until(&mut stream, "}")?;
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ACCEPTED}", ACCEPTED.len())?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(request)
}

/// A batch of one track, sent to this address, that gives up at the first trouble.
fn batch(address: &str, authority: &str) -> Batch {
    let batch = Batch::ids(["a1"]).to(address);
    fs::write(batch.path("authority.pem"), authority).unwrap();
    let file = batch.path("authority.pem");
    batch.env("SSL_CERT_FILE", file)
}

/// Runs it so that one refusal ends it.
fn run(batch: &Batch) -> Ran {
    batch.run(&["--max-outage", "1ms", "--max-attempts", "1", "--timeout", "5s"])
}

/// The words of the first row.
fn message(ran: &Ran) -> String {
    ran.table().rows(&["cover_status", "cover_reason", "cover_message", "cover_attempts"]).remove(0)
}

#[test]
fn a_certificate_that_cannot_be_trusted_stops_the_run_at_once_with_a_plain_sentence() {
    let table = [
        (Shown::WrongName, "it is for other.example"),
        (Shown::Expired, "it expired on 2021-01-01 (if not, this machine's clock is wrong)"),
        (Shown::NotYet, "it begins on 2090-01-01 (if not, this machine's clock is wrong)"),
        (Shown::SelfSigned, "this machine does not know its issuer, whose certificate SSL_CERT_FILE may name"),
    ];
    for (shown, words) in table {
        let certificates = Certificates::of(shown, &[b"http/1.1"]);
        let config = Arc::clone(&certificates.config);
        let server = Server::new(move |stream| accept(stream, &config));
        let batch = batch(&format!("https://localhost:{}", server.port), &certificates.authority);
        let sentence = format!("the certificate of `localhost` cannot be trusted: {words}");
        // The time that an outage may last does not matter.
        let ran = batch.run(&[]).exit(2).says(&sentence).says("next: check --api-url and the network between");
        assert!(message(&ran).starts_with("pending bad_response "), "{}", message(&ran));
        assert!(server.heard().iter().all(|note| note.starts_with("error: ")), "{:?}", server.heard());
    }
}

#[test]
fn a_server_that_speaks_no_tls_gets_nothing() {
    let authority = Certificates::of(Shown::Good, &[]).authority;
    let greetings: [&'static str; 3] = ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n", ""];
    for greeting in greetings {
        let server = Server::new(move |mut stream| {
            let mut seen = vec![0; 4096];
            let length = stream.read(&mut seen)?;
            stream.write_all(greeting.as_bytes())?;
            Ok(String::from_utf8_lossy(&seen[..length]).into_owned())
        });
        let batch = batch(&format!("https://localhost:{}", server.port), &authority);
        let message = message(&run(&batch).exit(4));
        assert!(message.starts_with("pending outage "), "{greeting:?}: {message}");
        assert!(server.heard().iter().all(|note| !note.contains("Bearer") && !note.contains(KEY)));
    }
}

/// A handshake that never ends is cut off as a connection that never stood: nothing was sent.
#[test]
fn a_server_that_never_answers_the_handshake_is_unavailable() {
    let server = Server::new(|mut stream| {
        while stream.read(&mut [0; 4096])? > 0 {}
        Ok(String::new())
    });
    let authority = Certificates::of(Shown::Good, &[]).authority;
    for _ in 0..3 {
        let batch = batch(&format!("https://localhost:{}", server.port), &authority);
        let ran = batch.run(&["--max-outage", "1ms", "--max-attempts", "1", "--timeout", "500ms"]).exit(4);
        let message = message(&ran);
        assert!(message.starts_with("pending outage "), "{message}");
    }
}

#[test]
fn a_server_that_prefers_http_2_is_spoken_to_in_http_1() {
    let certificates = Certificates::of(Shown::Good, &[b"h2", b"http/1.1"]);
    let config = Arc::clone(&certificates.config);
    let server = Server::new(move |stream| accept(stream, &config));
    let batch = batch(&format!("https://localhost:{}", server.port), &certificates.authority);
    assert_eq!(message(&run(&batch).exit(0)), "submitted accepted success 1");
    let heard = server.heard();
    assert!(heard.len() == 1 && heard[0].starts_with("POST /api/v1/suno/cover/generate HTTP/1.1\r\n"), "{heard:?}");
}

/// A proxy that answers CONNECT so, and then is the service itself.
fn proxy(answer: &'static str, certificates: &Certificates) -> Server {
    let config = Arc::clone(&certificates.config);
    Server::new(move |mut stream| {
        let asked = read_until(&mut stream, "\r\n\r\n")?;
        stream.write_all(answer.as_bytes())?;
        if answer.contains(" 200 ") {
            let request = accept(stream, &config)?;
            assert!(request.contains(KEY), "{request}");
        }
        Ok(asked)
    })
}

#[test]
fn a_proxy_named_in_the_environment_is_used_and_never_sees_the_key() {
    let certificates = Certificates::of(Shown::Good, &[b"http/1.1"]);
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = proxy("HTTP/1.1 200 Connected\r\n\r\n", &certificates);
        let address = format!("http://user:secret@127.0.0.1:{}", proxy.port);
        let batch = batch(&format!("https://{HOST}"), &certificates.authority).env(name, address);
        let ran = run(&batch).exit(0);
        assert_eq!(message(&ran), "submitted accepted success 1", "{name}");
        let heard = proxy.heard().concat();
        assert!(heard.starts_with(&format!("CONNECT {HOST}:443 HTTP/1.1\r\n")), "{name}: {heard}");
        assert!(heard.contains("asic dXNlcjpzZWNyZXQ=") && !heard.contains(KEY), "{name}: {heard}");
    }
}

#[test]
fn a_proxy_is_left_out_where_it_is_not_meant() {
    let certificates = Certificates::of(Shown::Good, &[b"http/1.1"]);
    let cases: [&[(&str, &str)]; 6] = [
        &[("HTTP_PROXY", "")],
        &[("http_proxy", "")],
        &[("HTTPS_PROXY", ""), ("NO_PROXY", HOST)],
        &[("https_proxy", ""), ("no_proxy", "x.example, .cover.invalid")],
        &[("ALL_PROXY", ""), ("NO_PROXY", "*")],
        &[("HTTPS_PROXY", ""), ("no_proxy", "cover.invalid")],
    ];
    for variables in cases {
        let proxy = proxy("HTTP/1.1 200 Connected\r\n\r\n", &certificates);
        let address = format!("http://127.0.0.1:{}", proxy.port);
        let mut batch = batch(&format!("https://{HOST}"), &certificates.authority);
        for (name, value) in variables {
            batch = batch.env(name, if value.is_empty() { address.as_str() } else { *value });
        }
        let message = message(&run(&batch).exit(4));
        assert!(message.starts_with("pending outage ") && message.contains("dns"), "{variables:?}: {message}");
        assert_eq!(proxy.heard(), [""; 0], "{variables:?}");
    }
    // This machine itself is never reached through a proxy.
    let config = Arc::clone(&certificates.config);
    let server = Server::new(move |stream| accept(stream, &config));
    let proxy = proxy("HTTP/1.1 200 Connected\r\n\r\n", &certificates);
    let batch = batch(&format!("https://localhost:{}", server.port), &certificates.authority);
    run(&batch.env("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port))).exit(0);
    assert_eq!(proxy.heard(), [""; 0]);
}

#[test]
fn a_proxy_that_refuses_makes_the_service_unavailable() {
    let certificates = Certificates::of(Shown::Good, &[b"http/1.1"]);
    for answer in [
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\noops",
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\n\r\n",
        "garbage\r\n\r\n",
        "",
    ] {
        let proxy = proxy(answer, &certificates);
        let address = format!("http://127.0.0.1:{}", proxy.port);
        let batch = batch(&format!("https://{HOST}"), &certificates.authority).env("HTTPS_PROXY", address);
        let message = message(&run(&batch).exit(4));
        assert!(message.starts_with("pending outage "), "{answer:?}: {message}");
        assert!(!proxy.heard().concat().contains(KEY), "{answer:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let batch =
        batch(&format!("https://{HOST}"), &certificates.authority).env("HTTPS_PROXY", format!("http://{nobody}"));
    let message = message(&run(&batch).exit(4));
    assert!(message.contains("Connection refused"), "{message}");
}

#[test]
fn a_proxy_that_is_not_to_be_reached_is_named_without_its_password() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let certificates = Certificates::of(Shown::Good, &[b"http/1.1"]);
    let address = format!("socks5h://me:secret@{nobody}");
    let batch = batch(&format!("https://{HOST}"), &certificates.authority).env("ALL_PROXY", address);
    let message = message(&run(&batch).exit(4));
    assert!(message.contains(&format!("ALL_PROXY is socks5h://***@{nobody}")), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn a_proxy_that_wants_a_password_stops_the_run_at_once() {
    let certificates = Certificates::of(Shown::Good, &[b"http/1.1"]);
    let proxy = proxy("HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n", &certificates);
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let batch = batch(&format!("https://{HOST}"), &certificates.authority).env("HTTPS_PROXY", address);
    batch.run(&[]).exit(2).says(&format!("the proxy before `{HOST}` wants a user name and a password (HTTP 407)"));
}

/// A proxy of the kind SOCKS5 (RFC 1928), without a password, that then is the service itself.
fn socks_proxy(certificates: &Certificates) -> Server {
    let config = Arc::clone(&certificates.config);
    Server::new(move |mut stream| {
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting)?;
        stream.write_all(&[5, 0])?;
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        assert_eq!(head[..4], [5, 1, 0, 3], "a connection to a name");
        let mut host = vec![0; usize::from(head[4]) + 2];
        stream.read_exact(&mut host)?;
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
        accept(stream, &config)?;
        Ok(String::from_utf8_lossy(&host[..host.len() - 2]).into_owned())
    })
}

#[test]
fn a_socks_proxy_is_used_and_looks_the_name_up_itself() {
    let certificates = Certificates::of(Shown::Good, &[b"http/1.1"]);
    for name in ["HTTPS_PROXY", "ALL_PROXY"] {
        let proxy = socks_proxy(&certificates);
        let address = format!("socks5h://127.0.0.1:{}", proxy.port);
        let batch = batch(&format!("https://{HOST}"), &certificates.authority).env(name, address);
        assert_eq!(message(&run(&batch).exit(0)), "submitted accepted success 1", "{name}");
        assert_eq!(proxy.heard(), [HOST]);
    }
}

#[test]
fn a_proxy_that_cannot_be_understood_is_an_error_and_no_way_around_it() {
    for (name, value, masked) in [
        ("HTTPS_PROXY", "http://user:secret@proxy:port", "http://***@proxy:port"),
        ("https_proxy", "ftp://user:secret@proxy", "ftp://***@proxy"),
        ("ALL_PROXY", "socks://user:secret@proxy", "socks://***@proxy"),
        ("HTTP_PROXY", "http://", "http://"),
    ] {
        let batch = Batch::ids(["a1"]).to(&format!("https://{HOST}")).env(name, value);
        let ran = run(&batch).exit(2).says(&format!("error: {name} names no usable proxy: `{masked}`"));
        assert!(!ran.stderr.contains("secret") && ran.stderr.contains("\nhint: "), "{}", ran.stderr);
        batch.run(&["--sandbox"]).exit(0).silent();
    }
}

#[test]
fn certificates_that_are_named_and_not_there_are_an_error_that_names_them() {
    for (name, value) in [("SSL_CERT_FILE", "missing.pem"), ("SSL_CERT_FILE", "songs.csv"), ("SSL_CERT_DIR", "missing")]
    {
        let batch = Batch::ids(["a1"]).to(&format!("https://{HOST}")).env(name, value);
        let ran = run(&batch).exit(2);
        ran.says(&format!("error: {name} names no certificates that can be used: `{value}`\n  caused by: "));
        batch.run(&["--sandbox"]).exit(0).silent();
    }
}

/// As in a container without the package `ca-certificates`.
#[test]
fn a_machine_without_certificates_of_authorities_is_told_what_to_do() {
    let batch = Batch::ids(["a1"]).to("https://localhost:1");
    fs::create_dir(batch.path("empty")).unwrap();
    let batch = batch.env("SSL_CERT_DIR", "empty");
    let ran = run(&batch).exit(2).says("cannot set up the HTTPS client").says("No CA certificates were loaded");
    assert!(ran.stderr.ends_with("or name a file of them in SSL_CERT_FILE\n"), "{}", ran.stderr);
    batch.run(&["--sandbox"]).exit(0).silent();
}

#[test]
fn a_monitor_that_cannot_be_called_for_want_of_certificates_is_not_taken_for_a_bad_url() {
    let batch = Batch::ids(["a1"]).env("SSL_CERT_FILE", "missing.pem");
    let ran = batch.run(&["--sandbox", "--ping-url", "https://monitor.example/x"]).exit(2);
    ran.says("SSL_CERT_FILE names no certificates that can be used: `missing.pem`");
    batch.run(&["--sandbox", "--ping-url", "http://127.0.0.1:9/x"]).exit(0);
}

#[test]
fn passwords_and_queries_of_urls_are_masked_wherever_they_are_shown() {
    let table: [&[&str]; 5] = [
        &["--api-url", "https://user:canary@api.example"],
        &["--api-url", "https://api.example?key=canary"],
        &["--ping-url", "ftp://user:canary@monitor.example/?key=canary"],
        &["--callback-url", "ftp://user:canary@label.example/?key=canary"],
        &["--callback-url", "user:canary@label.example"],
    ];
    for options in table {
        let batch = Batch::ids(["a1"]).env("SUNO_API_KEY", KEY);
        let inert: &[&str] = if options[0] == "--callback-url" { &[] } else { &["--no-callback"] };
        let ran = batch.run(&[options, inert].concat()).exit(2).says(&format!("{} `", options[0])).says("***");
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    }
    let callback = "https://user:canary@label.example/hook/{task_id}?key=canary";
    let ran = Batch::ids(["a1"]).run(&["--sandbox", "--dry-run", "--callback-url", callback]).exit(0);
    let ran = ran.prints(r#""callBackUrl":"https://***@label.example/hook/a1?***""#);
    assert!(!ran.stdout.contains("canary"), "{}", ran.stdout);
}

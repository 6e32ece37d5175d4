//! Real sockets that send too slowly, too much, or read nothing: they are let go, and others are answered meanwhile.

use std::{net::SocketAddr, time::Duration};

use qd_server::{EdgeOptions, Times};
use qd_testkit::eventually;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, interval, timeout},
};

use crate::http::support::{TestServer, answer};

const LONG: Duration = Duration::from_secs(30);

fn quick() -> EdgeOptions {
    let times = Times {
        head: Duration::from_millis(600),
        pause: Duration::from_millis(500),
        body: Duration::from_millis(1_500),
        write: Duration::from_millis(700),
        ..Times::default()
    };
    EdgeOptions { times, ..EdgeOptions::default() }
}

/// From an address of this machine's own.
async fn connect(server: &TestServer, from: [u8; 4]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(server.address).await
}

/// What comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = vec![];
    // A reset ends it as well.
    let _ = timeout(LONG, stream.read_to_end(&mut text)).await.expect("the server lets go of it");
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends a byte every 100 ms until nobody takes them; how long that was.
async fn drip(mut stream: TcpStream, head: &str) -> (Duration, String) {
    let (began, mut ticks) = (Instant::now(), interval(Duration::from_millis(100)));
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut text = vec![];
    let closed = async {
        let _ = read.read_to_end(&mut text).await;
    };
    let dripping = async {
        loop {
            ticks.tick().await;
            if write.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = closed => {}
        () = dripping => {}
        () = tokio::time::sleep(LONG) => panic!("the server waits for who drips"),
    }
    (began.elapsed(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn a_head_that_drips_is_not_waited_for() {
    let server = TestServer::with_edge(quick()).await;
    let stream = connect(&server, [127, 0, 0, 1]).await.unwrap();
    let (took, _) = drip(stream, "GET /health HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(server.get("/health").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_drips_is_not_waited_for() {
    let server = TestServer::with_edge(quick()).await;
    let head = format!(
        "POST /api/v1/apply HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100000\r\n\r\n",
        server.token
    );
    let (took, said) = drip(connect(&server, [127, 0, 0, 1]).await.unwrap(), &head).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("body_too_slow"), "{said}");
    // It never paused for long: it is the time for the whole that ended it.
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let mut stream = connect(&server, [127, 0, 0, 1]).await.unwrap();
    stream.write_all(format!("{head}half").as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("body_too_slow"), "{said}");
}

#[tokio::test]
async fn a_thousand_idle_connections_keep_nobody_out_and_end() {
    let mut options = quick();
    options.times.head = Duration::from_secs(20);
    options.max_connections = 2_000;
    let server = TestServer::with_edge(options).await;
    let mut idle = vec![];
    for _ in 0..1_020 {
        idle.push(connect(&server, [127, 0, 0, 2]).await.unwrap());
    }
    let one = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    // One address leaves room for others, however many connections it makes.
    let mut other = connect(&server, [127, 0, 0, 3]).await.unwrap();
    other.write_all(one.as_bytes()).await.unwrap();
    let said = rest(&mut other).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    // A further one of it is told so.
    let mut further = connect(&server, [127, 0, 0, 2]).await.unwrap();
    further.write_all(one.as_bytes()).await.unwrap();
    let said = rest(&mut further).await;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("too_many_connections"), "{said}");
    assert!(said.contains("retry-after: "), "{said}");
    let metrics = server.client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("qd_http_connections_refused_total 21"), "{metrics}");
    drop(idle);
    // What has ended is free again.
    eventually("a place is free", async || {
        let mut again = connect(&server, [127, 0, 0, 2]).await.unwrap();
        again.write_all(one.as_bytes()).await.unwrap();
        rest(&mut again).await.starts_with("HTTP/1.1 200 ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_ends_by_itself() {
    let server = TestServer::with_edge(quick()).await;
    let mut stream = connect(&server, [127, 0, 0, 1]).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[tokio::test]
async fn who_stops_reading_is_let_go() {
    let server = TestServer::with_edge(quick()).await;
    let mut stream = connect(&server, [127, 0, 0, 1]).await.unwrap();
    // Answers that fill every buffer on the way: none of them is read.
    let one = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    let filling = async { while stream.write_all(one.as_bytes()).await.is_ok() {} };
    timeout(LONG, filling).await.expect("the server breaks the connection off");
    assert_eq!(server.get("/health").await.0, StatusCode::OK);
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_with_words() {
    let server = TestServer::start().await;
    let get = |path: String| server.request(Method::GET, &path);
    let (status, problem) = answer(get(format!("/api/v1/events?x={}", "x".repeat(9_000)))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::URI_TOO_LONG, &json!("uri_too_long")));
    let (status, problem) = answer(get("/api/v1/me".into()).header("x-large", "x".repeat(40_000))).await;
    let too_large = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &json!("headers_too_large"));
    assert_eq!((status, &problem["code"]), too_large);
    let many = (0..120).fold(get("/api/v1/me".into()), |request, n| request.header(format!("x-{n}"), "x"));
    let (status, problem) = answer(many).await;
    assert_eq!((status, &problem["code"]), too_large);
    // Beyond that it is not even read.
    let mut stream = connect(&server, [127, 0, 0, 1]).await.unwrap();
    let head = format!("GET /health HTTP/1.1\r\nhost: x\r\nx-huge: {}\r\n\r\n", "x".repeat(200_000));
    // The other side may have closed before it took all of it.
    let _ = stream.write_all(head.as_bytes()).await;
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    let (status, problem) = answer(get("/api/v1/samples/a%00b".into())).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_path")));
}

#[tokio::test]
async fn packed_and_large_bodies_are_refused() {
    let server = TestServer::start().await;
    for encoding in ["gzip", "br", "zstd", "deflate", "identity, gzip"] {
        let request = server.request(Method::POST, "/api/v1/apply").header("content-encoding", encoding);
        let (status, problem) = answer(request.body(vec![0x1f, 0x8b, 8, 0])).await;
        let refused = (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!("content_encoding_unsupported"));
        assert_eq!((status, &problem["code"]), refused, "{encoding}");
    }
    // What gives a session takes a name and a password, and nothing large.
    let body = json!({ "name": "x".repeat(20_000), "password": "x" });
    let (status, problem) = answer(server.client.post(server.url("/api/v1/auth/sign-in")).json(&body)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("body_too_large")));
}

#[tokio::test]
async fn a_message_with_two_ends_is_refused() {
    let server = TestServer::start().await;
    for lengths in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: xchunked",
    ] {
        let mut stream = connect(&server, [127, 0, 0, 1]).await.unwrap();
        let head = format!(
            "POST /api/v1/auth/sign-in HTTP/1.1\r\nhost: x\r\n{lengths}\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 400 ") && !said.contains("alive"), "{lengths}: {said}");
    }
}

#[tokio::test]
async fn methods_that_no_route_has_are_refused() {
    let server = TestServer::start().await;
    for method in ["TRACE", "CONNECT", "TRACK", "PROPFIND"] {
        for path in ["/health", "/api/v1/me", "/"] {
            let mut stream = connect(&server, [127, 0, 0, 1]).await.unwrap();
            let head =
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\nx-echo: canary\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let said = rest(&mut stream).await;
            assert!(said.starts_with("HTTP/1.1 4") && !said.contains("canary"), "{method} {path}: {said}");
        }
    }
}

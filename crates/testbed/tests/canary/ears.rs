//! Who listens to what a server says by itself: its streams, and its messages on NATS.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use futures::StreamExt as _;

use crate::api::Api;

/// Server-sent events of several addresses.
#[derive(Clone, Default)]
pub struct StreamEar(Arc<Mutex<String>>);

impl StreamEar {
    pub fn listen(api: &Api, paths: &[&str]) -> Self {
        let ear = Self::default();
        for path in paths {
            let request = reqwest::Client::new().get(format!("{}{path}", api.url)).bearer_auth(&api.token);
            let (request, ear) = (request.header("accept", "text/event-stream"), ear.clone());
            tokio::spawn(async move {
                let reply = request.send().await.expect("open a stream");
                assert!(reply.status().is_success(), "{}", reply.status());
                let mut body = reply.bytes_stream();
                while let Some(Ok(piece)) = body.next().await {
                    ear.0.lock().expect("what was heard").push_str(&String::from_utf8_lossy(&piece));
                }
            });
        }
        ear
    }

    pub fn heard(&self) -> String {
        self.0.lock().expect("what was heard").clone()
    }
}

/// Every message on every subject, as its bytes came.
pub struct NatsEar(Arc<Mutex<Vec<u8>>>);

impl NatsEar {
    pub fn listen(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect to NATS");
        stream
            .write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB > 1\r\nPING\r\n")
            .expect("subscribe");
        let heard = Arc::new(Mutex::new(vec![]));
        let ear = heard.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 65_536];
            while let Ok(read @ 1..) = stream.read(&mut piece) {
                ear.lock().expect("what was heard").extend_from_slice(&piece[..read]);
                if piece[..read].windows(6).any(|window| window == b"PING\r\n") {
                    let _ = stream.write_all(b"PONG\r\n");
                }
            }
        });
        Self(heard)
    }

    pub fn heard(&self) -> Vec<u8> {
        self.0.lock().expect("what was heard").clone()
    }
}

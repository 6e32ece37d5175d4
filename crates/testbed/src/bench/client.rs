//! HTTP/1.1 over one kept connection, with as little of its own as can be: a client that costs as much as the server
//! halves every figure and hides what differs.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::Fallible;

pub struct Connection {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
}

pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body of a success; an error with what the server said else.
    pub fn json(&self) -> Fallible<Value> {
        if !(200..300).contains(&self.status) {
            return Err(format!("HTTP {}: {}", self.status, String::from_utf8_lossy(&self.body)).into());
        }
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// What the head of a reply says of its body.
struct Head {
    status: u16,
    length: Option<usize>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Fallible<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), line: Vec::new() })
    }

    /// Sends the bytes of [`request`] and reads the reply.
    pub async fn send(&mut self, request: &[u8]) -> Fallible<Reply> {
        self.stream.get_mut().write_all(request).await?;
        let head = self.head().await?;
        let length = head.length.ok_or("a reply without a content-length")?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Reply { status: head.status, body })
    }

    /// Sends a request whose reply is a stream of server-sent events.
    pub async fn events(mut self, request: &[u8]) -> Fallible<Events> {
        self.stream.get_mut().write_all(request).await?;
        let head = self.head().await?;
        if head.status != 200 || head.length.is_some() {
            return Err(format!("HTTP {} in place of a stream", head.status).into());
        }
        Ok(Events { connection: self, text: Vec::new() })
    }

    async fn head(&mut self) -> Fallible<Head> {
        self.line().await?;
        let status = self.line.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let mut head = Head { status: status.ok_or("a reply that is not HTTP")?, length: None };
        loop {
            self.line().await?;
            if self.line.is_empty() {
                return Ok(head);
            }
            if let Some((name, value)) = self.line.split_at_checked(15)
                && name.eq_ignore_ascii_case(b"content-length:")
            {
                head.length = std::str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Fallible<()> {
        self.line.clear();
        if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
            return Err("the server closed the connection".into());
        }
        self.line.truncate(self.line.trim_ascii_end().len());
        Ok(())
    }
}

/// The reading end of a stream of server-sent events.
pub struct Events {
    connection: Connection,
    text: Vec<u8>,
}

impl Events {
    /// The next event's name and data; comments are passed over.
    pub async fn next(&mut self) -> Fallible<(String, Value)> {
        loop {
            while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let frame = String::from_utf8(self.text.drain(..end + 2).collect())?;
                let field =
                    |name| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
                if let (Some(event), Some(data)) = (field("event:"), field("data:")) {
                    return Ok((event.to_owned(), serde_json::from_str(data)?));
                }
            }
            self.chunk().await?;
        }
    }

    async fn chunk(&mut self) -> Fallible<()> {
        self.connection.line().await?;
        let size = usize::from_str_radix(std::str::from_utf8(&self.connection.line)?, 16)?;
        if size == 0 {
            return Err("the stream has ended".into());
        }
        let start = self.text.len();
        self.text.resize(start + size, 0);
        self.connection.stream.read_exact(&mut self.text[start..]).await?;
        self.connection.line().await
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Vec<u8> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n", body.len());
    if !body.is_empty() {
        text.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(&body);
    text.into_bytes()
}

/// A connection of somebody who is signed in.
pub struct Client {
    connection: Connection,
    authorization: String,
}

impl Client {
    pub async fn open(address: SocketAddr, token: &str) -> Fallible<Self> {
        Ok(Self { connection: Connection::open(address).await?, authorization: format!("Bearer {token}") })
    }

    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Vec<u8> {
        request(method, path, &[&[("authorization", self.authorization.as_str())], headers].concat(), body)
    }

    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Fallible<Reply> {
        let bytes = self.request(method, path, headers, body);
        self.send(&bytes).await
    }

    pub async fn send(&mut self, request: &[u8]) -> Fallible<Reply> {
        self.connection.send(request).await
    }

    pub async fn get(&mut self, path: &str) -> Fallible<Value> {
        self.call("GET", path, &[], None).await?.json()
    }

    pub async fn events(self, path: &str) -> Fallible<Events> {
        let bytes = self.request("GET", path, &[("accept", "text/event-stream")], None);
        self.connection.events(&bytes).await
    }
}

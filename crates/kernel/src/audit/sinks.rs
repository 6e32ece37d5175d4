//! Checkpoints on their way outside, where whoever owns the database cannot reach them: a folder, a bucket, a web address.
//!
//! Each sink is a position in the checkpoints, in the database, and goes on behind what it took. Nothing is sent that a listed key
//! did not sign, and nothing is put over what is there: a repeat finds the same bytes under the same name, and other bytes are an
//! alarm, at which that sink stands still. A new one begins with the newest checkpoint of each chain. What is away is tried again with growing pauses and
//! holds nothing up: its age and its reason stand in `/ready` and `/metrics`.

use std::net::IpAddr;
use std::time::Duration;

use object_store::{ObjectStoreExt as _, PutMode};
use qd_core::audit::{Checkpoint, PublicKey, Signed};
use qd_core::error::{Error, Result};
use reqwest::{Client, Url, redirect};
use tokio_util::sync::CancellationToken;

use crate::{
    kernel::Kernel,
    objects::{self, Objects, said_shortly},
    params,
};

const POLL: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_mins(5);
/// One request to a web address.
const LIMIT: Duration = Duration::from_secs(10);
/// Checkpoints read at once.
const BATCH: i64 = 100;
/// Bytes of what lies under a checkpoint's name that are compared with it.
const LONGEST: u64 = 16 * 1024;

/// A place outside.
pub(crate) struct Sink {
    /// Its address, without what signs in to it: what it is called in the database, in `/ready` and in metrics.
    pub name: String,
    place: Place,
}

enum Place {
    Objects(Box<Objects>),
    Web { client: Client, url: Url },
}

/// A checkpoint that a sink does not have.
struct Parcel {
    number: i64,
    body: String,
}

impl Sink {
    /// # Errors
    /// `audit_sink_url` for an address that cannot be one. A place that is away is met later.
    pub fn open(url: &str, s3_keys: Option<(String, String)>) -> Result<std::sync::Arc<Self>> {
        let wrong =
            |what: String| Error::malformed("audit_sink_url", format!("the audit sink's URL: {what}"));
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let sink = match scheme {
            Some("file" | "s3") => {
                let objects = objects::open(url, s3_keys.as_ref()).map_err(wrong)?;
                Self { name: objects.name.clone(), place: Place::Objects(Box::new(objects)) }
            }
            Some("https" | "http") => {
                let url: Url = url.parse().map_err(|error| wrong(format!("{error}")))?;
                if url.scheme() == "http" && !is_loopback(&url) {
                    return Err(wrong("http is for this machine alone; use https".into()));
                }
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                let name =
                    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
                Self { name, place: Place::Web { client: client(&url).map_err(wrong)?, url } }
            }
            _ => return Err(wrong("it is file:///folder, s3://bucket/prefix or https://…".into())),
        };
        Ok(sink.into())
    }

    /// Hands one checkpoint over, if one of these keys signed it. A repeat changes nothing, and what is there stays.
    async fn deliver(&self, body: &str, keys: &[PublicKey]) -> Result<(), String> {
        let signed = Signed::<Checkpoint>::read(body.as_bytes())?;
        if !keys.iter().any(|key| signed.is_by(key)) {
            return Err(format!(
                "the checkpoint of record {} of {} is not what was signed: it was changed in the database",
                signed.statement.seq, signed.statement.chain
            ));
        }
        match &self.place {
            Place::Objects(objects) => {
                let (chain, seq) = (signed.statement.chain.to_string(), signed.statement.seq);
                let path = chain.split('/').fold(objects.prefix.clone(), |path, part| path.join(part));
                let path = path.join(format!("{seq:012}.json"));
                let line = format!("{body}\n").into_bytes();
                match objects.store.put_opts(&path, line.clone().into(), PutMode::Create.into()).await {
                    Ok(_) => Ok(()),
                    Err(object_store::Error::AlreadyExists { .. }) => {
                        let there = objects.store.get_range(&path, 0..LONGEST).await;
                        match there.map_err(|error| said_shortly(&error))? == line {
                            true => Ok(()),
                            false => Err(format!(
                                "{path} is there already and says something else: the database or that place was changed"
                            )),
                        }
                    }
                    Err(error) => Err(said_shortly(&error)),
                }
            }
            Place::Web { client, url } => {
                let request =
                    client.post(url.clone()).header("content-type", "application/json").body(body.to_owned());
                // The address may hold what signs in to it: the error is told without.
                let reply = request.send().await.map_err(|error| innermost(&error.without_url()))?;
                match reply.status().is_success() {
                    true => Ok(()),
                    false => Err(format!("it answered {}", reply.status())),
                }
            }
        }
    }
}

fn client(url: &Url) -> Result<Client, String> {
    // The client wants to know its cryptography even where nothing is encrypted; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .timeout(LIMIT)
        .connect_timeout(LIMIT / 2)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // No TLS is spoken, so a machine without root certificates is no obstacle.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| innermost(&error))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string().chars().take(200).collect()
}

impl Kernel {
    /// Runs until cancelled, one for each sink.
    pub(crate) async fn audit_sink_run(self, sink: std::sync::Arc<Sink>, stop: CancellationToken) {
        let duty = format!("audit_sink:{}", sink.name);
        let mut retry = RETRY;
        while !stop.is_cancelled() {
            let called = self.audit.checked.notified();
            let sent = async {
                match self.duty_take(&duty).await? {
                    true => self.audit_send(&sink).await,
                    false => Ok(true),
                }
            };
            let wait = match sent.await {
                Ok(true) => {
                    retry = RETRY;
                    POLL
                }
                sent => {
                    if let Err(error) = sent {
                        tracing::warn!(sink = sink.name, %error, "send audit checkpoints: will try again");
                    }
                    retry = (retry * 2).min(RETRY_MOST);
                    retry
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                // A sink that is away is not asked more often because there is more for it.
                () = called, if wait == POLL => {}
            }
        }
        self.duties_leave().await;
    }

    /// Sends what the sink does not have; false where it does not take it now.
    async fn audit_send(&self, sink: &Sink) -> Result<bool> {
        let keys = self.audit_keys().await?;
        loop {
            let parcels = self.audit_parcels(&sink.name).await?;
            if parcels.is_empty() {
                return Ok(true);
            }
            for parcel in parcels {
                match sink.deliver(&parcel.body, &keys).await {
                    Ok(()) => self.audit_sent(&sink.name, parcel.number).await?,
                    Err(why) => {
                        self.audit_unsent(&sink.name, &why).await?;
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// What comes next for a sink. For a new one, the newest of each chain; its position is behind them then.
    async fn audit_parcels(&self, sink: &str) -> Result<Vec<Parcel>> {
        let sink = sink.to_owned();
        self.store
            .read(move |tx| -> Result<Vec<Parcel>> {
                // Below 0 where it never took anything.
                let position: Option<i64> = tx
                    .opt("SELECT number FROM audit_sink WHERE name = $1", params![sink], |row| row.get(0))?
                    .filter(|number| *number >= 0);
                let parcel = |row: &crate::store::Row<'_>| Ok(Parcel { number: row.get(0)?, body: row.get(1)? });
                Ok(match position {
                    Some(position) => tx.rows(
                        &format!("SELECT number, body FROM audit_checkpoint WHERE number > $1 ORDER BY number LIMIT {BATCH}"),
                        params![position],
                        parcel,
                    )?,
                    None => tx.rows(
                        "SELECT p.number, p.body FROM audit_chain c
                         JOIN audit_checkpoint p ON p.chain = c.chain AND p.seq = c.checked_seq ORDER BY p.number",
                        &[],
                        parcel,
                    )?,
                })
            })
            .await
    }

    async fn audit_sent(&self, sink: &str, number: i64) -> Result<()> {
        let sink = sink.to_owned();
        self.store
            .write(move |tx| -> Result<()> {
                tx.exec_later(
                    "INSERT INTO audit_sink (name, number, failures, error, failing_since) VALUES ($1, $2, 0, NULL, NULL)
                     ON CONFLICT (name) DO UPDATE SET number = excluded.number, failures = 0, error = NULL, failing_since = NULL
                     WHERE audit_sink.number < excluded.number",
                    params![sink, number],
                )?;
                Ok(())
            })
            .await
    }

    async fn audit_unsent(&self, sink: &str, why: &str) -> Result<()> {
        let (name, reason, now) = (sink.to_owned(), why.to_owned(), self.source.now());
        let first = self
            .store
            .write(move |tx| -> Result<bool> {
                let failures: i64 = tx.one(
                    "INSERT INTO audit_sink (name, number, failures, error, failing_since) VALUES ($1, -1, 1, $2, $3)
                     ON CONFLICT (name) DO UPDATE SET failures = audit_sink.failures + 1, error = excluded.error,
                       failing_since = COALESCE(audit_sink.failing_since, excluded.failing_since)
                     RETURNING failures",
                    params![name, reason, now],
                    |row| row.get(0),
                )?;
                Ok(failures == 1)
            })
            .await?;
        if first {
            tracing::warn!(sink, why, "the audit's checkpoints do not get there: will try again");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_is_refused_in_words_and_a_name_hides_what_signs_in() {
        for (url, words) in [
            ("audit", "file:///folder, s3://bucket/prefix or https://"),
            ("ftp://host/x", "file:///folder, s3://bucket/prefix or https://"),
            ("http://example.org/x", "use https"),
            ("s3:///prefix", "names no bucket"),
        ] {
            let error = Sink::open(url, None).err().unwrap();
            assert_eq!(error.code, "audit_sink_url");
            assert!(error.detail.contains(words), "{url}: {}", error.detail);
        }
        let named = |url: &str| Sink::open(url, None).unwrap().name.clone();
        assert_eq!(
            named("https://me:secret@example.org:8443/take?key=secret"),
            "https://example.org:8443/take"
        );
        assert_eq!(named("http://127.0.0.1:9/x"), "http://127.0.0.1:9/x");
    }
}

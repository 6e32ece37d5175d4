//! The bus between processes: NATS.
//!
//! Calls and progress go at most once, to whoever listens now: a lost one costs a poll's delay and nothing else. Events
//! go to a JetStream stream besides ([`crate::events::outlet`]), for readers outside. While NATS is away this process
//! works on by polling; when it comes back the connection is made again by itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use futures::StreamExt as _;
use qd_core::{
    error::{Error, Result},
    id::{JobId, ProjectId, RunId, TenantId},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{sync::broadcast::error::RecvError, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Bus, Call, JobMoved, Link, Progress};
use crate::{context::Scope, kernel::Kernel, roles::Role};

const CONNECT: Duration = Duration::from_secs(5);
/// How long calls are gathered by a process that can do itself what it calls for: it has most often begun when others look.
/// Readers elsewhere hear of events as much later.
const GATHER: Duration = Duration::from_millis(3);
/// How long moves of jobs are gathered, for people who watch.
const MOVES: Duration = Duration::from_millis(50);
/// Jobs in one message at most.
const TOGETHER: usize = 1000;
const AGAIN_MOST: Duration = Duration::from_secs(5);
/// For what a stopping process still has to say.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Where the bus between processes is.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// `nats://host:port`, `tls://…`; several, with commas between them, are one cluster.
    pub url: String,
    /// A `.creds` file, where the server wants one.
    pub credentials: Option<std::path::PathBuf>,
}

/// A connection that makes itself again, and the subjects that this database uses on it.
#[derive(Clone)]
pub(crate) struct Nats {
    pub client: Client,
    pub installation: Uuid,
}

/// A call, with whose it is.
#[derive(Serialize, Deserialize)]
struct Called {
    from: Uuid,
    call: Call,
}

#[derive(Serialize, Deserialize)]
struct Seen {
    from: Uuid,
    tenant_id: TenantId,
    project_id: ProjectId,
    run_id: RunId,
    progress: Option<Value>,
    serving: Option<Value>,
}

/// Jobs that came to another of their steps.
#[derive(Serialize, Deserialize)]
struct Moved {
    from: Uuid,
    jobs: Vec<MovedJob>,
}

#[derive(Serialize, Deserialize)]
struct MovedJob {
    tenant_id: TenantId,
    project_id: ProjectId,
    job_id: JobId,
}

impl Nats {
    /// Returns at once, whether the server can be reached or not.
    pub(crate) async fn connect(options: &NatsOptions, installation: Uuid, bus: &Bus) -> Result<Self> {
        let wrong = |what: String| Error::malformed("nats_url", format!("connect to NATS: {what}"));
        let servers = options
            .url
            .split(',')
            .map(|url| url.trim().parse::<async_nats::ServerAddr>())
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| wrong(error.to_string()))?;
        let named = named(&servers);
        bus.link.send_replace(Some(Link { connected: false, detail: format!("connecting to {named}") }));
        let link = bus.link.clone();
        let mut connect = ConnectOptions::new()
            .name("quarterdeck")
            .retry_on_initial_connect()
            .connection_timeout(CONNECT)
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(100).saturating_mul(1 << attempts.min(6)).min(AGAIN_MOST)
            })
            .event_callback(move |event| {
                let (link, named) = (link.clone(), named.clone());
                async move { note(&link, &named, &event) }
            });
        if let Some(file) = &options.credentials {
            connect = connect
                .credentials_file(file)
                .await
                .map_err(|error| wrong(format!("read {}: {error}", file.display())))?;
        }
        let client = connect.connect(servers).await.map_err(|error| wrong(error.to_string()))?;
        Ok(Self { client, installation })
    }

    fn subject(&self, what: &str) -> String {
        format!("qd.{}.{what}", self.installation.simple())
    }
}

/// The addresses without what signs in to them.
fn named(servers: &[async_nats::ServerAddr]) -> Arc<str> {
    let names: Vec<String> =
        servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect();
    names.join(", ").into()
}

fn note(link: &tokio::sync::watch::Sender<Option<Link>>, named: &str, event: &Event) {
    let (connected, detail) = match event {
        Event::Connected => (true, format!("connected to {named}")),
        Event::Disconnected | Event::Closed => {
            (false, format!("{named} cannot be reached; work goes on by polling"))
        }
        other => {
            tracing::warn!(event = %other, "NATS");
            return;
        }
    };
    let now = Some(Link { connected, detail });
    if link.send_if_modified(|link| std::mem::replace(link, now.clone()) != now) {
        match connected {
            true => tracing::info!(server = named, "connected to NATS"),
            false => tracing::warn!(server = named, "NATS cannot be reached; work goes on by polling"),
        }
    }
}

impl Kernel {
    /// Passes calls on to the other processes of this database, and takes theirs, until cancelled.
    pub(crate) async fn calls_run(self, nats: Nats, stop: CancellationToken) {
        let me = self.source.uuid();
        let gather = if self.options.roles.has(Role::Worker) { GATHER } else { Duration::ZERO };
        let (calls, progress, steps) = (nats.subject("call"), nats.subject("progress"), nats.subject("step"));
        loop {
            let subscribed = tokio::try_join!(
                nats.client.subscribe(calls.clone()),
                nats.client.subscribe(progress.clone()),
                nats.client.subscribe(steps.clone())
            );
            let (mut called, mut seen, mut stepped) = match subscribed {
                Ok(subscribed) => subscribed,
                Err(error) => {
                    tracing::error!(%error, "other processes are not heard any more: their calls are found by looking");
                    return;
                }
            };
            let (mut local, mut jobs) = (self.bus.follow_progress(), self.bus.follow_jobs());
            let mut moves: BTreeMap<JobId, JobMoved> = BTreeMap::new();
            let (mut moves_at, mut calls_at) = (None, None);
            loop {
                tokio::select! {
                    () = stop.cancelled() => {
                        if let Some(call) = self.bus.outgoing_now() {
                            send(&nats, &calls, &Called { from: me, call }).await;
                        }
                        // Without a connection there is nobody to hear it.
                        let _ = tokio::time::timeout(LAST_WORDS, nats.client.flush()).await;
                        return;
                    }
                    () = self.bus.outgoing(), if calls_at.is_none() => calls_at = Some(Instant::now() + gather),
                    () = until(calls_at) => {
                        calls_at = None;
                        if let Some(call) = self.bus.outgoing_now() {
                            send(&nats, &calls, &Called { from: me, call }).await;
                        }
                    }
                    () = until(moves_at) => {
                        moves_at = None;
                        let jobs = std::mem::take(&mut moves).into_values().map(MovedJob::of).collect();
                        send(&nats, &steps, &Moved { from: me, jobs }).await;
                    }
                    newest = local.recv() => match newest {
                        Ok(newest) if !newest.relayed => send(&nats, &progress, &Seen::of(me, newest)).await,
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    },
                    moved = jobs.recv() => match moved {
                        Ok(moved) if !moved.relayed && moves.len() < TOGETHER => {
                            moves_at = moves_at.or_else(|| Some(Instant::now() + MOVES));
                            moves.insert(moved.job_id, moved);
                        }
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    },
                    message = stepped.next() => {
                        let Some(message) = message else { break };
                        if let Ok(moved) = serde_json::from_slice::<Moved>(&message.payload)
                            && moved.from != me
                        {
                            moved.jobs.into_iter().for_each(|job| self.bus.job_seen(job.moved()));
                        }
                    }
                    message = called.next() => {
                        let Some(message) = message else { break };
                        match serde_json::from_slice::<Called>(&message.payload) {
                            Ok(called) if called.from != me => self.bus.incoming(called.call),
                            Ok(_) => {}
                            Err(error) => tracing::debug!(%error, "a call that cannot be read"),
                        }
                    }
                    message = seen.next() => {
                        let Some(message) = message else { break };
                        if let Ok(seen) = serde_json::from_slice::<Seen>(&message.payload)
                            && seen.from != me
                        {
                            self.bus.progress(seen.progress());
                        }
                    }
                }
            }
        }
    }
}

impl MovedJob {
    fn of(JobMoved { scope, job_id, .. }: JobMoved) -> Self {
        Self { tenant_id: scope.tenant_id, project_id: scope.project_id, job_id }
    }

    fn moved(self) -> JobMoved {
        let scope = Scope { tenant_id: self.tenant_id, project_id: self.project_id };
        JobMoved { scope, job_id: self.job_id, relayed: true }
    }
}

impl Seen {
    fn of(from: Uuid, newest: Progress) -> Self {
        Self {
            from,
            tenant_id: newest.scope.tenant_id,
            project_id: newest.scope.project_id,
            run_id: newest.run_id,
            progress: newest.progress,
            serving: newest.serving,
        }
    }

    fn progress(self) -> Progress {
        Progress {
            scope: Scope { tenant_id: self.tenant_id, project_id: self.project_id },
            run_id: self.run_id,
            progress: self.progress,
            serving: self.serving,
            relayed: true,
        }
    }
}

/// For ever where there is no time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// At most once: what cannot be sent now is not needed later.
async fn send(nats: &Nats, subject: &str, message: &impl Serialize) {
    let Ok(body) = serde_json::to_vec(message) else { return };
    // While there is no connection the client keeps a bounded number of messages; a call must not wait for room.
    let sent = nats.client.publish(subject.to_owned(), Bytes::from(body));
    match tokio::time::timeout(Duration::from_millis(100), sent).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "call other processes"),
        Err(_) => tracing::debug!("call other processes: no room"),
    }
}

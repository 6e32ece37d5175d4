//! `hello`: the floor's server. Bare axum over bare rusqlite does what the measured requests do and nothing of what makes
//! them worth having: no access check, no audit, no jobs, one commit for each write.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::sse::{Event, Sse},
    routing::get,
};
use futures::{Stream, StreamExt as _};
use qd_core::id::ResourceId;
use qd_kernel::{page::Page, runs::Run};
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, oneshot};
use tokio_stream::wrappers::BroadcastStream;
use uuid::Uuid;

use super::{Fallible, floor};

/// Serve the floor's answers
#[derive(Debug, clap::Args)]
pub struct HelloArgs {
    /// Read runs from this data folder, and write rows beside them
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Clone)]
struct Hello {
    readers: Arc<Vec<Mutex<Connection>>>,
    writes: Option<mpsc::Sender<Write>>,
    written: broadcast::Sender<i64>,
}

struct Write {
    text: String,
    answer: oneshot::Sender<i64>,
}

#[derive(Deserialize)]
struct ListQuery {
    project: Uuid,
    resource: Uuid,
    limit: u32,
}

type Answer<T> = Result<T, (StatusCode, String)>;

/// Prints its address as the first line and serves until killed.
pub async fn run(args: HelloArgs) -> Fallible<()> {
    let mut hello = Hello { readers: Arc::default(), writes: None, written: broadcast::Sender::new(1024) };
    if let Some(data) = args.data {
        let readers = std::thread::available_parallelism().map_or(1, usize::from);
        let open = |_| Ok(Mutex::new(open(&data.join("qd.db"))?));
        hello.readers = Arc::new((0..readers).map(open).collect::<Fallible<_>>()?);
        hello.writes = Some(writer(&data)?);
    }
    let router = Router::new()
        .route("/health", get(async || Json(json!({ "status": "alive" }))))
        .route("/runs", get(list).post(write))
        .route("/events", get(events))
        .with_state(hello);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    Ok(axum::serve(listener, router).await?)
}

fn open(path: &Path) -> Fallible<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.execute_batch("PRAGMA query_only=ON; PRAGMA cache_size=-8192")?;
    Ok(connection)
}

/// One thread, one row and one commit for each write.
fn writer(data: &Path) -> Fallible<mpsc::Sender<Write>> {
    let connection = Connection::open(data.join("floor.db"))?;
    connection.execute_batch(floor::PRAGMAS)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS run (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT",
    )?;
    let (sender, receiver) = mpsc::channel::<Write>();
    std::thread::spawn(move || {
        for Write { text, answer } in receiver {
            let insert = connection.prepare_cached("INSERT INTO run (body) VALUES (?1)");
            let inserted = insert.and_then(|mut insert| insert.insert([text]));
            let Ok(id) = inserted else { return };
            // Whoever asked may be gone.
            let _ = answer.send(id);
        }
    });
    Ok(sender)
}

/// The kernel's own query and types, on the handler's thread.
async fn list(State(hello): State<Hello>, Query(query): Query<ListQuery>) -> Answer<Json<Page<Run>>> {
    let reader = free(&hello.readers).ok_or((StatusCode::NOT_FOUND, "no data folder".to_owned()))?;
    let (project, resource) = (query.project, ResourceId::from(query.resource));
    let mut items = floor::run_list(&reader, project, resource, query.limit + 1).map_err(failed)?;
    let more = items.len() > query.limit as usize;
    items.truncate(query.limit as usize);
    let next_cursor = more.then(|| items.last().map(|run| run.number.to_string())).flatten();
    Ok(Json(Page { items, next_cursor }))
}

fn free(readers: &[Mutex<Connection>]) -> Option<MutexGuard<'_, Connection>> {
    let idle = readers.iter().find_map(|reader| reader.try_lock().ok());
    idle.or_else(|| Some(readers.first()?.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// One commit, then one event.
async fn write(State(hello): State<Hello>, body: String) -> Answer<Json<Value>> {
    let writes = hello.writes.ok_or((StatusCode::NOT_FOUND, "no data folder".to_owned()))?;
    let (answer, answered) = oneshot::channel();
    writes.send(Write { text: body, answer }).map_err(failed)?;
    let id = answered.await.map_err(failed)?;
    // Nobody may be listening.
    let _ = hello.written.send(id);
    Ok(Json(json!({ "id": id })))
}

async fn events(State(hello): State<Hello>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ids = BroadcastStream::new(hello.written.subscribe());
    Sse::new(
        ids.filter_map(async |id| Some(Ok(Event::default().event("written").data(id.ok()?.to_string())))),
    )
}

fn failed(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

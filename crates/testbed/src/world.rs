//! `qd-testbed world`: a pretended outside world as a process of its own, which survives the servers that a test kills.
//!
//! Each effect has a name that its doer chooses and is counted under it; who comes a second time finds it there. A key is held
//! as a lock by whoever entered with it, and its highest fence is remembered: whoever comes with a lower one is late and is
//! refused. What must never happen (two inside at once, one who acts without being inside, an effect that happened twice, a name
//! that two jobs claim) is written down for the test to find. It forgets everything when it ends.

pub mod client;
mod state;

use std::{io::Write as _, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::json;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::state::{Refused, World};
use crate::bench::Fallible;
use client::Deed;

#[derive(Debug, clap::Args)]
pub struct WorldArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
}

type Shared = Arc<Mutex<World>>;

/// Serves until it is killed.
pub async fn run(args: WorldArgs) -> Fallible<()> {
    let world = Shared::default();
    let routes = Router::new()
        .route("/effects", post(act))
        .route("/effects/{*name}", get(look).delete(undo))
        .route("/report", get(report))
        .with_state(world);
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    axum::serve(listener, routes).await?;
    Ok(())
}

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn act(State(world): State<Shared>, Json(deed): Json<Deed>) -> Response {
    let answer = lock(&world).act(&deed);
    match answer {
        Ok(done) => Json(done).into_response(),
        Err(refused) => late(&refused),
    }
}

async fn undo(State(world): State<Shared>, Path(name): Path<String>, Json(deed): Json<Deed>) -> Response {
    let answer = lock(&world).undo(&Deed { name, ..deed });
    match answer {
        Ok(undone) => Json(json!({ "undone": undone })).into_response(),
        Err(refused) => late(&refused),
    }
}

async fn look(State(world): State<Shared>, Path(name): Path<String>) -> Response {
    match lock(&world).effects.get(&name) {
        Some(effect) => Json(effect).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn report(State(world): State<Shared>) -> Response {
    Json(&*lock(&world)).into_response()
}

fn late(refused: &Refused) -> Response {
    (StatusCode::CONFLICT, Json(refused)).into_response()
}

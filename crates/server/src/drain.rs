//! Stopping without a request lost: the order in which a server takes leave.
//!
//! First it says that it is not ready any more, so that a balancer turns away from it; then it takes no further connections
//! and ends its streams, whose readers go elsewhere; then it answers what still comes on open connections, telling each to
//! close; then it closes those that are idle, and waits for requests under way. Meanwhile the kernel's tasks hand over what
//! they have not begun. A second signal is not waited for: who is impatient kills it, which loses nothing that is stored.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::{listen::Closing, state::App};

/// How long idle connections are kept for a client that is about to use one.
const LINGER: Duration = Duration::from_secs(1);
/// How long requests under way are waited for after that.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// Takes leave of clients; returns once idle connections may be closed.
pub async fn take_leave(app: &App, mut closing: Closing, delay: Duration) {
    app.draining.cancel();
    tokio::time::sleep(delay).await;
    closing.close.cancel();
    closing.closed.cancelled().await;
    app.stop.cancel();
    // A client that has used its connection since was told to close it.
    let _ = tokio::time::timeout(LINGER, closing.all_gone()).await;
}

/// Comes to its end when requests under way have had their time.
pub async fn patience(app: &App) {
    app.stop.cancelled().await;
    tokio::time::sleep(LINGER + UNDER_WAY).await;
}

/// Answers of a server that takes leave ask for the connection to be closed.
pub async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if app.draining.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

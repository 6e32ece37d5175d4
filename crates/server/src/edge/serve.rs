//! The loop that takes connections and speaks HTTP/1.1 on them, in the clear or under TLS.
//!
//! Our own, because what bounds a connection is set where it is made: how long a head may take, how many there are, how
//! long a client may read nothing.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt as _};

use super::Edge;
use crate::listen::{Connection, Listener, Peer};

/// What is beyond these is refused without being read; a little below it is refused with words, by [`super::requests`].
const HEADERS: usize = 200;
const HEAD: usize = 128 * 1024;

/// Serves until `shutdown`, then until every connection has ended.
pub async fn serve<S>(
    mut listener: Listener,
    service: S,
    edge: Arc<Edge>,
    shutdown: impl Future<Output = ()> + Send,
) where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let (stopping, connections) = (CancellationToken::new(), TaskTracker::new());
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept(edge.times.write) => accepted,
            () = &mut shutdown => break,
        };
        let Some(permit) = edge.connections.admit(peer.ip()) else {
            if edge.certificate.is_none() {
                edge.connections.refuse(stream);
            }
            continue;
        };
        let (service, edge, stopping) = (service.clone(), edge.clone(), stopping.clone());
        connections.spawn(async move {
            converse(stream, peer, service, &edge, stopping).await;
            drop(permit);
        });
    }
    stopping.cancel();
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn converse<S>(
    stream: Connection,
    peer: SocketAddr,
    service: S,
    edge: &Edge,
    stopping: CancellationToken,
) where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let Some(certificate) = &edge.certificate else {
        return speak(stream, peer, service, edge, stopping).await;
    };
    let handshake = certificate.acceptor.accept(stream);
    match tokio::time::timeout(edge.times.handshake, handshake).await {
        Ok(Ok(stream)) => speak(stream, peer, service, edge, stopping).await,
        // Whoever knocks without meaning it is not worth a line at the usual level.
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

async fn speak<I, S>(io: I, peer: SocketAddr, service: S, edge: &Edge, stopping: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let service = service.map_request(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(Peer(peer)));
        request
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(edge.times.head)
        .max_headers(HEADERS)
        .max_buf_size(HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service)));
    let mut told = false;
    loop {
        tokio::select! {
            // How a connection ends is its client's affair.
            _ = connection.as_mut() => return,
            () = stopping.cancelled(), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

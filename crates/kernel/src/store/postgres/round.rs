//! Statements that travel together: BEGIN with the first, those put off with the next or with COMMIT. Their answers are
//! read in order, and the first error is the round's.

use std::pin::Pin;

use futures::future::{MaybeDone, maybe_done};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use crate::store::Value;

/// The statement that a round ends with.
pub(super) enum Last<'a> {
    Nothing,
    Script(&'a str),
    Exec(&'a Statement, Vec<Value<'a>>),
    Rows(&'a Statement, Vec<Value<'a>>),
}

pub(super) enum Reply {
    Count(u64),
    Rows(Vec<tokio_postgres::Row>),
}

type Sent<'a> = Pin<Box<MaybeDone<Pin<Box<dyn Future<Output = Result<Reply, Error>> + 'a>>>>>;

/// Sends `begin`, what was put off and `last`, and gives the last one's reply.
pub(super) async fn send(
    client: &Client,
    begin: Option<&str>,
    later: &[(Statement, Vec<Value<'static>>)],
    last: Last<'_>,
) -> Result<Reply, Error> {
    if begin.is_none() && later.is_empty() {
        return reply(client, last).await;
    }
    let mut sent: Vec<Sent<'_>> = Vec::with_capacity(later.len() + 2);
    if let Some(begin) = begin {
        sent.push(Box::pin(maybe_done(Box::pin(reply(client, Last::Script(begin))))));
    }
    for (statement, values) in later {
        sent.push(Box::pin(maybe_done(Box::pin(execute(client, statement, values)))));
    }
    if !matches!(last, Last::Nothing) {
        sent.push(Box::pin(maybe_done(Box::pin(reply(client, last)))));
    }
    // The first poll of each puts it on the wire: all of them, in order, before any answer is waited for.
    for future in &mut sent {
        let _ = futures::poll!(future.as_mut());
    }
    let mut outcome = Ok(Reply::Count(0));
    for future in &mut sent {
        future.as_mut().await;
        let result = future.as_mut().take_output().unwrap_or(Ok(Reply::Count(0)));
        // After the first error the others only say that the transaction is aborted.
        if outcome.is_ok() {
            outcome = result;
        }
    }
    outcome
}

async fn reply(client: &Client, last: Last<'_>) -> Result<Reply, Error> {
    match last {
        Last::Nothing => Ok(Reply::Count(0)),
        Last::Script(sql) => client.batch_execute(sql).await.map(|()| Reply::Count(0)),
        Last::Exec(statement, values) => execute(client, statement, &values).await,
        Last::Rows(statement, values) => client.query(statement, &params(&values)).await.map(Reply::Rows),
    }
}

async fn execute(client: &Client, statement: &Statement, values: &[Value<'_>]) -> Result<Reply, Error> {
    client.execute(statement, &params(values)).await.map(Reply::Count)
}

fn params<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

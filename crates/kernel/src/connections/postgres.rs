//! The connection type `postgres`: a database with a user and a password.

use std::sync::Arc;

use async_trait::async_trait;
use qd_core::{
    error::{Error, Result},
    violation::{Pointer, Violation},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::{Config, NoTls, config::SslMode};

use super::{Call, ConnectionType, Probe, SecretRef, shape};
use crate::store::postgres_tls;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PostgresConnection {
    /// What it leads to.
    #[serde(rename = "type")]
    kind: PostgresKind,
    /// A name or an address.
    #[schemars(length(min = 1, max = 255))]
    host: String,
    #[serde(default = "port")]
    #[schemars(range(min = 1))]
    port: u16,
    #[schemars(length(min = 1, max = 63))]
    database: String,
    #[schemars(length(min = 1, max = 63))]
    user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<SecretRef>,
    /// As libpq has it. `verify-full` checks the certificate by the system's roots; `require` encrypts and checks nothing.
    #[serde(default)]
    sslmode: Sslmode,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum PostgresKind {
    Postgres,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Sslmode {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyFull,
}

impl Sslmode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyFull => "verify-full",
        }
    }
}

fn port() -> u16 {
    5432
}

pub(crate) fn connection_type() -> ConnectionType {
    ConnectionType {
        name: "postgres",
        schema: shape::schema::<PostgresConnection>(),
        example: json!({
            "type": "postgres", "host": "db.example.org", "database": "warehouse", "user": "reader",
            "password": "secret://warehouse/password"
        }),
        parse,
        secret_fields: &["/password"],
        probe: Arc::new(Postgres),
    }
}

fn parse(spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
    let read: PostgresConnection = shape::read(spec)?;
    let mut found = vec![];
    let at = Pointer::root();
    for (field, text, most) in
        [("host", &read.host, 255), ("database", &read.database, 63), ("user", &read.user, 63)]
    {
        if text.is_empty() || text.chars().count() > most || text.contains(|c: char| c.is_control()) {
            let detail = format!("1 to {most} characters are wanted");
            found.push(Violation::new(at.key(field), "invalid_format", detail));
        }
    }
    if read.host.contains(['/', '@', ',', ' ']) {
        found.push(Violation::new(
            at.key("host"),
            "invalid_format",
            "the name or the address of one host is wanted",
        ));
    }
    found.extend(shape::secrets(read.password.iter().map(|password| (at.key("password"), password))));
    shape::written(&read, found)
}

struct Postgres;

#[async_trait]
impl Probe for Postgres {
    async fn probe(&self, call: &Call<'_>) -> Result<String> {
        let spec: PostgresConnection = shape::read(call.spec).map_err(Error::from_violations)?;
        let addresses = call.outbound.addresses(&spec.host, spec.port).await?;
        let mut config = Config::new();
        config.dbname(&spec.database).user(&spec.user).application_name("quarterdeck");
        config.connect_timeout(call.within);
        if let Some(password) = &spec.password {
            config.password(call.secret(password).await?.expose());
        }
        // Only where the name leads now; the name itself is for the certificate.
        for address in addresses {
            config.host(&spec.host).hostaddr(address.ip()).port(spec.port);
        }
        let (mode, tls) = postgres_tls(spec.sslmode.as_str())?;
        config.ssl_mode(mode);
        let version = match mode {
            SslMode::Disable => asked(config.connect(NoTls).await).await,
            _ => asked(config.connect(tls).await).await,
        };
        version.map_err(|error| failure(&error))
    }
}

async fn asked<S, T>(
    connected: std::result::Result<
        (tokio_postgres::Client, tokio_postgres::Connection<S, T>),
        tokio_postgres::Error,
    >,
) -> std::result::Result<String, tokio_postgres::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = connected?;
    let asking = async {
        let row = client.query_one("SELECT current_setting('server_version')", &[]).await?;
        Ok(format!("PostgreSQL {}", row.get::<_, String>(0)))
    };
    tokio::select! {
        version = asking => version,
        ended = connection => ended.map(|()| "it closed the connection".to_owned()),
    }
}

/// In Postgres' words where it spoke, without the statement's.
fn failure(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(said) => {
            Error::unavailable("connection_refused", format!("{} ({})", said.message(), said.code().code()))
        }
        None if error.is_closed() => Error::unavailable("unreachable", "the connection broke off"),
        None => {
            let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
            Error::unavailable("unreachable", format!("it cannot be connected to: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_written_out_and_a_password_is_named_and_never_written() {
        let spec = json!({ "type": "postgres", "host": "db", "database": "d", "user": "u", "password": "secret://db/p" });
        let parsed = parse(&spec).unwrap();
        assert_eq!((&parsed["port"], &parsed["sslmode"]), (&json!(5432), &json!("prefer")));
        for (pointer, change) in [
            ("/password", json!({ "password": "canary" })),
            ("/port", json!({ "port": "canary" })),
            ("/sslmode", json!({ "sslmode": "canary" })),
            ("/host", json!({ "host": "me:canary@db" })),
            ("/user", json!({ "user": "" })),
        ] {
            let mut spec = spec.clone();
            spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let found = parse(&spec).unwrap_err();
            assert_eq!(found[0].pointer, pointer, "{found:?}");
            assert!(!format!("{found:?}").contains("canary"), "{found:?}");
        }
    }
}

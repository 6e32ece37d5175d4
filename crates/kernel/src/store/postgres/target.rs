//! Where to connect, and how: the URL read once.

use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls;
use crate::store::{StoreError, StoreOptions, StoreResult};

/// A closure only works with the database, so nothing of it takes this long between two statements but where its whole process
/// stands still; the locks that it holds must not hold up others for longer than a lease does.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// The session's `statement_timeout`; reads have a shorter one where they differ.
    pub begin_read: String,
}

impl Target {
    /// `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, with libpq's meanings.
    pub fn parse(url: &str, options: &StoreOptions) -> StoreResult<Self> {
        let (url, tls_options) = tls::split(url)?;
        let refused = |error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            StoreError::Refused(format!("the Postgres URL does not read: {error}: {cause}"))
        };
        let mut config: Config = url.parse().map_err(refused)?;
        config.ssl_mode(tls_options.mode);
        if config.get_application_name().is_none() {
            config.application_name("quarterdeck");
        }
        config.connect_timeout(Duration::from_secs(5));
        config.tcp_user_timeout(Duration::from_secs(15));
        config.keepalives_idle(Duration::from_secs(30));
        let write_ms = options.write_limit.as_millis();
        let read_ms = options.read_limit.as_millis();
        let idle_ms = IDLE_IN_TRANSACTION.as_millis();
        config.options(format!(
            "{} -c statement_timeout={write_ms} -c idle_in_transaction_session_timeout={idle_ms}",
            config.get_options().unwrap_or_default()
        ));
        let mut begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned();
        if read_ms != write_ms {
            begin_read = format!("{begin_read}; SET LOCAL statement_timeout={read_ms}");
        }
        let tls = if tls_options.mode == SslMode::Disable { None } else { Some(tls_options.connector()?) };
        Ok(Self { config, tls, begin_read })
    }

    /// Opens a connection; its task runs on the current runtime.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(drive(connection));
                Ok(client)
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::spawn(drive(connection));
                Ok(client)
            }
        }
    }
}

/// Until the client is dropped or the connection dies; its user hears of that by its own next statement.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a Postgres connection ended");
    }
}

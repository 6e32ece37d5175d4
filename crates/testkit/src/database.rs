//! An empty database of its own for each test, on SQLite and on Postgres.

use qd_kernel::store::{Backend, MigrationSet, Store, StoreOptions};
use tempfile::TempDir;

use crate::postgres::{Database, Postgres};

/// Gone, with all that is in it, when dropped.
pub struct TestDatabase {
    pub url: String,
    pub backend: Backend,
    _keep: Keep,
}

#[expect(dead_code, reason = "held until the test ends")]
enum Keep {
    Folder(TempDir),
    Database(Database),
}

impl TestDatabase {
    pub async fn sqlite() -> Self {
        let folder = TempDir::new().expect("make a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("qd.db").display());
        Self { url, backend: Backend::Sqlite, _keep: Keep::Folder(folder) }
    }

    pub async fn postgres() -> Self {
        let database = Postgres::shared().await.fresh_database().await;
        Self { url: database.url.clone(), backend: Backend::Postgres, _keep: Keep::Database(database) }
    }

    pub async fn on(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::sqlite().await,
            Backend::Postgres => Self::postgres().await,
        }
    }

    /// Where SQLite keeps it; none of Postgres.
    pub fn folder(&self) -> Option<std::path::PathBuf> {
        let file = self.url.strip_prefix("sqlite:")?;
        std::path::Path::new(file).parent().map(std::path::Path::to_path_buf)
    }

    /// Opens it with the product's migrations, none of them applied.
    pub async fn open(&self) -> Store {
        self.open_with(StoreOptions::default()).await
    }

    pub async fn open_with(&self, options: StoreOptions) -> Store {
        Store::open(&self.url, options).await.expect("open the test database")
    }

    /// Opens it and brings it to the newest schema.
    pub async fn migrated(&self) -> Store {
        let store = self.open().await;
        store.migrate().await.expect("migrate the test database");
        store
    }

    /// Opens it with a schema of the test's own: one text for SQLite, one for Postgres.
    pub async fn with_schema(&self, sqlite: &str, postgres: &str) -> Store {
        let migrations = MigrationSet::default().with(Backend::Sqlite, "0001_test.up.sql", sqlite).with(
            Backend::Postgres,
            "0001_test.up.sql",
            postgres,
        );
        let store = self.open_with(StoreOptions { migrations, ..StoreOptions::default() }).await;
        store.migrate().await.expect("make the test's schema");
        store
    }
}

/// Makes two tests of each function, `name::sqlite` and `name::postgres`.
///
/// ```ignore
/// both_stores! {
///     async fn a_commit_is_kept(db: TestDatabase) {
///         let store = db.migrated().await;
///     }
/// }
/// ```
#[macro_export]
macro_rules! both_stores {
    ($($(#[$meta:meta])* async fn $name:ident($db:ident: TestDatabase) $body:block)*) => { $(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "a test may need nothing of its file")]
            use super::*;

            async fn run($db: $crate::TestDatabase) $body

            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run($crate::TestDatabase::sqlite().await).await;
            }

            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run($crate::TestDatabase::postgres().await).await;
            }
        }
    )* };
}

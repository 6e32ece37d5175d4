//! Time and ids for the verbs, from the one source that may ask the system.

use qd_kernel::clock::Source;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Clone)]
pub struct Clock(Source);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(qd_kernel::clock::system())
    }

    pub fn now(&self) -> OffsetDateTime {
        let microseconds = i128::from(self.0.now().micros());
        OffsetDateTime::from_unix_timestamp_nanos(microseconds * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// A new id (uuid v7).
    pub fn id(&self) -> Uuid {
        self.0.uuid()
    }
}

mod types;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::work::Queued;
use super::{Counters, Row, StoreError, StoreOptions, StoreResult, Value};

pub(super) struct Postgres;
pub(super) struct PgSession;

impl Postgres {
    pub async fn open(_url: &str, _options: &StoreOptions, _counters: &Arc<Counters>) -> StoreResult<Self> {
        Err(StoreError::Unavailable("Postgres follows".into()))
    }
    pub fn send(&self, _queued: Queued) -> StoreResult<()> {
        Ok(())
    }
    pub fn queue_length(&self) -> usize {
        0
    }
    pub fn close(&self) -> Vec<JoinHandle<()>> {
        Vec::new()
    }
}
impl PgSession {
    pub fn exec(&mut self, _sql: &str, _values: Vec<Value<'_>>) -> StoreResult<u64> {
        Ok(0)
    }
    pub fn exec_later(&mut self, _sql: &str, _values: Vec<Value<'_>>) -> StoreResult<()> {
        Ok(())
    }
    pub fn rows<T>(
        &mut self,
        _sql: &str,
        _values: Vec<Value<'_>>,
        _read: impl FnMut(&Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        Ok(Vec::new())
    }
    pub fn script(&mut self, _sql: &str) -> StoreResult<()> {
        Ok(())
    }
    pub fn flush(&mut self) -> StoreResult<()> {
        Ok(())
    }
    pub fn forget_later(&mut self) {}
    pub fn has_ended(&self) -> bool {
        false
    }
}

//! One value for two databases: [`Param`] turns Rust into a [`Value`], [`Column`] turns a `Value` into Rust.
//!
//! Times are microseconds since 1970 (INTEGER in SQLite, timestamptz in Postgres), uuids BLOB(16) / uuid, bools
//! INTEGER / boolean, JSON is text on both. What only one of the databases would take (a NUL in text, which Postgres
//! refuses; NaN, which SQLite turns into NULL) is refused on both.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{StoreError, StoreResult};

/// What travels between Rust and a database.
#[derive(Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Uuid(Uuid),
    /// Microseconds since 1970, UTC.
    Time(i64),
    Json(Cow<'a, str>),
}

impl Value<'_> {
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(v),
            Value::Int(v) => Value::Int(v),
            Value::Real(v) => Value::Real(v),
            Value::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
            Value::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            Value::Uuid(v) => Value::Uuid(v),
            Value::Time(v) => Value::Time(v),
            Value::Json(v) => Value::Json(Cow::Owned(v.into_owned())),
        }
    }

    /// What kind of value it is, for messages: never the value itself, which may be secret.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Real(_) => "a real",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
            Value::Uuid(_) => "a uuid",
            Value::Time(_) => "a time",
            Value::Json(_) => "JSON",
        }
    }

    /// Refuses what one of the two databases would take differently.
    fn checked(self) -> StoreResult<Self> {
        match &self {
            Value::Text(text) | Value::Json(text) if text.contains('\0') => Err(StoreError::Nul),
            Value::Json(text) if has_escaped_nul(text) => Err(StoreError::Nul),
            Value::Real(real) if real.is_nan() => Err(StoreError::Refused("a number is NaN".into())),
            _ => Ok(self),
        }
    }
}

/// The Postgres driver logs parameters by this at level debug.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// `\u0000` that is not itself escaped; Postgres' jsonb refuses it.
fn has_escaped_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.as_bytes()[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        before % 2 == 0
    })
}

/// Anything that can be a statement's parameter.
pub trait Param {
    fn value(&self) -> StoreResult<Value<'_>>;
}

/// Evaluates and checks a statement's parameters.
pub(super) fn values<'a>(params: &'a [&dyn Param]) -> StoreResult<Vec<Value<'a>>> {
    params.iter().map(|param| param.value().and_then(Value::checked)).collect()
}

/// The parameters of a statement: `params![id, &name, 3]`.
#[macro_export]
macro_rules! params {
    ($($param:expr),* $(,)?) => {
        &[$(&$param as &dyn $crate::store::Param),*] as &[&dyn $crate::store::Param]
    };
}

/// Anything that a column can be read as.
pub trait Column: Sized {
    /// # Errors
    /// What is wrong with the value, for the caller to put the column's number before.
    fn column(value: Value<'_>) -> Result<Self, String>;
}

/// A document stored as JSON text, in a TEXT column on both databases (jsonb would change its bytes).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Json<T = serde_json::Value>(pub T);

impl<T: Serialize> Param for Json<T> {
    fn value(&self) -> StoreResult<Value<'_>> {
        let text = serde_json::to_string(&self.0).map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(Value::Json(text.into()))
    }
}

impl<T: DeserializeOwned> Column for Json<T> {
    fn column(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Json(text) | Value::Text(text) => {
                serde_json::from_str(&text).map(Json).map_err(|error| error.to_string())
            }
            other => Err(unfit(&other, "JSON")),
        }
    }
}

impl<T: Param + ?Sized> Param for &T {
    fn value(&self) -> StoreResult<Value<'_>> {
        (**self).value()
    }
}

impl<T: Param> Param for Option<T> {
    fn value(&self) -> StoreResult<Value<'_>> {
        self.as_ref().map_or(Ok(Value::Null), Param::value)
    }
}

impl<T: Column> Column for Option<T> {
    fn column(value: Value<'_>) -> Result<Self, String> {
        if value == Value::Null { Ok(None) } else { T::column(value).map(Some) }
    }
}

pub(super) fn unfit(value: &Value<'_>, wanted: &str) -> String {
    format!("{} where {wanted} was wanted", value.kind())
}

macro_rules! param {
    ($($type:ty: $it:ident => $value:expr;)*) => { $(
        impl Param for $type {
            fn value(&self) -> StoreResult<Value<'_>> {
                let $it = self;
                Ok($value)
            }
        }
    )* };
}

param! {
    bool: it => Value::Bool(*it);
    i64: it => Value::Int(*it);
    i32: it => Value::Int((*it).into());
    u32: it => Value::Int((*it).into());
    f64: it => Value::Real(*it);
    str: it => Value::Text(it.into());
    String: it => Value::Text(it.as_str().into());
    Cow<'_, str>: it => Value::Text(it.as_ref().into());
    [u8]: it => Value::Bytes(it.into());
    Vec<u8>: it => Value::Bytes(it.as_slice().into());
    Uuid: it => Value::Uuid(*it);
    serde_json::Value: it => Value::Json(it.to_string().into());
}

macro_rules! column {
    ($($type:ty, $wanted:literal { $($pattern:pat => $value:expr),* $(,)? })*) => { $(
        impl Column for $type {
            fn column(value: Value<'_>) -> Result<Self, String> {
                match value {
                    $($pattern => $value,)*
                    other => Err(unfit(&other, $wanted)),
                }
            }
        }
    )* };
}

column! {
    bool, "a boolean" { Value::Bool(v) => Ok(v), Value::Int(0) => Ok(false), Value::Int(1) => Ok(true) }
    i64, "an integer" { Value::Int(v) => Ok(v) }
    i32, "an integer" { Value::Int(v) => v.try_into().map_err(|_| format!("{v} exceeds 32 bits")) }
    u32, "an integer" { Value::Int(v) => v.try_into().map_err(|_| format!("{v} exceeds 32 bits")) }
    f64, "a real" { Value::Real(v) => Ok(v) }
    String, "text" { Value::Text(v) | Value::Json(v) => Ok(v.into_owned()) }
    Vec<u8>, "bytes" { Value::Bytes(v) => Ok(v.into_owned()) }
    Uuid, "a uuid" {
        Value::Uuid(v) => Ok(v),
        Value::Bytes(v) => Uuid::from_slice(&v).map_err(|error| error.to_string()),
    }
    serde_json::Value, "JSON" {
        Value::Json(v) | Value::Text(v) => serde_json::from_str(&v).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_nul_is_found_and_an_escaped_backslash_is_not() {
        assert!(has_escaped_nul(r#""a\u0000b""#));
        assert!(!has_escaped_nul(r#""a\\u0000b""#));
        assert!(has_escaped_nul(r#""a\\\u0000b""#));
    }
}

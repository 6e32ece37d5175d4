//! [`Value`] in Postgres' binary format.

use std::borrow::Cow;
use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use uuid::Uuid;

use crate::store::Value;

type BoxError = Box<dyn Error + Sync + Send>;

/// Postgres counts microseconds from 2000-01-01.
const Y2K_MICROS: i64 = 946_684_800_000_000;

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match (self, ty) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Bool(value), &Type::BOOL) => out.put_u8((*value).into()),
            (Value::Int(value), &Type::INT8) => out.put_i64(*value),
            (Value::Int(value), &Type::INT4) => out.put_i32((*value).try_into()?),
            (Value::Int(value), &Type::INT2) => out.put_i16((*value).try_into()?),
            (Value::Real(value), &Type::FLOAT8) => out.put_f64(*value),
            (
                Value::Text(text) | Value::Json(text),
                &Type::TEXT | &Type::VARCHAR | &Type::NAME | &Type::JSON | &Type::UNKNOWN,
            ) => out.put_slice(text.as_bytes()),
            (Value::Json(text) | Value::Text(text), &Type::JSONB) => {
                out.put_u8(1);
                out.put_slice(text.as_bytes());
            }
            (Value::Bytes(bytes), &Type::BYTEA) => out.put_slice(bytes),
            (Value::Uuid(uuid), &Type::UUID | &Type::BYTEA) => out.put_slice(uuid.as_bytes()),
            (Value::Time(micros), &Type::TIMESTAMPTZ) => {
                out.put_i64(micros.checked_sub(Y2K_MICROS).ok_or("the time is out of range")?);
            }
            // The value stays out of the message: it may be secret.
            (_, ty) => return Err(format!("a parameter does not fit the type {ty}; CAST it").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        self.to_sql(ty, out)
    }
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let text = |raw: &'a [u8]| Ok::<_, BoxError>(Cow::Borrowed(std::str::from_utf8(raw)?));
        Ok(match *ty {
            Type::BOOL => Value::Bool(raw.first().is_some_and(|byte| *byte != 0)),
            Type::INT8 => Value::Int(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => Value::Int(i32::from_be_bytes(raw.try_into()?).into()),
            Type::INT2 => Value::Int(i16::from_be_bytes(raw.try_into()?).into()),
            Type::FLOAT8 => Value::Real(f64::from_be_bytes(raw.try_into()?)),
            Type::FLOAT4 => Value::Real(f32::from_be_bytes(raw.try_into()?).into()),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN => Value::Text(text(raw)?),
            Type::JSON => Value::Json(text(raw)?),
            Type::JSONB => Value::Json(text(raw.get(1..).unwrap_or_default())?),
            Type::BYTEA => Value::Bytes(raw.into()),
            Type::UUID => Value::Uuid(Uuid::from_slice(raw)?),
            Type::TIMESTAMPTZ => {
                let micros = i64::from_be_bytes(raw.try_into()?);
                Value::Time(micros.checked_add(Y2K_MICROS).ok_or("the time is out of range")?)
            }
            _ => return Err(format!("the type {ty} is not one that both databases have; CAST it").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Value::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

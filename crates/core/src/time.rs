//! Moments: microseconds since 1970 UTC, the precision of both databases, written as RFC 3339 with `Z`.
//!
//! There is no `now` here: the clock is injected by whoever runs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, clip};

/// Always within the years 0 to 9999, so that it can always be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a time: RFC 3339 with an offset is wanted, such as 2026-11-20T09:30:00.000000Z")]
pub struct TimeError {
    pub text: String,
}

impl From<TimeError> for Error {
    fn from(error: TimeError) -> Self {
        Error::malformed("malformed_time", error.to_string())
    }
}

impl Timestamp {
    /// 0000-01-01T00:00:00.000000Z
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// 9999-12-31T23:59:59.999999Z
    pub const MAX: Self = Self(253_402_300_799_999_999);
    pub const EPOCH: Self = Self(0);

    /// Microseconds since 1970 UTC; what lies outside [`Self::MIN`] to [`Self::MAX`] becomes the nearer of the two.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// `None` beyond the year 9999. What is finer than a microsecond is cut off.
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let micros = i64::try_from(duration.as_micros()).ok()?;
        self.0.checked_add(micros).map(Self).filter(|sum| *sum <= Self::MAX)
    }

    /// `None` before the year 0. What is finer than a microsecond is cut off.
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        let micros = i64::try_from(duration.as_micros()).ok()?;
        self.0.checked_sub(micros).map(Self).filter(|rest| *rest >= Self::MIN)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).map_err(|_| fmt::Error)?;
        let (hour, minute, second, micro) = at.to_hms_micro();
        write!(f, "{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())?;
        write!(f, "T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Takes any offset; what is finer than a microsecond is cut off.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError { text: clip(text, 80) };
        let nanos = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| error())?.unix_timestamp_nanos();
        let micros = i64::try_from(nanos.div_euclid(1000)).map_err(|_| error())?;
        let at = Self::from_micros(micros);
        if at.0 == micros { Ok(at) } else { Err(error()) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

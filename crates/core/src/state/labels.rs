//! States without a table: what is only observed may change from anything to anything.

use super::words;

words! {
    /// What the outside world says of a resource. What cannot be reached is `unknown`, never `healthy`.
    Health ("health") {
        Healthy = "healthy",
        Progressing = "progressing",
        Degraded = "degraded",
        Stopped = "stopped",
        Missing = "missing",
        Unknown = "unknown",
    }
}

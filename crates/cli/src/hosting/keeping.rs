//! How long what grows without end is kept: words of `up` and `serve`, each with a variable of the environment.

use std::time::Duration;

use qd_kernel::KernelOptions;

/// Ages such as `12h` or `90d`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "How long things are kept (such as 36h or 90d)")]
pub struct Keeping {
    /// Jobs that ended, plans that can no longer be applied, and what schedules came to [default: 180d]
    #[arg(long, env = "QD_JOB_RETENTION", value_parser = age, value_name = "AGE")]
    pub job_retention: Option<Duration>,
    /// How long a plan may wait to be applied [default: 7d]
    #[arg(long, env = "QD_PLAN_TTL", value_parser = age, value_name = "AGE")]
    pub plan_ttl: Option<Duration>,
    /// Events [default: 180d]
    #[arg(long, env = "QD_EVENT_RETENTION", value_parser = age, value_name = "AGE")]
    pub event_retention: Option<Duration>,
    /// Logs of runs that ended [default: 90d]
    #[arg(long, env = "QD_LOG_RETENTION", value_parser = age, value_name = "AGE")]
    pub log_retention: Option<Duration>,
    /// Idempotency keys, 24h at least [default: 48h]
    #[arg(long, env = "QD_IDEMPOTENCY_RETENTION", value_parser = age, value_name = "AGE")]
    pub idempotency_retention: Option<Duration>,
    /// Audit records, whole beginnings of a chain at once [default: for ever]
    #[arg(long, env = "QD_AUDIT_RETENTION", value_parser = age, value_name = "AGE")]
    pub audit_retention: Option<Duration>,
}

impl Keeping {
    /// What was not said stays as it is.
    pub fn apply(&self, options: &mut KernelOptions) {
        let said = [
            (self.job_retention, &mut options.job_retention),
            (self.plan_ttl, &mut options.plan_ttl),
            (self.event_retention, &mut options.event_retention),
            (self.log_retention, &mut options.log_retention),
            (self.idempotency_retention, &mut options.idempotency_retention),
        ];
        for (said, option) in said {
            if let Some(said) = said {
                *option = said;
            }
        }
        if self.audit_retention.is_some() {
            options.audit.retention = self.audit_retention;
        }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no age: write hours or days, such as 36h or 90d");
    let (digits, hours) = match text.strip_suffix('d') {
        Some(days) => (days, 24),
        None => (text.strip_suffix('h').ok_or_else(wrong)?, 1),
    };
    let number: u64 =
        digits.parse().ok().filter(|number| (1..=1_000_000).contains(number)).ok_or_else(wrong)?;
    Ok(Duration::from_hours(number * hours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_hours_or_days() {
        assert_eq!(age("36h"), Ok(Duration::from_hours(36)));
        assert_eq!(age("90d"), Ok(Duration::from_hours(90 * 24)));
        for wrong in ["", "90", "0d", "-1d", "1.5h", "d", "2w"] {
            assert!(age(wrong).unwrap_err().contains("such as 36h or 90d"), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let mut options = KernelOptions::default();
        Keeping { plan_ttl: Some(Duration::from_hours(5)), ..Keeping::default() }.apply(&mut options);
        assert_eq!(options.plan_ttl, Duration::from_hours(5));
        assert_eq!(options.job_retention, KernelOptions::default().job_retention);
    }
}

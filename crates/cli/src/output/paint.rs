//! Colour, decided once and handed down, so that every rendering function stays a plain function of its input.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    #[cfg(test)]
    pub fn plain() -> Self {
        Self { on: false }
    }

    /// Colour when `terminal` is true and neither `NO_COLOR` nor a dumb terminal speaks against it.
    pub fn for_terminal(terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { on: terminal && !refused && !dumb }
    }

    #[cfg(test)]
    pub fn always() -> Self {
        Self { on: true }
    }

    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub fn active(self, text: &str) -> String {
        self.wrap("36", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Colours the name of a state by what it means, the same for runs, jobs, steps, stages and engines.
    pub fn state(self, state: &str) -> String {
        match state {
            "succeeded" | "published" | "healthy" | "ready" | "ok" | "active" | "approved" | "applied"
            | "pass" => self.good(state),
            "failed" | "missing" | "rejected" | "fail" | "unhealthy" => self.bad(state),
            "stopped" | "waiting" | "degraded" | "unknown" | "cancelled" | "warn" | "undone" | "stale"
            | "expired" => self.warn(state),
            "running" | "queued" | "progressing" | "pending" | "undoing" | "open" => self.active(state),
            other => other.to_owned(),
        }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paint_leaves_no_trace() {
        assert_eq!(Paint::plain().state("failed"), "failed");
        assert_eq!(Paint::always().state("failed"), "\x1b[31mfailed\x1b[0m");
        assert_eq!(Paint::always().bad(""), "");
    }
}

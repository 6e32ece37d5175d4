//! Many durations as the few numbers that are said of them.

use std::time::Duration;

/// Durations in order.
pub struct Spread(Vec<Duration>);

impl Spread {
    pub fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// Milliseconds that `share` of them (0 to 1) did not exceed; 0 where there are none.
    pub fn ms(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.0.get(at).map_or(0.0, |duration| duration.as_secs_f64() * 1000.0)
    }

    pub fn p50(&self) -> f64 {
        self.ms(0.5)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The middle of some figures; 0 where there are none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_from_the_order() {
        let spread = Spread::new((1..=101).rev().map(Duration::from_millis).collect());
        assert_eq!((spread.p50(), spread.ms(0.99), spread.ms(1.0)), (51.0, 100.0, 101.0));
        assert_eq!(Spread::new(vec![]).p50(), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}

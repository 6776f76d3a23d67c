//! The sequential hypothesis test: is it more likely a scanner or a client that sends this source's first contacts?
//! Never looks at more than the contact's outcome, and never counts one endpoint twice (its caller sees to that).
//!
//! Threshold Random Walk (Jung, Paxson, Berger, Balakrishnan, "Fast Portscan Detection Using Sequential Hypothesis Testing",
//! IEEE S&P 2004). Each first contact multiplies the likelihood ratio; here its logarithm takes a step. Wald's bounds decide.
//!
//! The stated bound: a benign host whose first contacts succeed independently with probability theta 0 is convicted in one run
//! of the test with a chance of at most alpha / beta (Wald 1945; with the defaults 0.001 / 0.99, one in 990). The bounds are Wald's
//! approximation: stepping over a bound instead of onto it only makes the true error smaller than this. After each acquittal the test
//! runs anew, so the bound holds for each run, not for a host's lifetime.

use crate::config::SequentialConfig;

/// The test's steps and bounds, as logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Walk {
    failure: f64,
    success: f64,
    /// At this log-likelihood ratio a source is convicted.
    pub convict: f64,
    /// At this one it is acquitted.
    pub acquit: f64,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Too early to tell.
    Open,
    /// A scanner, within the stated error.
    Convicted,
    /// A client; the test begins anew.
    Acquitted,
}

impl Walk {
    /// Computes steps and bounds once. Chances that make no test (a scanner that succeeds as often as a client, a detection no
    /// likelier than a false alarm, no number at all) make one that convicts nobody.
    pub fn new(config: &SequentialConfig) -> Walk {
        let chance = |p: f64| p.clamp(1e-9, 1.0 - 1e-9);
        let (benign, scanner) = (chance(config.benign_success), chance(config.scanner_success));
        let (alpha, beta) = (chance(config.false_positive), chance(config.detection));
        let walk = Walk {
            failure: ((1.0 - scanner) / (1.0 - benign)).ln(),
            success: (scanner / benign).ln(),
            convict: (beta / alpha).ln(),
            acquit: ((1.0 - beta) / (1.0 - alpha)).ln(),
        };
        if walk.failure > 0.0 && walk.convict > 0.0 && walk.success.is_finite() && walk.acquit.is_finite() {
            walk
        } else {
            Walk { failure: 0.0, success: 0.0, convict: f64::INFINITY, acquit: f64::NEG_INFINITY }
        }
    }

    /// A first contact failed.
    pub fn fail(&self, ratio: &mut f64) -> Verdict {
        self.step(ratio, self.failure)
    }

    /// A first contact succeeded.
    pub fn succeed(&self, ratio: &mut f64) -> Verdict {
        self.step(ratio, self.success)
    }

    fn step(&self, ratio: &mut f64, step: f64) -> Verdict {
        *ratio += step;
        if *ratio >= self.convict {
            Verdict::Convicted
        } else if *ratio <= self.acquit {
            *ratio = 0.0;
            Verdict::Acquitted
        } else {
            Verdict::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_convict_and_four_successes_acquit() {
        let walk = Walk::new(&SequentialConfig::default());
        let mut ratio = 0.0;
        for _ in 0..4 {
            assert_eq!(walk.fail(&mut ratio), Verdict::Open);
        }
        assert_eq!(walk.fail(&mut ratio), Verdict::Convicted);
        let mut ratio = 0.0;
        for _ in 0..3 {
            assert_eq!(walk.succeed(&mut ratio), Verdict::Open);
        }
        assert_eq!(walk.succeed(&mut ratio), Verdict::Acquitted);
        assert_eq!(ratio, 0.0);
    }

    /// The walk has steps of ±ln 4 between -4 and +5 steps: the gambler's ruin tells the true chance of a false conviction.
    #[test]
    fn the_exact_false_positive_rate_is_under_the_stated_bound() {
        let config = SequentialConfig::default();
        let odds = config.benign_success / (1.0 - config.benign_success);
        let exact = (odds.powi(4) - 1.0) / (odds.powi(9) - 1.0);
        assert!(exact <= config.false_positive / config.detection, "{exact}");
    }

    #[test]
    fn simulated_benign_hosts_are_convicted_no_more_often_than_stated() {
        let config = SequentialConfig::default();
        let walk = Walk::new(&config);
        let mut seed = 0x1234_5678_9abc_def1_u64;
        let (mut convicted, mut runs, mut ratio) = (0_u32, 0_u32, 0.0);
        while runs < 1_000_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let success = (seed >> 11) as f64 / (1_u64 << 53) as f64 <= config.benign_success;
            match if success { walk.succeed(&mut ratio) } else { walk.fail(&mut ratio) } {
                Verdict::Open => {}
                Verdict::Acquitted => runs += 1,
                Verdict::Convicted => {
                    (runs, convicted, ratio) = (runs + 1, convicted + 1, 0.0);
                }
            }
        }
        let rate = f64::from(convicted) / f64::from(runs);
        assert!(rate <= config.false_positive / config.detection, "{rate}");
        assert!(rate > 0.5 * config.false_positive, "the simulation must be able to convict: {rate}");
    }

    #[test]
    fn impossible_chances_convict_nobody() {
        let good = SequentialConfig::default();
        for bad in [
            SequentialConfig { scanner_success: 0.8, ..good.clone() },
            SequentialConfig { scanner_success: 0.9, ..good.clone() },
            SequentialConfig { false_positive: 0.99, ..good.clone() },
            SequentialConfig { benign_success: f64::NAN, ..good.clone() },
            SequentialConfig { detection: f64::NAN, ..good.clone() },
        ] {
            let (walk, mut ratio) = (Walk::new(&bad), 0.0);
            for _ in 0..1_000 {
                assert_ne!(walk.fail(&mut ratio), Verdict::Convicted, "{bad:?}");
            }
        }
    }
}

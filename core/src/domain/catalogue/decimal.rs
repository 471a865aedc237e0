//! Decimal numbers as JSON writes them, read exactly: `1.25e-06` is never a float.

/// Digits times ten to a power; never below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: u64,
    exponent: i32,
}

impl Decimal {
    /// The number that a JSON text is; `None` when it is no number, is below zero, or has more than 18 digits.
    pub(super) fn parse(json: &str) -> Option<Self> {
        let text = json.trim();
        let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{decimals}");
        if whole.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(decimals.len()).ok()?)?;
        let bare = digits.trim_start_matches('0');
        let significant = bare.trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self { digits: 0, exponent: 0 });
        }
        let zeros = i32::try_from(bare.len() - significant.len()).ok()?;
        let digits = (significant.len() <= 18).then(|| significant.parse().ok())??;
        Some(Self { digits, exponent: exponent.checked_add(zeros)? })
    }

    pub(super) fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// The number times ten to `power`; `None` when that is not whole or does not fit.
    pub(super) fn scaled(self, power: i32) -> Option<i64> {
        let exponent = self.exponent.checked_add(power)?;
        if self.is_zero() {
            return Some(0);
        }
        let factor = 10_i64.checked_pow(u32::try_from(exponent).ok()?)?;
        i64::try_from(self.digits).ok()?.checked_mul(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(text: &str, power: i32) -> Option<i64> {
        Decimal::parse(text)?.scaled(power)
    }

    #[test]
    fn numbers_are_read_exactly_whatever_their_notation() {
        for (text, nanos) in [
            ("1.25e-06", 1_250_000_000),
            ("1.25E-6", 1_250_000_000),
            ("0.00000125", 1_250_000_000),
            ("125e-8", 1_250_000_000),
            ("2e-06", 2_000_000_000),
            ("5e-15", 5),
            ("0", 0),
            ("0.0", 0),
            ("0e-30", 0),
            ("1e-5", 10_000_000_000),
            ("1.0e+0", 1_000_000_000_000_000),
        ] {
            assert_eq!(scaled(text, 15), Some(nanos), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_rounded() {
        for text in ["5.9999999999999995e-08", "1e-16", "1.5e-15", "1e10", "1e2147483647", "1e-2147483648"] {
            assert_eq!(scaled(text, 15), None, "{text}");
        }
        for text in ["", "-1", ".5", "NaN", "1e", "1e1.5", "\"1\"", "null", "+1", "1 2", "0x1"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}

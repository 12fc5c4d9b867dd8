//! A number that is not negative, in 16 bits: exact for whole numbers below 2,048, to a thousandth for all others.

/// A number, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(u16);

/// How many bits say how often the other ones are doubled.
const MANTISSA_BITS: u32 = 10;
const MANTISSA: u16 = (1 << MANTISSA_BITS) - 1;

/// The smallest number that is told from nothing is one of so many parts of 1.
const PARTS: f64 = 64.0;

impl Value {
    /// There is none.
    pub const NONE: Self = Self(u16::MAX);

    /// The greatest number: some 10^20.
    const GREATEST: Self = Self(u16::MAX - 1);

    /// The nearest there is to a number. What is negative, or no number, counts as 0.
    #[must_use]
    pub fn of(number: f64) -> Self {
        let parts = (number * PARTS).round();
        if parts.is_nan() || parts <= 0.0 {
            return Self(0);
        }
        if parts < 1024.0 {
            // In range, by the line above.
            return Self(parts as u16);
        }
        // The exponent of the power of two below it, 10 at least.
        let power = parts.log2().floor().clamp(10.0, 200.0) as i32;
        let mut exponent = power - 9;
        let mut mantissa = (parts / 2_f64.powi(exponent - 1)).round() - 1024.0;
        if mantissa >= 1024.0 {
            (exponent, mantissa) = (exponent + 1, 0.0);
        }
        // In range: the mantissa was just made so, and the exponent is looked at.
        match u16::try_from(exponent) {
            Ok(exponent) if exponent < 64 => {
                let value = Self(exponent << MANTISSA_BITS | (mantissa.max(0.0) as u16));
                if value == Self::NONE { Self::GREATEST } else { value }
            }
            _ => Self::GREATEST,
        }
    }

    /// The number, if there is one.
    #[must_use]
    pub fn get(self) -> Option<f64> {
        if self == Self::NONE {
            return None;
        }
        let (exponent, mantissa) = (self.0 >> MANTISSA_BITS, f64::from(self.0 & MANTISSA));
        Some(match exponent {
            0 => mantissa / PARTS,
            _ => (1024.0 + mantissa) * 2_f64.powi(i32::from(exponent) - 1) / PARTS,
        })
    }

    /// As it is saved.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }

    /// As it was saved.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_le_bytes(bytes))
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::NONE, Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_whole_numbers_are_exact() {
        for number in 0..2048 {
            assert_eq!(Value::of(f64::from(number)).get(), Some(f64::from(number)));
        }
        for (number, kept) in [(-1.0, 0.0), (f64::NAN, 0.0), (0.5, 0.5), (0.001, 0.0)] {
            assert_eq!(Value::of(number).get(), Some(kept), "{number}");
        }
        assert_eq!(Value::NONE.get(), None);
        assert_eq!(Value::of(f64::INFINITY), Value::GREATEST);
        assert!(Value::GREATEST.get().unwrap() > 1e19);
    }

    proptest! {
        #[test]
        fn every_number_is_kept_to_a_thousandth(number in 0.0..1e19_f64) {
            let kept = Value::of(number).get().unwrap();
            prop_assert!((kept - number).abs() <= (number / 1000.0).max(1.0 / PARTS), "{number} {kept}");
        }

        #[test]
        fn what_was_kept_is_kept_again(bits: u16) {
            let value = Value::from_bytes(bits.to_le_bytes());
            if let Some(number) = value.get() {
                prop_assert_eq!(Value::of(number), value);
            }
            prop_assert_eq!(Value::from_bytes(value.to_bytes()), value);
        }
    }
}

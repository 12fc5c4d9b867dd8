//! Numbers in a narrow column. Pure.

/// At most five characters, so that columns stay where they are: `9999`, `123k`, `12.3M`.
pub(super) fn compact(count: i64) -> String {
    if count < 100_000 {
        return count.to_string();
    }
    let mut value = count as f64;
    for unit in ["k", "M", "G", "T", "P"] {
        value /= 1000.0;
        if value < 99.95 {
            return format!("{value:.1}{unit}");
        }
        if value < 999.5 {
            return format!("{value:.0}{unit}");
        }
    }
    ">999P".to_owned()
}

/// A rate: small ones with a decimal.
pub(super) fn rate(a_second: f64) -> String {
    if a_second == 0.0 {
        "0".to_owned()
    } else if a_second < 9.95 {
        format!("{a_second:.1}")
    } else {
        // More than what a count can be is cut off there.
        compact(a_second.round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn large_numbers_become_short() {
        for (count, text) in [
            (0, "0"),
            (99_999, "99999"),
            (100_000, "100k"),
            (999_499, "999k"),
            (999_600, "1.0M"),
            (12_345_678, "12.3M"),
            (5_000_000_000, "5.0G"),
            (i64::MAX, ">999P"),
        ] {
            assert_eq!(compact(count), text);
        }
    }

    #[test]
    fn rates_have_a_decimal_where_it_matters() {
        for (a_second, text) in
            [(0.0, "0"), (0.04, "0.0"), (0.5, "0.5"), (9.99, "10"), (1234.5, "1235"), (1e300, ">999P")]
        {
            assert_eq!(rate(a_second), text, "{a_second}");
        }
    }

    proptest! {
        #[test]
        fn no_number_is_longer_than_a_column(count in 0_i64..=i64::MAX, a_second in 0.0_f64..1e20) {
            prop_assert!(compact(count).len() <= 5, "{}", compact(count));
            prop_assert!(rate(a_second).len() <= 5, "{}", rate(a_second));
        }
    }
}

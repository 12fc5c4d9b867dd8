//! How options become the fields of a program's own struct, and back for `GET /config`.

use std::{path::PathBuf, time::Duration};

use super::value::{Kind, Value, Words};
use crate::daemon::{
    go_duration::GoDuration,
    logging::{LEVEL_WORDS, Level, LogFormat},
};

/// A type that a field of an options struct may have.
///
/// `from_value` is only ever given values of [`Field::KIND`]; `to_value` gives such values.
pub trait Field: Sized {
    /// What the option's value is when it is typed.
    const KIND: Kind;

    /// Takes the value, or says what it must be, to be printed behind the flag: `must be >= 0`.
    ///
    /// # Errors
    /// If the program can do nothing with the value.
    fn from_value(value: Value) -> Result<Self, String>;

    /// The value as it would be typed.
    fn to_value(&self) -> Value;
}

/// What `GET /config/<key>` answers.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    /// Raw text, as `text/plain`.
    Text(String),
    /// JSON: numbers, durations in nanoseconds, booleans, lists.
    Json(serde_json::Value),
}

impl From<Value> for ConfigValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text),
            Value::Bool(flag) => Self::Json(flag.into()),
            Value::Int(number) | Value::Duration(number) => Self::Json(number.into()),
            Value::List(items) => Self::Json(items.into()),
            Value::Floats(numbers) => Self::Json(numbers.into_iter().map(go_number).collect()),
        }
    }
}

/// Go writes a whole float without a point: `1`, not `1.0`.
fn go_number(number: f64) -> serde_json::Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { (number as i64).into() } else { number.into() }
}

/// Implements [`Field`] for a type that holds a kind's value as it is.
macro_rules! plain_field {
    ($type:ty, $variant:ident) => {
        impl Field for $type {
            const KIND: Kind = Kind::$variant;

            fn from_value(value: Value) -> Result<Self, String> {
                match value {
                    Value::$variant(inner) => Ok(inner.into()),
                    other => unreachable!("a value of the field's own kind, not {other:?}"),
                }
            }

            fn to_value(&self) -> Value {
                Value::$variant(self.clone().into())
            }
        }
    };
}

plain_field!(bool, Bool);
plain_field!(i64, Int);
plain_field!(String, Text);
plain_field!(Vec<String>, List);
plain_field!(Vec<f64>, Floats);

/// Implements [`Field`] for a whole number of a smaller range.
macro_rules! ranged_field {
    ($type:ty, $must:expr) => {
        impl Field for $type {
            const KIND: Kind = Kind::Int;

            fn from_value(value: Value) -> Result<Self, String> {
                Self::try_from(i64::from_value(value)?).map_err(|_| $must.to_owned())
            }

            fn to_value(&self) -> Value {
                // Exact: every such number was made from an `i64`, or is a default.
                Value::Int(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    };
}

ranged_field!(u8, "must be [0,256)");
ranged_field!(u16, "must be [0,65536)");
ranged_field!(u64, "must be >= 0");
ranged_field!(usize, "must be >= 0");

impl Field for PathBuf {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Result<Self, String> {
        String::from_value(value).map(Self::from)
    }

    fn to_value(&self) -> Value {
        Value::Text(self.display().to_string())
    }
}

impl Field for Duration {
    const KIND: Kind = Kind::Duration;

    fn from_value(value: Value) -> Result<Self, String> {
        match value {
            Value::Duration(ns) => {
                u64::try_from(ns).map(Self::from_nanos).map_err(|_| "must be >= 0".to_owned())
            }
            other => unreachable!("a value of the field's own kind, not {other:?}"),
        }
    }

    fn to_value(&self) -> Value {
        Value::Duration(GoDuration::from(*self).0)
    }
}

impl Field for Level {
    const KIND: Kind = Kind::Words(&Words {
        name: "level",
        words: &LEVEL_WORDS,
        shown: "debug, info, warn, error, fatal",
        bare: None,
    });

    fn from_value(value: Value) -> Result<Self, String> {
        let number = i64::from_value(value)?;
        Self::from_number(number)
            .ok_or_else(|| unreachable!("every word stands for a level, not for {number}"))
    }

    fn to_value(&self) -> Value {
        Value::Int(self.number())
    }
}

impl Field for LogFormat {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Result<Self, String> {
        match String::from_value(value)?.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json".to_owned()),
        }
    }

    fn to_value(&self) -> Value {
        Value::Text(match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_give_back_what_they_took() {
        fn check<F: Field>(value: Value) {
            assert_eq!(F::from_value(value.clone()).ok().unwrap().to_value(), value);
        }
        check::<bool>(Value::Bool(true));
        check::<i64>(Value::Int(-1));
        check::<u8>(Value::Int(255));
        check::<u16>(Value::Int(65535));
        check::<u64>(Value::Int(i64::MAX));
        check::<usize>(Value::Int(0));
        check::<Duration>(Value::Duration(1_500));
        check::<String>(Value::Text("a".into()));
        check::<PathBuf>(Value::Text("a/b".into()));
        check::<Vec<String>>(Value::List(vec!["a".into()]));
        check::<Vec<f64>>(Value::Floats(vec![0.5]));
        check::<Level>(Value::Int(4));
        check::<LogFormat>(Value::Text("json".into()));
    }

    #[test]
    fn values_out_of_range_say_what_they_must_be() {
        assert_eq!(u8::from_value(Value::Int(256)), Err("must be [0,256)".into()));
        assert_eq!(u16::from_value(Value::Int(-1)), Err("must be [0,65536)".into()));
        assert_eq!(u64::from_value(Value::Int(-1)), Err("must be >= 0".into()));
        assert_eq!(usize::from_value(Value::Int(-1)), Err("must be >= 0".into()));
        assert_eq!(Duration::from_value(Value::Duration(-1)), Err("must be >= 0".into()));
        assert!(LogFormat::from_value(Value::Text("xml".into())).is_err());
    }

    #[test]
    fn config_values_are_text_or_json_as_in_nsq() {
        for (value, json) in [
            (Value::Int(5), json!(5)),
            (Value::Duration(60_000_000_000), json!(60_000_000_000_u64)),
            (Value::Bool(false), json!(false)),
            (Value::List(vec![]), json!([])),
            (Value::Floats(vec![1.0, 0.99]), json!([1, 0.99])),
        ] {
            assert_eq!(ConfigValue::from(value), ConfigValue::Json(json));
        }
        assert_eq!(ConfigValue::from(Value::Text("[nsqd] ".into())), ConfigValue::Text("[nsqd] ".into()));
    }
}

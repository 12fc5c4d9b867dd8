//! JSON objects read by the rules of Go, which wrote most of what this protocol carries.
//!
//! A key matches in any case, the last of two equal keys wins, `null` changes nothing, broken text is mended, but
//! a number with a fraction is no integer. Which keys there are, the object says.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A type that a JSON object is read into, key by key.
pub trait Object: Default {
    /// Takes over the value, which is JSON text, of a key in lower case; `None` where it does not fit. Keys that it
    /// does not know are none of its business.
    fn set(&mut self, key: &str, value: &str) -> Option<()>;
}

/// Reads an object, or `null` for one without keys.
///
/// # Errors
/// It is no JSON, no object, or holds a value of the wrong type.
pub fn read<T: Object>(body: &[u8]) -> Result<T, serde_json::Error> {
    let object: Option<Whole<T>> = serde_json::from_str(&mend_text(body))?;
    Ok(object.map(|Whole(object)| object).unwrap_or_default())
}

struct Whole<T>(T);

impl<'de, T: Object> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            unquote(key.get())
                .and_then(|name| object.set(&fold(&name), value.get()))
                .ok_or_else(|| A::Error::custom(format_args!("{key} does not fit its type")))?;
        }
        Ok(object)
    }
}

/// A type that a field of an object has.
pub trait Field: Sized {
    /// The value of a piece of JSON, already known to be well-formed.
    fn read(json: &str) -> Option<Self>;
}

impl Field for bool {
    fn read(json: &str) -> Option<Self> {
        json.parse().ok()
    }
}

impl Field for i64 {
    fn read(json: &str) -> Option<Self> {
        json.parse().ok()
    }
}

impl Field for i32 {
    fn read(json: &str) -> Option<Self> {
        json.parse().ok()
    }
}

impl Field for String {
    fn read(json: &str) -> Option<Self> {
        unquote(json)
    }
}

impl Field for Vec<String> {
    fn read(json: &str) -> Option<Self> {
        let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        let text = |element: &&RawValue| {
            let mut text = String::new();
            assign(&mut text, element.get())?;
            Some(text)
        };
        elements.iter().map(text).collect()
    }
}

impl<T: Object> Field for Vec<T> {
    fn read(json: &str) -> Option<Self> {
        let elements: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        elements.iter().map(|element| read(element.get().as_bytes()).ok()).collect()
    }
}

/// Sets the field, unless the value is `null`; `None` where it does not fit.
pub fn assign<T: Field>(field: &mut T, json: &str) -> Option<()> {
    if json != "null" {
        *field = T::read(json)?;
    }
    Some(())
}

/// The text of a JSON string. Half of a surrogate pair, which no text can hold, becomes U+FFFD.
fn unquote(json: &str) -> Option<String> {
    let bytes = serde_json::from_str::<Unquoted>(json).ok()?.0;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // `json` is UTF-8, so these bytes come from a `\uD800` to `\uDFFF`: three, of which this is the first.
        if chunk.invalid().first() == Some(&0xed) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(text)
}

/// The bytes of a JSON string, which serde_json hands out also where they are not UTF-8.
struct Unquoted(Vec<u8>);

impl<'de> Deserialize<'de> for Unquoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl Visitor<'_> for BytesVisitor {
            type Value = Unquoted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Unquoted, E> {
                Ok(Unquoted(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(BytesVisitor)
    }
}

/// `key` in lower case, where case is only that of the letters our keys are made of. The long s and the
/// Kelvin sign are variants of two of them.
fn fold(key: &str) -> String {
    let fold_char = |char| match char {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => char.to_ascii_lowercase(),
    };
    key.chars().map(fold_char).collect()
}

/// `body` as text: each byte that is not UTF-8 becomes one U+FFFD.
#[must_use]
pub fn mend_text(body: &[u8]) -> String {
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

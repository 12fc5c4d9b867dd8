//! What a password is known by: a hash of argon2id, in the form that all its programs write.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// How many random bytes a secret has.
const SECRET_BYTES: usize = 32;

/// The hash of a password: `$argon2id$v=19$…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash(String);

impl Hash {
    /// The hash of a password, with a salt of its own; `None` where the system gives no random numbers.
    #[must_use]
    pub fn of(password: &str) -> Option<Self> {
        let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).ok()?;
        Some(Self(hash.to_string()))
    }

    /// Reads a hash; `None` for what is none of argon2.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.starts_with("$argon2") && PasswordHash::new(text).is_ok();
        is_one.then(|| Self(text.to_owned()))
    }

    /// Whether that is the password.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        let hash = PasswordHash::new(&self.0);
        hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret that nobody can guess, as text for a cookie; `None` where the system gives no random numbers.
#[must_use]
pub fn secret() -> Option<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_is_verified() {
        let hash = Hash::of("secret").unwrap();
        let again = Hash::parse(&hash.to_string()).unwrap();
        assert!(again.verify("secret") && !again.verify("Secret") && !again.verify(""));
        assert!(hash.to_string().starts_with("$argon2id$v=19$"));
        for text in ["", "secret", "$argon2id$", "$pbkdf2$x"] {
            assert_eq!(Hash::parse(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_differ() {
        assert_ne!(secret().unwrap(), secret().unwrap());
        assert_eq!(secret().unwrap().len(), 2 * SECRET_BYTES);
    }
}

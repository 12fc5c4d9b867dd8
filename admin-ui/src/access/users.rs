//! The users who may log in, from a file: one a line, `name:role:hash`.

use std::collections::BTreeMap;
use std::path::Path;

use nsq::daemon::os_error::os_error_text;

use super::password::Hash;
use super::role::Role;

/// How many users there may be.
const USERS_MAX: usize = 10_000;

/// Users by name.
#[derive(Debug, Default)]
pub struct Users(BTreeMap<String, User>);

/// One who may log in.
#[derive(Debug, Clone)]
pub struct User {
    /// What he may do.
    pub role: Role,
    /// What his password is known by.
    pub hash: Hash,
}

impl Users {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or a line of it makes no sense: which one, and why.
    pub fn load(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let failed = |why: String| format!("failed to read --auth-file ({shown}) - {why}");
        let text = std::fs::read_to_string(path).map_err(|error| failed(os_error_text(&error)))?;
        Self::parse(&text).map_err(failed)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut users = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, user) = user(line).map_err(|why| format!("line {number}: {why}"))?;
            if users.insert(name, user).is_some() {
                return Err(format!("line {number}: the user is there twice"));
            }
            if users.len() > USERS_MAX {
                return Err(format!("line {number}: more than {USERS_MAX} users"));
            }
        }
        if users.is_empty() { Err("it names no users".to_owned()) } else { Ok(Self(users)) }
    }

    /// The user of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }
}

fn user(line: &str) -> Result<(String, User), String> {
    let mut parts = line.splitn(3, ':');
    let (Some(name), Some(role), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("not of the form name:role:hash".to_owned());
    };
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    let role = Role::parse(role).ok_or("the role is none of viewer, operator, admin")?;
    let hash = Hash::parse(hash).ok_or("the hash is none of argon2; nsqadmin --hash-password makes one")?;
    Ok((name.to_owned(), User { role, hash }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_and_nonsense_is_named_with_its_line() {
        let hash = Hash::of("secret").unwrap();
        let users = Users::parse(&format!("# people\n\nann:admin:{hash}\nbob:viewer:{hash}\n")).unwrap();
        assert_eq!(users.find("bob").unwrap().role, Role::Viewer);
        assert!(users.find("ann").unwrap().hash.verify("secret"));
        assert!(users.find("eve").is_none());
        for (text, why) in [
            (String::new(), "it names no users"),
            ("x".to_owned(), "line 1: not of the form name:role:hash"),
            (format!(":admin:{hash}"), "line 1: the name is empty"),
            (format!("a:root:{hash}"), "line 1: the role is none of viewer, operator, admin"),
            (
                "\na:admin:secret".to_owned(),
                "line 2: the hash is none of argon2; nsqadmin --hash-password makes one",
            ),
            (format!("a:admin:{hash}\na:admin:{hash}"), "line 2: the user is there twice"),
        ] {
            assert_eq!(Users::parse(&text).unwrap_err(), why);
        }
    }
}

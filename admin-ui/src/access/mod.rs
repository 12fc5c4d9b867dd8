//! Who may do what: whom a proxy names, who has logged in, and whose pages may ask.

mod origin;
mod password;
mod role;
mod sessions;
mod throttle;
mod users;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

pub use self::origin::Origins;
pub use self::password::{Hash, secret};
pub use self::role::Role;
use self::sessions::Sessions;
use self::throttle::Throttle;
pub use self::users::Users;

/// How many passwords are checked at the same time: each takes a processor and 19 MiB for some 20 ms.
const CHECKS_MAX: usize = 2;

/// The rules.
#[derive(Debug)]
pub struct Access {
    /// The users whom a proxy may name, and who may then do everything; if there are none, a proxy need not name any.
    admins: Vec<String>,
    /// Who may log in; `None` where nobody must.
    users: Option<Users>,
    /// Whose pages may change things.
    pub origins: Origins,
    sessions: Sessions,
    throttle: Throttle,
    checks: Semaphore,
}

/// Somebody, as far as he is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// His name; empty where it is not known.
    pub name: String,
    /// What he may do.
    pub role: Role,
}

/// Why nobody was logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginError {
    /// Nobody need, or can.
    NoLogin,
    /// No such user, or not his password.
    Wrong,
    /// Too many wrong ones; how long to wait.
    TooMany(Duration),
}

impl Access {
    /// These rules.
    #[must_use]
    pub fn new(admins: Vec<String>, users: Option<Users>, origins: Origins) -> Self {
        Self {
            admins,
            users,
            origins,
            sessions: Sessions::default(),
            throttle: Throttle::default(),
            checks: Semaphore::new(CHECKS_MAX),
        }
    }

    /// Whether one must log in.
    #[must_use]
    pub fn has_login(&self) -> bool {
        self.users.is_some()
    }

    /// Who that is, by the user that a proxy names and the secret of a session; `None` for one who must log in.
    #[must_use]
    pub fn visitor(&self, proxied: Option<&str>, session: Option<&str>, now: Instant) -> Option<Visitor> {
        if let Some(name) = proxied.filter(|name| self.admins.iter().any(|admin| admin == name)) {
            return Some(Visitor { name: name.to_owned(), role: Role::Admin });
        }
        if self.users.is_some() {
            let (name, role) = self.sessions.find(session?, now)?;
            return Some(Visitor { name, role });
        }
        let role = if self.admins.is_empty() { Role::Admin } else { Role::Viewer };
        Some(Visitor { name: proxied.unwrap_or_default().to_owned(), role })
    }

    /// Logs somebody in, and gives the secret of his session.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn log_in(
        &self,
        from: IpAddr,
        name: &str,
        password: String,
    ) -> Result<(String, Visitor), LoginError> {
        let users = self.users.as_ref().ok_or(LoginError::NoLogin)?;
        let tried = Instant::now();
        self.throttle.try_once(from, tried).map_err(LoginError::TooMany)?;
        let user = users.find(name).cloned();
        // It is never closed.
        let _permit = self.checks.acquire().await;
        let role = user.as_ref().map(|user| user.role);
        // Somebody unknown takes as long as a wrong password does.
        let check = move || match user {
            Some(user) => user.hash.verify(&password),
            None => Hash::of(&password).is_none(),
        };
        // A check that panicked has said so, and nobody passes by it.
        let is_right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        let (true, Some(role), Some(secret)) = (is_right, role, secret()) else {
            return Err(LoginError::Wrong);
        };
        self.throttle.succeeded(from, tried);
        self.sessions.begin(secret.clone(), name, role, Instant::now());
        Ok((secret, Visitor { name: name.to_owned(), role }))
    }

    /// Ends a session.
    pub fn log_out(&self, session: &str) {
        self.sessions.end(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(admins: &[&str], with_login: bool) -> Access {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        std::fs::write(&path, format!("ann:operator:{}\n", Hash::of("secret").unwrap())).unwrap();
        let users = with_login.then(|| Users::load(&path).unwrap());
        Access::new(admins.iter().map(|name| (*name).to_owned()).collect(), users, Origins::default())
    }

    #[test]
    fn a_proxy_names_who_may_change_things() {
        let role = |access: &Access, proxied: Option<&str>| {
            access.visitor(proxied, None, Instant::now()).map(|visitor| visitor.role)
        };
        let open = access(&[], false);
        assert_eq!(role(&open, None), Some(Role::Admin));
        let closed = access(&["alice"], false);
        assert_eq!(role(&closed, None), Some(Role::Viewer));
        assert_eq!(role(&closed, Some("bob")), Some(Role::Viewer));
        assert_eq!(role(&closed, Some("alice")), Some(Role::Admin));
        let with_login = access(&["alice"], true);
        assert_eq!(role(&with_login, Some("alice")), Some(Role::Admin));
        assert_eq!(role(&with_login, Some("bob")), None);
        // A header alone opens nothing where nobody is named.
        assert_eq!(role(&access(&[], true), Some("alice")), None);
    }

    #[tokio::test]
    async fn one_logs_in_with_the_right_password_and_out_again() {
        let access = access(&[], true);
        let from = IpAddr::from([127, 0, 0, 1]);
        for (name, password) in [("ann", "wrong"), ("eve", "secret")] {
            let refused = access.log_in(from, name, password.to_owned()).await;
            assert_eq!(refused, Err(LoginError::Wrong));
        }
        let (secret, visitor) = access.log_in(from, "ann", "secret".to_owned()).await.unwrap();
        assert_eq!(access.visitor(None, Some(&secret), Instant::now()), Some(visitor));
        access.log_out(&secret);
        assert_eq!(access.visitor(None, Some(&secret), Instant::now()), None);
    }
}

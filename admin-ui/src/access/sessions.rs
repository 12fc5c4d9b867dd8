//! Who has logged in, by the secret in his cookie. Kept in memory: a restart logs everybody out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::role::Role;

/// After how long without a request a session ends.
const IDLE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// How many sessions there may be; the one that was idle longest makes room.
const SESSIONS_MAX: usize = 10_000;

/// Why the lock is never poisoned.
const NO_PANIC: &str = "no code panics while it holds the sessions";

/// The sessions. Locked for a look, an insertion or a removal.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

#[derive(Debug, Clone)]
struct Session {
    name: String,
    role: Role,
    used: Instant,
}

impl Sessions {
    /// Begins a session under a secret that nobody can guess.
    pub(super) fn begin(&self, secret: String, name: &str, role: Role, now: Instant) {
        let mut sessions = self.lock();
        sessions.retain(|_, session| now.saturating_duration_since(session.used) < IDLE_MAX);
        if sessions.len() >= SESSIONS_MAX {
            let idlest = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone());
            idlest.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(secret, Session { name: name.to_owned(), role, used: now });
    }

    /// Whose session that is, and what he may do.
    #[must_use]
    pub(super) fn find(&self, secret: &str, now: Instant) -> Option<(String, Role)> {
        let mut sessions = self.lock();
        let session = sessions.get_mut(secret)?;
        if now.saturating_duration_since(session.used) >= IDLE_MAX {
            sessions.remove(secret);
            return None;
        }
        session.used = now;
        Some((session.name.clone(), session.role))
    }

    /// Ends a session.
    pub(super) fn end(&self, secret: &str) {
        self.lock().remove(secret);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().expect(NO_PANIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_or_ended() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        sessions.begin("s".to_owned(), "ann", Role::Admin, now);
        let nearly = now + IDLE_MAX - Duration::from_secs(1);
        assert_eq!(sessions.find("s", nearly), Some(("ann".to_owned(), Role::Admin)));
        assert_eq!(sessions.find("t", now), None);
        assert!(sessions.find("s", nearly + IDLE_MAX - Duration::from_secs(1)).is_some());
        assert!(sessions.find("s", nearly + 3 * IDLE_MAX).is_none());
        sessions.begin("u".to_owned(), "bob", Role::Viewer, now);
        sessions.end("u");
        assert_eq!(sessions.find("u", now), None);
    }

    #[test]
    fn the_idlest_session_makes_room() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        for number in 0..=SESSIONS_MAX {
            let at = now + Duration::from_millis(number as u64);
            sessions.begin(number.to_string(), "ann", Role::Admin, at);
        }
        assert!(sessions.find("0", now).is_none());
        assert!(sessions.find("1", now).is_some());
    }
}

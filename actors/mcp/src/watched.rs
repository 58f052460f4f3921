//! Resources that sessions want to hear of when they change.

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Resources of one server, and sessions of one resource; what comes beyond is not watched.
const RESOURCES_MAX: usize = 64;
const SESSIONS_MAX: usize = 64;

/// The watched resources of a server: who watches, and whether there is news. They outlive the server's process, which is
/// asked for them again when it is started anew.
#[derive(Default)]
pub struct Watched(Mutex<BTreeMap<String, BTreeMap<String, bool>>>);

impl Watched {
    /// `session` wants to hear of `uri`. False when too much is watched already.
    pub fn add(&self, uri: &str, session: &str) -> bool {
        let mut resources = self.0.lock();
        if !resources.contains_key(uri) && resources.len() >= RESOURCES_MAX {
            return false;
        }
        let sessions = resources.entry(uri.to_owned()).or_default();
        let fits = sessions.len() < SESSIONS_MAX || sessions.contains_key(session);
        if fits {
            sessions.insert(session.to_owned(), false);
        }
        fits
    }

    /// A resource has changed; one that nobody watches is no news.
    pub fn changed(&self, uri: &str) {
        if let Some(sessions) = self.0.lock().get_mut(uri) {
            sessions.values_mut().for_each(|is_news| *is_news = true);
        }
    }

    /// What is watched. After a time in which nobody looked, all of it may have changed.
    pub fn all_anew(&self) -> Vec<String> {
        let mut resources = self.0.lock();
        for sessions in resources.values_mut() {
            sessions.values_mut().for_each(|is_news| *is_news = true);
        }
        resources.keys().cloned().collect()
    }

    /// What has changed since `session` heard of it last.
    pub fn news(&self, session: &str) -> Vec<String> {
        let mut resources = self.0.lock();
        let news = resources.iter_mut().filter_map(|(uri, sessions)| {
            let is_news = sessions.get_mut(session)?;
            std::mem::take(is_news).then(|| uri.clone())
        });
        news.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_hears_once_of_what_it_watches() {
        let watched = Watched::default();
        assert!(watched.add("a://b", "one") && watched.add("a://b", "two"));
        watched.changed("a://b");
        watched.changed("a://b");
        watched.changed("a://other");
        assert_eq!(watched.news("one"), ["a://b"]);
        assert!(watched.news("one").is_empty() && watched.news("three").is_empty());
        assert_eq!(watched.news("two"), ["a://b"]);
        assert_eq!(watched.all_anew(), ["a://b"]);
        assert_eq!(watched.news("one"), ["a://b"]);
        for number in 1..RESOURCES_MAX {
            assert!(watched.add(&number.to_string(), "one"));
        }
        assert!(!watched.add("too many", "one") && watched.add("a://b", "one"));
    }
}

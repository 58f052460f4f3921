//! Resources that sessions want to hear of when they change.

use parking_lot::Mutex;

/// Resources of one server, and sessions of one resource; the oldest go.
const RESOURCES_MAX: usize = 64;
const SESSIONS_MAX: usize = 64;

/// The watched resources of a server: who watches, and whether there is news. They outlive the server's process, which is
/// asked for them again when it is started anew.
#[derive(Default)]
pub struct Watched(Mutex<Vec<Resource>>);

struct Resource {
    uri: String,
    /// Who watches, and whether there is news; who asked last is last.
    sessions: Vec<(String, bool)>,
}

impl Watched {
    /// `session` wants to hear of `uri`.
    pub fn add(&self, uri: &str, session: &str) {
        let mut resources = self.0.lock();
        let known = resources.iter().position(|known| known.uri == uri);
        let mut resource = known.map(|at| resources.remove(at)).unwrap_or(Resource {
            uri: uri.to_owned(),
            sessions: Vec::new(),
        });
        resource.sessions.retain(|(known, _)| known != session);
        if resource.sessions.len() >= SESSIONS_MAX {
            resource.sessions.remove(0);
        }
        resource.sessions.push((session.to_owned(), false));
        if resources.len() >= RESOURCES_MAX {
            resources.remove(0);
        }
        resources.push(resource);
    }

    /// A resource has changed; one that nobody watches is no news.
    pub fn changed(&self, uri: &str) {
        let mut resources = self.0.lock();
        let found = resources.iter_mut().find(|known| known.uri == uri);
        found.into_iter().for_each(Resource::is_news);
    }

    /// What is watched. After a time in which nobody looked, all of it may have changed.
    pub fn all_anew(&self) -> Vec<String> {
        let mut resources = self.0.lock();
        resources.iter_mut().for_each(Resource::is_news);
        resources.iter().map(|known| known.uri.clone()).collect()
    }

    /// What has changed since `session` heard of it last.
    pub fn news(&self, session: &str) -> Vec<String> {
        let mut resources = self.0.lock();
        let news = resources.iter_mut().filter_map(|resource| {
            let mut sessions = resource.sessions.iter_mut();
            let (_, is_news) = sessions.find(|(known, _)| known == session)?;
            std::mem::take(is_news).then(|| resource.uri.clone())
        });
        news.collect()
    }
}

impl Resource {
    fn is_news(&mut self) {
        self.sessions
            .iter_mut()
            .for_each(|(_, is_news)| *is_news = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_hears_once_of_what_it_watches() {
        let watched = Watched::default();
        watched.add("a://b", "one");
        watched.add("a://b", "two");
        watched.changed("a://b");
        watched.changed("a://b");
        watched.changed("a://other");
        assert_eq!(watched.news("one"), ["a://b"]);
        assert!(watched.news("one").is_empty() && watched.news("three").is_empty());
        assert_eq!(watched.news("two"), ["a://b"]);
        assert_eq!(watched.all_anew(), ["a://b"]);
        assert_eq!(watched.news("one"), ["a://b"]);
        // The oldest go.
        for number in 0..SESSIONS_MAX {
            watched.add("a://b", &number.to_string());
        }
        watched.changed("a://b");
        assert!(watched.news("one").is_empty());
        assert_eq!(watched.news("63"), ["a://b"]);
        for number in 0..RESOURCES_MAX {
            watched.add(&number.to_string(), "one");
        }
        watched.changed("a://b");
        assert!(watched.news("63").is_empty());
        assert_eq!(watched.all_anew().len(), RESOURCES_MAX);
    }
}

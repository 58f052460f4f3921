//! What a server says of its own accord, and what is answered when it asks.

use crate::problems::Problems;
use crate::rpc::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Pieces of work that are remembered of one server.
const WORK_MAX: usize = 256;
/// Work that says nothing for so long is not waited for any more.
const WORK_SILENT: Duration = Duration::from_secs(60);
/// Registrations that are remembered.
const REGISTERED_MAX: usize = 256;
/// Settings that are answered at once.
const ITEMS_MAX: usize = 256;

/// Told of each file whose problems were published.
pub type OnPublish = Arc<dyn Fn(&Path) + Send + Sync>;

/// What is known of a running server.
pub struct State {
    /// What it finds wrong.
    pub problems: Mutex<Problems>,
    work: Mutex<Work>,
    /// By its id what was registered.
    registered: Mutex<HashMap<String, Registered>>,
    settings: Value,
    root: Value,
    changed: watch::Sender<()>,
    on_publish: OnPublish,
}

struct Registered {
    method: String,
    /// What is found in one file depends on others.
    links: bool,
}

#[derive(Default)]
struct Work {
    /// How often it said that what it had answered is old.
    refreshes: u64,
    tokens: HashMap<String, Token>,
    /// It said itself that it is not ready.
    unready: bool,
    /// When problems were heard of last.
    heard: Option<Instant>,
}

struct Token {
    title: String,
    percentage: Option<u64>,
    began: Instant,
    last: Instant,
}

/// Work that goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Busy {
    /// What the server calls it: `Indexing 40%`.
    pub text: String,
    /// When it began.
    pub began: Option<Instant>,
}

impl State {
    /// Of a server with these settings whose workspace is the folder `name` at `uri`.
    pub fn new(settings: Value, uri: &str, name: &str, on_publish: OnPublish) -> Self {
        Self {
            problems: Mutex::default(),
            work: Mutex::default(),
            registered: Mutex::default(),
            settings,
            root: json!([{"uri": uri, "name": name}]),
            changed: watch::Sender::new(()),
            on_publish,
        }
    }

    /// Wakes at each change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// When problems were heard of last.
    pub fn heard(&self) -> Option<Instant> {
        self.work.lock().heard
    }

    /// The server's oldest work, if it does any.
    pub fn busy(&self) -> Option<Busy> {
        let work = self.work.lock();
        let now = Instant::now();
        let alive = work
            .tokens
            .values()
            .filter(|token| now.duration_since(token.last) < WORK_SILENT);
        if let Some(token) = alive.min_by_key(|token| token.began) {
            let part = token.percentage.map(|part| format!(" {part}%"));
            return Some(Busy {
                text: format!("{}{}", token.title, part.unwrap_or_default()),
                began: Some(token.began),
            });
        }
        work.unready.then(|| Busy {
            text: "Loading".into(),
            began: None,
        })
    }

    /// Whether the server asked to be served with this method.
    pub fn has_registered(&self, method: &str) -> bool {
        let registered = self.registered.lock();
        registered.values().any(|known| known.method == method)
    }

    /// Whether it registered to be asked for problems, and those of one file depend on others.
    pub fn has_registered_links(&self) -> bool {
        let registered = self.registered.lock();
        registered.values().any(|known| known.links)
    }

    /// How often the server said that what it had answered about problems is old.
    pub fn refreshes(&self) -> u64 {
        self.work.lock().refreshes
    }

    /// Something was heard of that is not a notification.
    pub fn touch(&self) {
        self.work.lock().heard = Some(Instant::now());
        self.changed.send_replace(());
    }

    fn progress(&self, params: &Value) {
        let Some(token) = params.get("token").map(Value::to_string) else {
            return;
        };
        let value = &params["value"];
        let percentage = value.get("percentage").and_then(Value::as_u64);
        let mut work = self.work.lock();
        let now = Instant::now();
        match value.get("kind").and_then(Value::as_str) {
            Some("begin") if work.tokens.len() < WORK_MAX && token.len() < 256 => {
                let title = value.get("title").and_then(Value::as_str);
                let title = title.unwrap_or("Working").chars().take(80).collect();
                let begun = Token {
                    title,
                    percentage,
                    began: now,
                    last: now,
                };
                work.tokens.insert(token, begun);
            }
            Some("report") => {
                if let Some(known) = work.tokens.get_mut(&token) {
                    known.last = now;
                    known.percentage = percentage.or(known.percentage);
                }
            }
            Some("end") => {
                work.tokens.remove(&token);
            }
            _ => {}
        }
    }

    fn settings_for(&self, item: &Value) -> Value {
        let section = item.get("section").and_then(Value::as_str);
        let Some(section) = section.filter(|section| !section.is_empty()) else {
            return self.settings.clone();
        };
        let mut found = &self.settings;
        for key in section.split('.').take(16) {
            match found.get(key) {
                Some(value) => found = value,
                None => return Value::Null,
            }
        }
        found.clone()
    }

    fn register(&self, params: &Value, list: &str, is_new: bool) {
        let mut registered = self.registered.lock();
        let items = params.get(list).and_then(Value::as_array);
        for item in items.into_iter().flatten().take(REGISTERED_MAX) {
            let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
            let (Some(id), Some(method)) = (text("id"), text("method")) else {
                continue;
            };
            if !is_new {
                registered.remove(&id);
            } else if registered.len() < REGISTERED_MAX && id.len() + method.len() < 1_024 {
                let options = item.get("registerOptions");
                let links = options.and_then(|options| options.get("interFileDependencies"));
                let links =
                    method == "textDocument/diagnostic" && links == Some(&Value::Bool(true));
                registered.insert(id, Registered { method, links });
            }
        }
        drop(registered);
        // A look may wait for just that.
        self.changed.send_replace(());
    }
}

impl Incoming for State {
    fn notified(&self, method: &str, mut params: Value) {
        match method {
            "textDocument/publishDiagnostics" => {
                let path: Option<PathBuf> = self.problems.lock().publish(&mut params);
                if let Some(path) = path {
                    self.work.lock().heard = Some(Instant::now());
                    (self.on_publish)(&path);
                }
            }
            "$/progress" => self.progress(&params),
            // rust-analyzer's own, sent because the start asks for it.
            "experimental/serverStatus" => {
                let ready = params.get("quiescent").and_then(Value::as_bool);
                self.work.lock().unready = ready == Some(false);
            }
            _ => return,
        }
        self.changed.send_replace(());
    }

    fn requested(&self, method: &str, params: Value) -> Option<Value> {
        let answer = match method {
            "workspace/configuration" => {
                let items = params.get("items").and_then(Value::as_array);
                let items = items.into_iter().flatten().take(ITEMS_MAX);
                items.map(|item| self.settings_for(item)).collect()
            }
            "workspace/workspaceFolders" => self.root.clone(),
            "client/registerCapability" => {
                self.register(&params, "registrations", true);
                Value::Null
            }
            "client/unregisterCapability" => {
                // The protocol's own slip in this name.
                self.register(&params, "unregisterations", false);
                Value::Null
            }
            "workspace/applyEdit" => {
                json!({"applied": false, "failureReason": "edits are made by the agent only"})
            }
            "window/showDocument" => json!({"success": false}),
            "workspace/diagnostic/refresh" => {
                self.work.lock().refreshes += 1;
                self.changed.send_replace(());
                Value::Null
            }
            "window/workDoneProgress/create"
            | "window/showMessageRequest"
            | "workspace/semanticTokens/refresh"
            | "workspace/inlayHint/refresh"
            | "workspace/inlineValue/refresh"
            | "workspace/codeLens/refresh"
            | "workspace/foldingRange/refresh" => {
                self.changed.send_replace(());
                Value::Null
            }
            _ => return None,
        };
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::State;
    use crate::rpc::Incoming;
    use serde_json::{Value, json};
    use std::sync::Arc;
    use std::time::Duration;

    fn state(settings: Value) -> State {
        State::new(settings, "file:///p", "p", Arc::new(|_| {}))
    }

    fn progress(state: &State, token: &str, value: Value) {
        state.notified("$/progress", json!({"token": token, "value": value}));
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_told_until_it_ends_or_says_nothing_any_more() {
        let state = state(Value::Null);
        let text = || state.busy().map(|busy| busy.text);
        assert_eq!(text(), None);
        progress(&state, "1", json!({"kind": "begin", "title": "Indexing"}));
        progress(&state, "1", json!({"kind": "report", "percentage": 40}));
        assert_eq!(text().as_deref(), Some("Indexing 40%"));
        tokio::time::advance(Duration::from_secs(59)).await;
        progress(&state, "1", json!({"kind": "report"}));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(text().is_some());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(text(), None);
        for number in 0..10_000 {
            progress(&state, &number.to_string(), json!({"kind": "begin"}));
        }
        for number in 0..10_000 {
            progress(&state, &number.to_string(), json!({"kind": "end"}));
        }
        progress(&state, "1", json!({"kind": "end"}));
        state.notified("experimental/serverStatus", json!({"quiescent": false}));
        assert_eq!(text().as_deref(), Some("Loading"));
        state.notified("experimental/serverStatus", json!({"quiescent": true}));
        state.notified("$/progress", json!("odd"));
        assert_eq!(text(), None);
    }

    #[test]
    fn what_a_server_asks_is_answered() {
        let state = state(json!({"python": {"pythonPath": "/v/bin/python"}}));
        let items =
            json!({"items": [{"section": "python"}, {"section": "python.analysis"}, {}, 7]});
        let python = json!({"pythonPath": "/v/bin/python"});
        let all = json!({"python": python});
        assert_eq!(
            state.requested("workspace/configuration", items),
            Some(json!([python, null, all, all]))
        );
        let odd = state.requested("workspace/configuration", json!(null));
        assert_eq!(odd, Some(json!([])));
        let registrations =
            json!({"registrations": [{"id": "1", "method": "textDocument/diagnostic"}, 3]});
        state.requested("client/registerCapability", registrations);
        assert!(state.has_registered("textDocument/diagnostic"));
        let gone = json!({"unregisterations": [{"id": "1", "method": "textDocument/diagnostic"}]});
        state.requested("client/unregisterCapability", gone);
        assert!(!state.has_registered("textDocument/diagnostic"));
        let folders = state.requested("workspace/workspaceFolders", Value::Null);
        assert_eq!(folders, Some(json!([{"uri": "file:///p", "name": "p"}])));
        assert_eq!(state.requested("made/up", Value::Null), None);
    }
}

//! Opens an address in the user's browser, where one is to be had.

use kilo_config::Environment;
use kilo_ports::sandbox::{Process, Sandbox, SpawnSpec, Streams};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How long a program that opens browsers may take to say that it cannot; one that stays is the browser itself.
const VERDICT: Duration = Duration::from_secs(3);

/// Programs that open browsers often end at once and leave one behind, which would end with them: the shell stays.
const SCRIPT: &str =
    r#""$0" "$1" >/dev/null 2>&1 </dev/null || exit 1; echo; exec sleep 2147483647"#;

/// A program that opens addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    program: String,
}

impl Browser {
    /// `BROWSER`, or the desktop's own way; `None` without a screen: who has signed in over a wire has his browser elsewhere.
    pub fn of(environment: &Environment) -> Option<Self> {
        let is_far = environment.get("SSH_CONNECTION").is_some();
        let has_screen = cfg!(target_os = "macos")
            || environment.get("DISPLAY").is_some()
            || environment.get("WAYLAND_DISPLAY").is_some();
        if is_far || !has_screen {
            return None;
        }
        // Lists and patterns of the variable are for others.
        let named = environment.get("BROWSER");
        let named = named.filter(|named| !named.contains([':', '%', ' ']));
        let usual = match cfg!(target_os = "macos") {
            true => "open",
            false => "xdg-open",
        };
        Some(Self {
            program: named.unwrap_or(usual).to_owned(),
        })
    }

    /// Opens a web address. `None` when that does not work, as far as can be known; else what is to be kept: dropped, it
    /// takes along a browser that was not there before.
    pub async fn open(
        &self,
        url: &str,
        directory: &Path,
        sandbox: &Arc<dyn Sandbox>,
    ) -> Option<Box<dyn Process>> {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        if !is_web {
            return None;
        }
        let spawned = sandbox.spawn(SpawnSpec {
            title: "browser".into(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), SCRIPT.into(), self.program.clone(), url.into()],
            directory: directory.to_owned(),
            env: Vec::new(),
            streams: Streams::Separate,
        });
        let mut spawned = spawned.await.ok()?;
        let mut said = [0];
        let opened = tokio::time::timeout(VERDICT, spawned.stdout.read(&mut said)).await;
        // One that says nothing is the browser itself.
        let is_open = opened.map_or(true, |read| read.is_ok_and(|bytes| bytes > 0));
        is_open.then_some(spawned.process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_screen_there_is_no_browser() {
        let of = |vars: &[(&str, &str)]| {
            let vars = vars.iter().map(|(k, v)| (k.to_string(), v.to_string()));
            let environment = Environment {
                vars: vars.collect(),
                ..Environment::default()
            };
            Browser::of(&environment).map(|browser| browser.program)
        };
        if cfg!(target_os = "macos") {
            return; // there is always a screen
        }
        let screen = ("DISPLAY", ":0");
        assert_eq!(of(&[("BROWSER", "firefox")]), None);
        assert_eq!(of(&[screen, ("SSH_CONNECTION", "x")]), None);
        assert_eq!(of(&[screen]).as_deref(), Some("xdg-open"));
        assert_eq!(
            of(&[("WAYLAND_DISPLAY", "w"), ("BROWSER", "firefox")]).as_deref(),
            Some("firefox")
        );
        assert_eq!(
            of(&[screen, ("BROWSER", "sh -c %s")]).as_deref(),
            Some("xdg-open")
        );
    }
}

//! Everything that runs beside the daemon, for people who ask what eats their machine.

use super::super::Answer;
use crate::daemon::Daemon;
use kilo_edge::{Reply, Request};
use kilo_ports::sandbox::Running;
use kilo_protocol::process::RunningProcess;
use kilo_protocol::{Millis, SessionId};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) async fn list(daemon: Arc<Daemon>, _: Request) -> Answer {
    let running = daemon.running().await?;
    let now = daemon.clock.now();
    let mut users = BTreeMap::new();
    users.extend(daemon.servers.users());
    users.extend(daemon.folders.languages().users());
    let shown: Vec<_> = running
        .into_iter()
        .map(|one| {
            let owner = daemon.processes.owner(one.pid);
            let mut shown = shown(one, owner, now);
            let users = users.get(&shown.pid).into_iter().flatten();
            shown.users = users.map(ToString::to_string).collect();
            shown
        })
        .collect();
    Reply::json(&shown)
}

fn shown(one: Running, owner: Option<SessionId>, now: Millis) -> RunningProcess {
    RunningProcess {
        pid: one.pid,
        title: one.title,
        directory: one.directory.to_string_lossy().into_owned(),
        session_id: owner,
        users: Vec::new(),
        terminal: one.has_terminal,
        started: now.saturating_sub(one.age_ms),
        age_ms: one.age_ms,
        processes: one.usage.processes,
        memory_bytes: one.usage.memory_bytes,
        cpu_ms: one.usage.cpu_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kilo_ports::sandbox::Usage;
    use serde_json::json;

    #[test]
    fn a_process_is_shown_with_its_start_its_use_and_its_session() {
        let one = Running {
            title: "background npm start".into(),
            pid: 7,
            directory: "/a".into(),
            has_terminal: false,
            age_ms: 400,
            usage: Usage {
                processes: 2,
                memory_bytes: 4_096,
                cpu_ms: 30,
            },
        };
        let owner = SessionId::from_wire("ses_1");
        let shown = |owner| serde_json::to_value(shown(one.clone(), owner, 1_000)).expect("JSON");
        let mut wanted = json!({"pid": 7, "title": "background npm start", "directory": "/a", "terminal": false,
            "started": 600, "ageMs": 400, "processes": 2, "memoryBytes": 4_096, "cpuMs": 30});
        assert_eq!(shown(None), wanted);
        wanted["sessionID"] = json!("ses_1");
        assert_eq!(shown(Some(owner)), wanted);
    }
}

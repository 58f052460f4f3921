//! The process that started this one: a daemon that an editor started ends when the editor does.

use kilo_config::Environment;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::time::Duration;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until the process that `KILO_PARENT_PID` names has ended; for ever if it names none. A process that is not there
/// has ended. Cancel safe.
pub async fn ended(environment: &Environment) {
    let named = environment
        .get("KILO_PARENT_PID")
        .and_then(|text| text.trim().parse::<u32>().ok())
        .and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
    match named {
        Some(pid) => end_of(pid).await,
        None => std::future::pending().await,
    }
}

async fn end_of(pid: Pid) {
    // The descriptor stands for this one process, whoever gets its number later.
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => {
            while is_running(&process) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Err(rustix::io::Errno::SRCH) => {}
        Err(error) => {
            tracing::warn!(%error, "the parent's end will not be noticed");
            return std::future::pending().await;
        }
    }
    tracing::info!(pid = pid.as_raw_nonzero().get(), "the parent has ended");
}

/// A process's descriptor can be read once it has ended, collected or not.
fn is_running(process: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(process, PollFlags::IN)];
    !matches!(poll(&mut asked, Some(&Timespec::default())), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::ended;
    use kilo_config::Environment;
    use std::time::Duration;
    use tokio::time::timeout;

    fn named(pid: &str) -> Environment {
        let mut environment = Environment::default();
        environment
            .vars
            .insert("KILO_PARENT_PID".into(), pid.into());
        environment
    }

    #[tokio::test]
    async fn an_ended_parent_is_noticed() {
        let mut child = kilo_tests::sleeper();
        let pid = child.id();
        let environment = named(&pid.to_string());
        let waiting = ended(&environment);
        tokio::pin!(waiting);
        assert!(
            timeout(Duration::from_millis(50), waiting.as_mut())
                .await
                .is_err()
        );
        child.kill().expect("its end");
        assert!(timeout(Duration::from_secs(3), waiting).await.is_ok());
        child.wait().expect("its status");
        assert!(
            timeout(Duration::from_secs(3), ended(&environment))
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn without_a_parent_nothing_ends() {
        for pid in ["", "0", "x", "-5"] {
            let environment = named(pid);
            let waiting = timeout(Duration::from_millis(20), ended(&environment));
            assert!(waiting.await.is_err(), "{pid:?}");
        }
    }
}

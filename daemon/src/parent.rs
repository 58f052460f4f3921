//! The process that started this one: a daemon that an editor started ends when the editor does.

use kilo_config::Environment;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};
use std::time::Duration;

/// Pause between two looks. The daemon has 3 s for all of its end; stopping takes up to one of them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until the process that `KILO_PARENT_PID` names has ended; for ever if it names none. Cancel safe.
///
/// A process that is not there has ended already. What is no process number (`0`, a word, a negative number) is said in
/// the log and names none; `1` is watched as any other, and does not end before the machine or container does.
pub async fn ended(environment: &Environment) {
    let text = environment.get("KILO_PARENT_PID").unwrap_or_default();
    match number(text) {
        Some(pid) => {
            let process = Process::find(pid);
            while process.as_ref().is_some_and(Process::is_running) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            tracing::info!(pid = pid.as_raw_nonzero().get(), "the parent has ended");
        }
        None => {
            if !text.is_empty() {
                tracing::warn!("KILO_PARENT_PID is no process number: no end will be waited for");
            }
            std::future::pending().await
        }
    }
}

fn number(text: &str) -> Option<Pid> {
    let number = text.trim().parse::<i32>().ok().filter(|pid| *pid > 0)?;
    Pid::from_raw(number)
}

/// One process and no later one with its number.
enum Process {
    /// A descriptor stands for it.
    Held(OwnedFd),
    /// The system gives no descriptors (kernels before 5.3, some containers): the number, and when that process began.
    Numbered { pid: Pid, began: Option<u64> },
}

impl Process {
    /// None if it has ended.
    fn find(pid: Pid) -> Option<Self> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => Some(Self::Held(process)),
            Err(Errno::SRCH) => None,
            Err(error) => {
                tracing::debug!(%error, "the parent is watched by its number");
                let began = match state(pid) {
                    State::Ended => return None,
                    State::Runs { began } => began,
                };
                Some(Self::Numbered { pid, began })
            }
        }
    }

    fn is_running(&self) -> bool {
        match self {
            // Can be read once the process has ended, collected or not.
            Self::Held(process) => {
                let mut asked = [PollFd::new(process, PollFlags::IN)];
                !matches!(poll(&mut asked, Some(&Timespec::default())), Ok(1..))
            }
            Self::Numbered { pid, began } => state(*pid) == State::Runs { began: *began },
        }
    }
}

/// What the system says about a process number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has it, or its process waits to be collected.
    Ended,
    /// Somebody has it. `began`, in ticks since the machine's start, tells that process from a later one; None where
    /// `/proc` does not show it.
    Runs { began: Option<u64> },
}

fn state(pid: Pid) -> State {
    let number = pid.as_raw_nonzero();
    if let Ok(line) = std::fs::read_to_string(format!("/proc/{number}/stat")) {
        return read(&line);
    }
    // Not ours to signal is there all the same.
    match test_kill_process(pid) {
        Err(Errno::SRCH) => State::Ended,
        Ok(()) | Err(_) => State::Runs { began: None },
    }
}

/// Reads a line of `/proc/PID/stat`: the state is the third field, the start the 22nd. The second is the program's name
/// in parentheses, which may hold anything, parentheses and spaces too.
fn read(line: &str) -> State {
    let behind_name = line.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = behind_name.split_whitespace();
    match fields.next() {
        Some("Z" | "X" | "x") => State::Ended,
        _ => State::Runs {
            began: fields.nth(18).and_then(|field| field.parse().ok()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Process, State, ended, number, read, state};
    use kilo_config::Environment;
    use rustix::process::Pid;
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
        for pid in ["", "0", "x", "-5", "1", "4294967296", "12 34", "0x10"] {
            let environment = named(pid);
            let waiting = timeout(Duration::from_millis(20), ended(&environment));
            assert!(waiting.await.is_err(), "{pid:?}");
        }
    }

    #[test]
    fn a_number_alone_tells_a_process_from_a_later_one() {
        let mut child = kilo_tests::sleeper();
        let pid = number(&child.id().to_string()).expect("a number");
        let State::Runs { began: Some(began) } = state(pid) else {
            panic!("it runs");
        };
        let numbered = |began| Process::Numbered {
            pid,
            began: Some(began),
        };
        assert!(numbered(began).is_running());
        assert!(
            !numbered(began - 1).is_running(),
            "its number was given again"
        );
        child.kill().expect("its end");
        // Not collected yet: a zombie, whose number is still taken.
        let zombie = || state(pid) == State::Ended;
        while !zombie() {
            std::thread::yield_now();
        }
        assert!(!numbered(began).is_running());
        child.wait().expect("its status");
        assert!(!numbered(began).is_running());
        let own = Process::find(Pid::from_raw(1).expect("a number"));
        assert!(own.is_some_and(|process| process.is_running()));
    }

    #[test]
    fn a_program_may_be_called_anything() {
        let line = |state: &str| {
            format!("7 (a) Z (b) {state} 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 5 6")
        };
        assert_eq!(read(&line("S")), State::Runs { began: Some(4711) });
        assert_eq!(read(&line("Z")), State::Ended);
        assert_eq!(read(""), State::Runs { began: None });
    }
}

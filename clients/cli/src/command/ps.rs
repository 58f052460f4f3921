//! `kilo ps`: the child processes of the daemon of this machine.

use crate::connect;
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::table::table;
use crate::terminal::{Terminal, harmless, line, note};
use clap::Args;
use kilo_protocol::process::RunningProcess;

const WHAT_CHARS_MAX: usize = 60;
/// Folders that are named of those that share a process.
const FOLDERS_MAX: usize = 3;

/// What `kilo ps` takes.
#[derive(Args, Clone, Debug)]
pub struct PsArgs {
    /// Print the list as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Prints what runs. Starts no engine: one that has just started runs nothing.
pub async fn execute(args: &PsArgs, cx: &Context) -> anyhow::Result<Exit> {
    let Some(client) = connect::running(&cx.env).await else {
        note("no kilo daemon runs, so nothing runs for one");
        return Ok(Exit::FAILED);
    };
    let running = client.running_processes().await?;
    if args.json {
        line(&serde_json::to_string_pretty(&running)?);
    } else if running.is_empty() {
        note("nothing runs");
    }
    if !args.json {
        for row in rows(&running, cx.terminal) {
            line(&row);
        }
    }
    Ok(Exit::OK)
}

fn rows(running: &[RunningProcess], terminal: Terminal) -> Vec<String> {
    let rows: Vec<_> = running.iter().map(row).collect();
    let heads = ["PID", "AGE", "CPU", "MEM", "WHAT", "FOLDER"];
    table(&heads, &rows, terminal)
}

fn row(one: &RunningProcess) -> Vec<String> {
    vec![
        one.pid.to_string(),
        age(one.age_ms),
        format!("{:.1} s", one.cpu_ms as f64 / 1_000.0),
        mebibytes(one.memory_bytes),
        what(one),
        folders(one),
    ]
}

/// The title, of one line and bounded, and the session it is for.
fn what(one: &RunningProcess) -> String {
    let mut title = one_line(&one.title);
    if let Some((end, _)) = title.char_indices().nth(WHAT_CHARS_MAX) {
        title.truncate(end);
        title.push('…');
    }
    match &one.session_id {
        Some(session) => format!("{title} ({session})"),
        None => title,
    }
}

/// The folders that it is for: those that share it, or where it was started.
fn folders(one: &RunningProcess) -> String {
    let users = one.users.iter().take(FOLDERS_MAX);
    let shown: Vec<String> = users.map(|user| one_line(user)).collect();
    match one.users.len() {
        0 => one_line(&one.directory),
        1 => shown.join(", "),
        all => {
            let more = if all > shown.len() { ", …" } else { "" };
            format!("{all} folders: {}{more}", shown.join(", "))
        }
    }
}

fn one_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

/// The two largest units: `12 s`, `3 min 05 s`, `2 h 07 min`, `4 d 01 h`.
fn age(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kilo_protocol::SessionId;

    fn process(title: &str) -> RunningProcess {
        RunningProcess {
            pid: 42,
            title: title.into(),
            directory: "/home/me/a".into(),
            session_id: None,
            users: Vec::new(),
            terminal: false,
            started: 0,
            age_ms: 185_000,
            processes: 1,
            memory_bytes: 3 << 19,
            cpu_ms: 1_260,
        }
    }

    #[test]
    fn a_row_tells_since_when_with_what_and_for_whom() {
        let mut background = process("background npm start");
        background.session_id = Some(SessionId::from_wire("ses_1"));
        let wide = Terminal {
            width: 120,
            ..Terminal::plain()
        };
        assert_eq!(
            rows(&[background, process("mcp github")], wide),
            [
                "PID  AGE         CPU    MEM      WHAT                          FOLDER",
                "42   3 min 05 s  1.3 s  1.5 MiB  background npm start (ses_1)  /home/me/a",
                "42   3 min 05 s  1.3 s  1.5 MiB  mcp github                    /home/me/a",
            ]
        );
        assert!(rows(&[], wide).is_empty());
    }

    #[test]
    fn who_shares_a_process_is_named() {
        let mut shared = process("mcp github");
        shared.users = vec!["/a".into(), "/b".into()];
        assert_eq!(folders(&shared), "2 folders: /a, /b");
        shared.users.extend(["/c".into(), "/d".into(), "/e".into()]);
        assert_eq!(folders(&shared), "5 folders: /a, /b, /c, …");
    }

    #[test]
    fn a_title_can_neither_break_the_table_nor_reach_the_terminal() {
        let hostile = what(&process("a\nb\tc\x1b[2Jd"));
        assert_eq!(hostile, "a b c?[2Jd");
        assert_eq!(what(&process(&"x".repeat(90))).chars().count(), 61);
    }

    #[test]
    fn ages_have_two_units() {
        assert_eq!(
            [900, 59_999, 3_599_000, 7_620_000, 349_200_000].map(age),
            ["0 s", "59 s", "59 min 59 s", "2 h 07 min", "4 d 01 h"]
        );
    }
}

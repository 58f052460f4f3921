//! Real programs in terminals: whatever they do, clients see it, and nothing of them is left.

#![allow(clippy::unwrap_used, reason = "tests")]

use kilo_ports::clock::SystemClock;
use kilo_protocol::terminal::{TerminalInfo, UpdateTerminal, WireSize};
use kilo_sandbox::{ProcessSandbox, Settings};
use kilo_terminal::{Happened, Program, Shown, Terminal, Terminals, View};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const SOON: Duration = Duration::from_secs(30);

struct Place {
    terminals: Terminals,
    told: UnboundedReceiver<Happened>,
}

impl Place {
    fn new() -> Self {
        let sandbox = ProcessSandbox::new(Settings::new(std::env::vars_os())).unwrap();
        let (tell, told) = unbounded_channel();
        let announce = Arc::new(move |_: &str, what| drop(tell.send(what)));
        let clock = Arc::new(SystemClock);
        let terminals = Terminals::new(Arc::new(sandbox), clock, Handle::current(), announce);
        Self { terminals, told }
    }

    async fn start(&self, command: &str) -> (TerminalInfo, Arc<Terminal>) {
        let program = Program {
            directory: "/tmp".into(),
            command: "/bin/bash".into(),
            args: vec!["--norc".into(), "-c".into(), command.into()],
            cwd: "/tmp".into(),
            ..Program::default()
        };
        let info = self.terminals.create(program).await.unwrap();
        let terminal = self.terminals.get(&info.id).unwrap();
        (info, terminal)
    }

    /// The code with which the next program ended.
    async fn exit(&mut self) -> u32 {
        let wait = async {
            loop {
                if let Happened::Exited(info) = self.told.recv().await.unwrap() {
                    return info.exit_code.unwrap();
                }
            }
        };
        tokio::time::timeout(SOON, wait).await.expect("an end")
    }
}

/// All that is shown until `wanted` is in it.
async fn until(view: &mut View, wanted: &str) -> String {
    let mut all = String::new();
    let wait = async {
        while !all.contains(wanted) {
            match view.next().await {
                Some(Shown::Text(text)) => all.push_str(&text),
                Some(Shown::Caught(_)) => {}
                None => return,
            }
        }
    };
    let in_time = tokio::time::timeout(SOON, wait).await.is_ok();
    let tail = &all[all.floor_char_boundary(all.len().saturating_sub(500))..];
    assert!(in_time && all.contains(wanted), "no {wanted:?} in {tail:?}");
    all
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn gone(pid: u32) {
    let wait = async {
        while lives(pid) {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(SOON, wait).await;
    assert!(in_time.is_ok(), "{pid} still runs");
}

/// The number that the program printed as `pid=N.`
fn pid_in(text: &str) -> u32 {
    let (_, rest) = text.split_once("pid=").unwrap();
    rest.split_once('.').unwrap().0.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ends_at_once_is_seen_with_all_that_it_wrote() {
    let mut place = Place::new();
    for code in [0, 7] {
        let (_, terminal) = place.start(&format!("printf last; exit {code}")).await;
        assert_eq!(place.exit().await, code);
        assert_eq!(until(&mut terminal.view(None), "last").await, "last");
        assert!(!terminal.is_running());
    }
    let (_, terminal) = place.start("kill -9 $$").await;
    assert_eq!(place.exit().await, 128 + 9);
    assert_eq!(terminal.view(Some(0)).next().await, Some(Shown::Caught(0)));
    // What is typed at one that is gone goes nowhere, and nobody waits for it.
    for _ in 0..100 {
        let _ = tokio::time::timeout(SOON, terminal.input().send("x".into()))
            .await
            .expect("no wait");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_left_on_the_terminal_end_with_their_program() {
    let mut place = Place::new();
    let left = "trap '' HUP TERM; sleep 1000 & echo pid=$!.; setsid sleep 1000 & echo bye";
    let (_, terminal) = place.start(left).await;
    assert_eq!(place.exit().await, 0);
    let text = until(&mut terminal.view(None), "bye").await;
    gone(pid_in(&text)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ignores_the_hang_up_is_killed() {
    let place = Place::new();
    let stubborn = "trap '' HUP TERM INT QUIT; echo pid=$$.; while :; do echo flood; done";
    let (info, terminal) = place.start(stubborn).await;
    let mut view = terminal.view(None);
    let text = until(&mut view, "flood").await;
    assert!(place.terminals.remove(&info.id));
    while view.next().await.is_some() {}
    gone(pid_in(&text)).await;
    assert!(!place.terminals.remove(&info.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_see_the_same_and_any_of_them_types() {
    let place = Place::new();
    let (_, terminal) = place.start("stty -echo; echo ready; cat").await;
    let mut views: Vec<View> = (0..50).map(|_| terminal.view(None)).collect();
    until(&mut views[0], "ready").await;
    let typists = (0..50).map(|nth| {
        let input = terminal.input();
        async move { input.send(format!("<{nth}>\n").into()).await.unwrap() }
    });
    for typing in typists {
        tokio::time::timeout(SOON, typing).await.expect("typed");
    }
    terminal.input().send("over\n".into()).await.unwrap();
    let first = until(&mut views[1], "over").await;
    for nth in 0..50 {
        assert!(first.contains(&format!("<{nth}>\r\n")), "{first}");
    }
    for view in &mut views[2..] {
        assert_eq!(until(view, "over").await, first);
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_no_memory_though_a_client_never_reads() {
    let mut place = Place::new();
    let (_, terminal) = place
        .start("read; head -c 12000000 /dev/zero | tr '\\0' 'x' | fold -w 79; echo; echo over")
        .await;
    let (mut reader, mut idler) = (terminal.view(None), terminal.view(None));
    terminal.input().send("\n".into()).await.unwrap();
    until(&mut reader, "xxx").await;
    let before = resident_kib();
    assert_eq!(place.exit().await, 0);
    let grown = resident_kib().saturating_sub(before);
    // 1 MiB of text, a screen with 1,000 lines above it, and what the allocator keeps.
    assert!(grown < 10 << 10, "{grown} KiB");
    for view in [&mut reader, &mut idler] {
        let text = until(view, "over").await;
        assert!(text.len() < 3 << 20, "{} bytes", text.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_size_is_taken_and_cut() {
    let place = Place::new();
    // Looks again and again: a shell may lose the signal of a change that comes while it tells of the one before.
    let sized = "while :; do now=$(stty size); [ \"$now\" = \"$last\" ] || echo \"<$now>\"; last=$now; sleep 0.02; done";
    let (info, terminal) = place.start(sized).await;
    let mut view = terminal.view(None);
    until(&mut view, ">").await;
    let resize = |rows, cols| UpdateTerminal {
        size: Some(WireSize { rows, cols }),
        ..UpdateTerminal::default()
    };
    for (rows, cols, shown) in [
        (0, 0, "<1 1>"),
        (65_535, 65_535, "<300 1000>"),
        (u64::MAX, 0, "<300 1>"),
        (24, 80, "<24 80>"),
    ] {
        let updated = place.terminals.update(&info.id, resize(rows, cols)).await;
        assert!(updated.is_some());
        let shown_once = until(&mut view, ">").await;
        assert!(shown_once.contains(shown), "{shown_once:?}: no {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_comes_back_in_the_middle_of_anything() {
    let mut place = Place::new();
    let (_, terminal) = place
        .start("printf 'a\\033[3';  printf '1mred \\360\\237\\230\\200 z'")
        .await;
    assert_eq!(place.exit().await, 0);
    let whole = "a\x1b[31mred 😀 z";
    assert_eq!(until(&mut terminal.view(None), "z").await, whole);
    let units: Vec<u16> = whole.encode_utf16().collect();
    for at in 1..units.len() {
        let rest = until(&mut terminal.view(Some(at as i64)), "z").await;
        // Never half a pair: one that counted into it gets what follows it.
        let expected = String::from_utf16(&units[at..])
            .unwrap_or_else(|_| String::from_utf16(&units[at + 1..]).unwrap());
        assert_eq!(rest, expected, "from {at}");
    }
}

#[tokio::test]
async fn what_cannot_start_says_so() {
    let place = Place::new();
    let program = |command: &str, cwd: PathBuf| Program {
        directory: "/tmp".into(),
        command: command.into(),
        cwd,
        ..Program::default()
    };
    for (command, cwd, why) in [
        ("/no/such/shell", "/tmp", "/no/such/shell cannot be started"),
        ("/tmp", "/tmp", "/tmp cannot be started"),
        ("a\0b", "/tmp", "cannot be started"),
        (
            "/bin/sh",
            "/no/such/folder",
            "/no/such/folder is not a folder",
        ),
    ] {
        let refused = place.terminals.create(program(command, cwd.into())).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(place.terminals.list("/tmp"), []);
}

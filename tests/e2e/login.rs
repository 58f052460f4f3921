//! `kilo auth login` in a terminal: no key is ever seen, however early it is pasted.

use kilo_tests::{Home, Terminal};

const KEY: &str = "sk-canary-0123456789";

fn login(home: &Home, words: &[&str]) -> Terminal {
    let words: Vec<&str> = ["auth", "login"].iter().chain(words).copied().collect();
    Terminal::start(home.kilo(&words))
}

fn stored(home: &Home) -> String {
    let file = home.path().join(".local/share/kilo/auth.json");
    std::fs::read_to_string(file).unwrap_or_default()
}

/// The program has to look whether the provider is known before it can ask: what is pasted meanwhile counts.
#[test]
fn a_key_that_is_pasted_before_the_question_is_taken_and_not_shown() {
    let home = Home::new();
    let mut terminal = login(&home, &["anthropic"]);
    terminal.until("no echo", |terminal| !terminal.echoes());
    terminal.type_in(&format!("{KEY}\r"));
    assert!(terminal.end().success(), "{}", terminal.shown());
    terminal.until("the last words", |terminal| {
        terminal.shown().contains("Stored a key")
    });
    assert!(!terminal.shown().contains(KEY), "{}", terminal.shown());
    assert!(stored(&home).contains(KEY), "{}", stored(&home));
    assert!(terminal.echoes(), "the terminal is as it was");
}

/// Both lines in one paste: the name is shown as it is typed, the key is not.
#[test]
fn a_provider_and_its_key_pasted_at_once_show_the_provider_only() {
    let home = Home::new();
    let mut terminal = login(&home, &[]);
    terminal.until("no echo", |terminal| !terminal.echoes());
    terminal.type_in(&format!("opemai\u{7f}\u{7f}\u{7f}nai\r{KEY}\r"));
    assert!(terminal.end().success(), "{}", terminal.shown());
    terminal.until("the last words", |terminal| {
        terminal.shown().contains("Stored a key for openai")
    });
    let shown = terminal.shown();
    assert!(shown.contains("opemai") && !shown.contains(KEY), "{shown}");
    assert!(stored(&home).contains(KEY), "{}", stored(&home));
}

/// A key for nobody is not left to the shell, which would show it.
#[test]
fn a_key_for_an_unknown_provider_is_thrown_away() {
    let home = Home::new();
    let mut terminal = login(&home, &["nobody"]);
    terminal.until("no echo", |terminal| !terminal.echoes());
    terminal.type_in(&format!("{KEY}\r"));
    assert!(!terminal.end().success());
    terminal.until("why", |terminal| terminal.shown().contains("nobody"));
    assert!(!terminal.shown().contains(KEY), "{}", terminal.shown());
    assert_eq!((terminal.unread(), terminal.echoes()), (0, true));
    assert_eq!(stored(&home), "");
}

#[test]
fn ctrl_c_at_the_question_stores_nothing_and_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let mut terminal = login(&home, &["anthropic"]);
    terminal.until("the question", |terminal| {
        terminal.shown().contains("API key of anthropic")
    });
    terminal.type_in("sk-half\u{3}rest\r");
    assert_eq!(terminal.end().code(), Some(130), "{}", terminal.shown());
    assert_eq!((terminal.unread(), terminal.echoes()), (0, true));
    assert!(!terminal.shown().contains("half"), "{}", terminal.shown());
    assert_eq!(stored(&home), "");
}

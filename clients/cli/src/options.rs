//! Options that several commands take.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Where logs go and how much is logged.
#[derive(Args, Clone, Debug, Default)]
pub struct Logging {
    /// Print logs to standard error instead of a file.
    #[arg(long, global = true)]
    pub print_logs: bool,
    /// How much to log.
    #[arg(
        long,
        global = true,
        value_enum,
        ignore_case = true,
        value_name = "LEVEL"
    )]
    pub log_level: Option<LogLevel>,
    /// The form of log lines.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub log_format: LogFormat,
}

/// How much to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum LogLevel {
    /// All there is.
    Trace,
    /// What a developer wants.
    Debug,
    /// What a person wants.
    Info,
    /// What is odd.
    Warn,
    /// What failed.
    Error,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The network options that all servers take.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub hostname: String,
    /// An origin that browsers may call from; may be given several times.
    #[arg(long, value_name = "ORIGIN")]
    pub cors: Vec<String>,
    /// Announce the server on the local network (accepted, not available yet).
    #[arg(long)]
    pub mdns: bool,
    /// The name to announce.
    #[arg(long, default_value = "kilo.local", value_name = "NAME")]
    pub mdns_domain: String,
}

/// How to reach a server that runs elsewhere.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    /// Use the server at this address instead of a local one.
    #[arg(long, global = true, value_name = "URL")]
    pub attach: Option<String>,
    /// Its password; else KILO_SERVER_PASSWORD.
    #[arg(short, long, global = true)]
    pub password: Option<String>,
    /// Its user; else KILO_SERVER_USERNAME, else `kilo`.
    #[arg(short, long, global = true)]
    pub username: Option<String>,
}

/// The folder that a command works in, and which server serves it.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The folder to work in; with --attach a folder of the server's machine.
    #[arg(long, global = true, value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// Which server.
    #[command(flatten)]
    pub remote: Remote,
}

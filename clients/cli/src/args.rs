//! The command line: what may be said, and nothing of what it does.

use crate::command::{
    attach, auth, completion, config, daemon, demo, export, import, models, run, serve, session,
    stats,
};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Open, self-hosted coding agent.
#[derive(Debug, Parser)]
#[command(name = "kilo", version, disable_version_flag = true, arg_required_else_help = true, after_help = AFTER)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where logs go.
    #[command(flatten)]
    pub logging: Logging,
    /// Show the version.
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
}

const AFTER: &str = "New here? `kilo demo` shows a whole session and needs nothing.";

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

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a whole session with a scripted model; needs nothing and changes nothing.
    Demo(demo::DemoArgs),
    /// Run a prompt and show its answer.
    Run(Box<run::RunArgs>),
    /// Serve the HTTP API in the foreground.
    Serve(serve::ServeArgs),
    /// Attach a terminal UI to a running server.
    Attach(attach::AttachArgs),
    /// Manage the background daemon.
    Daemon(daemon::DaemonArgs),
    /// List and delete sessions.
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Print a session as JSON.
    Export(export::ExportArgs),
    /// Store a session from a JSON file.
    Import(import::ImportArgs),
    /// Show tokens, costs and disk use.
    Stats(stats::StatsArgs),
    /// List the models that can be used.
    Models(models::ModelsArgs),
    /// Manage providers' credentials.
    #[command(subcommand, alias = "providers")]
    Auth(auth::AuthCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell.
    Completion(completion::CompletionArgs),
}

impl Command {
    /// The name of the log file that the command writes: the background daemon has one of its own.
    pub fn log_name(&self) -> &'static str {
        match self {
            Self::Daemon(args) if args.is_server() => "daemon.log",
            _ => "kilo.log",
        }
    }
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
    #[arg(long, value_name = "URL")]
    pub attach: Option<String>,
    /// Its password; else KILO_SERVER_PASSWORD.
    #[arg(short, long)]
    pub password: Option<String>,
    /// Its user; else KILO_SERVER_USERNAME, else `kilo`.
    #[arg(short, long)]
    pub username: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_words_and_options_in_any_order() {
        let cli = parse("kilo run fix it -m fake/a/b --format json -f a.txt -f b.txt --auto now --log-level debug").expect("fits");
        assert_eq!(cli.logging.log_level, Some(LogLevel::Debug));
        let Command::Run(args) = cli.command else {
            panic!("run")
        };
        assert_eq!(args.message, ["fix", "it", "now"]);
        assert_eq!(
            (args.model.as_deref(), args.file.len(), args.auto),
            (Some("fake/a/b"), 2, true)
        );
        assert_eq!(args.format, run::Format::Json);
    }

    #[test]
    fn fork_needs_a_session_to_fork() {
        assert!(parse("kilo run --fork hi").is_err());
        assert!(parse("kilo run --fork -c hi").is_ok());
        assert!(parse("kilo run -c -s ses_1 hi").is_err());
    }

    #[test]
    fn serve_listens_on_loopback_unless_told_otherwise() {
        let Command::Serve(args) = parse("kilo serve --cors a --cors b --mdns")
            .expect("fits")
            .command
        else {
            panic!("serve")
        };
        let network = args.network;
        assert_eq!(
            (network.port, network.hostname.as_str(), network.cors.len()),
            (0, "127.0.0.1", 2)
        );
    }

    #[test]
    fn only_the_serving_daemon_has_the_daemons_log() {
        let name = |line: &str| parse(line).expect("fits").command.log_name();
        assert_eq!(name("kilo daemon --foreground"), "daemon.log");
        assert_eq!(
            name("kilo daemon start --foreground --port 1"),
            "daemon.log"
        );
        assert_eq!(name("kilo daemon status"), "kilo.log");
    }
}

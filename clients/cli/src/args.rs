//! The command line as a whole: options of every command, and the commands below it.

use crate::command::Command;
use crate::options::Logging;
use clap::{ArgAction, Parser};

/// Open, self-hosted coding agent.
#[derive(Debug, Parser)]
#[command(name = "kilo", version, disable_version_flag = true, after_help = AFTER)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where logs go.
    #[command(flatten)]
    pub logging: Logging,
    /// Show the version.
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
}

const AFTER: &str = "New here? `kilo demo` shows a whole session and needs nothing.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run;
    use crate::options::LogLevel;
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
        let Some(Command::Run(args)) = cli.command else {
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
        let Some(Command::Serve(args)) = parse("kilo serve --cors a --cors b --mdns")
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
        let name = |line: &str| {
            parse(line)
                .expect("fits")
                .command
                .expect("a command")
                .log_name()
        };
        assert_eq!(name("kilo daemon --foreground"), "daemon.log");
        assert_eq!(
            name("kilo daemon start --foreground --port 1"),
            "daemon.log"
        );
        assert_eq!(name("kilo daemon status"), "kilo.log");
    }
}

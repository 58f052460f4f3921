//! Prompts of MCP servers as commands, `SERVER:PROMPT`. Their text is the server's to write, when they are run.

use kilo_config::commands::{Command, Piece, pieces};
use kilo_mcp::{FolderServers, PromptInfo, Shown, blocks};
use kilo_protocol::Fault;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What stands between arguments while they are told apart.
const BETWEEN: &str = "\u{1f}";
/// Arguments of one prompt.
const ARGUMENTS_MAX: usize = 32;

/// The source of these commands.
pub const SOURCE: &str = "mcp";

fn name(server: &str, prompt: &str) -> String {
    let clean = |text: &str| -> String {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        text.chars()
            .map(|c| if fits(c) { c } else { '_' })
            .collect()
    };
    format!("{}:{}", clean(server), clean(prompt))
}

fn blanks(prompt: &PromptInfo) -> Vec<String> {
    let count = prompt.arguments.len().min(ARGUMENTS_MAX);
    (1..=count).map(|number| format!("${number}")).collect()
}

/// Adds the prompts of the servers in use under names that are free.
pub async fn join(commands: &mut Vec<Command>, servers: &Arc<FolderServers>) {
    servers.ready(super::super::mcp::LIST_WAIT).await;
    for (server, prompt) in servers.prompts() {
        let name = name(&server, &prompt.name);
        if commands.iter().any(|command| command.name == name) {
            continue;
        }
        let hints = blanks(&prompt);
        commands.push(Command {
            name,
            description: prompt.description,
            agent: None,
            model: None,
            variant: None,
            source: SOURCE,
            trusted: false,
            template: hints.join(" "),
            subtask: None,
            hints,
        });
    }
    commands.sort_by(|a, b| a.name.cmp(&b.name));
}

/// What the server makes of its prompt with these arguments: the first word for the first one and so on, all that is left
/// for the last.
pub async fn fill(
    servers: &Arc<FolderServers>,
    command: &str,
    arguments: &str,
) -> Result<Shown, Fault> {
    let found = servers.prompts().into_iter();
    let mut found = found.filter(|(server, prompt)| name(server, &prompt.name) == command);
    let (server, prompt) = found
        .next()
        .ok_or_else(|| Fault::unknown(format!("Command not found: \"{command}\"")))?;
    let arguments = named(&prompt, arguments).map_err(Fault::unknown)?;
    let messages = servers.prompt(&server, &prompt.name, arguments).await;
    let messages = messages.map_err(|error| {
        Fault::unknown(format!("the prompt {} of {server}: {error:?}", prompt.name))
    })?;
    Ok(blocks(messages.iter().map(|(_, block)| block)))
}

/// The arguments by name.
///
/// Errors: the name of one that is missing.
fn named(prompt: &PromptInfo, arguments: &str) -> Result<Map<String, Value>, String> {
    let filled: String = pieces(&blanks(prompt).join(BETWEEN), arguments)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) | Piece::Shell(text) => text,
        })
        .collect();
    let mut values = filled.split(BETWEEN);
    let mut named = Map::new();
    for (name, is_required) in prompt.arguments.iter().take(ARGUMENTS_MAX) {
        match values.next().map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => {
                named.insert(name.clone(), text.into());
            }
            None if *is_required => return Err(format!("the argument {name} is missing")),
            None => {}
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_become_named_arguments() {
        let prompt = PromptInfo {
            name: "p".into(),
            description: None,
            arguments: vec![("who".into(), true), ("what".into(), false)],
        };
        let named = |text: &str| named(&prompt, text).map(Value::Object);
        assert_eq!(
            named("\"Ann Lee\" a b c"),
            Ok(json!({"who": "Ann Lee", "what": "a b c"}))
        );
        assert_eq!(named("Bo"), Ok(json!({"who": "Bo"})));
        assert_eq!(named(" "), Err("the argument who is missing".into()));
    }
}

//! The words of a script. A line is one input, or a setting of the world around the machine; `'…'` holds a text with blanks.
//!
//! | line | means |
//! |---|---|
//! | `rules bash:ask edit:deny` | the agent's rules |
//! | `compact at 1000`, `steps 2`, `offer StructuredOutput`, `snapshots held`, `files held` | what the next model call is opened with |
//! | `prompt 'text' [no-reply]`, `shell 'ls'`, `summarize`, `resume`, `abort`, `drain TOKEN` | a client's orders |
//! | `wait 500` | time goes by |
//! | `snapshot h1` | the first checkpoint, where they are held |
//! | `text 'a'`, `text-end`, `reasoning 'a'`, `reasoning-end` | the model writes |
//! | `call c1 bash {"command":"ls"}` | the model makes a whole call; `begin` leaves it open |
//! | `finish [REASON] [TOKENS]` | the model ends |
//! | `fail CLASS 'message' [RETRY_AFTER_MS]`, `refuse …`, `retry` | provider trouble |
//! | `network back`, `network give-up` | the network |
//! | `ask c1 bash 'ls' [must]` | a call asks for permission; `always` would allow the first word |
//! | `answer per1 once\|always\|reject ['message']` | a client answers |
//! | `question c1`, `reply que1 'yes'`, `dismiss que1` | a question and its answer |
//! | `progress c1 'title'`, `done c1 'output' [files=/a,/b] [snapshot=h1] [ends]` | a call goes on, ends |
//! | `error c1 'message'`, `refused c1`, `aborted c1` | a call fails: by itself, with what its request was answered, stopped |
//! | `title 'text'`, `diff m1 [failed]`, `revert m1 [p1]`, `unrevert`, `moved WORD [left …]`, `crash` | the rest |
//! | `late …` | any of them, with the stamp of the turn before |

use super::bench::{Bench, model_ref};
use crate::input::{FilesMoved, Input, Prompt, Reply};
use crate::record::RevertTo;
use kilo_ports::checkpoint::{FileChange, LeftAlone, WhyLeft};
use kilo_ports::provider::{Chunk, ErrorClass, ProviderError};
use kilo_ports::tool::{Access, Ask, QuestionAnswer, ToolError, ToolOutput};
use kilo_protocol::model::{
    Action, Created, FileDiff, Part, PartBody, Rule, TextPart, Tokens, UserMessage,
};
use kilo_protocol::{MessageId, PartId, PermissionId, QuestionId};
use serde_json::{Map, json};
use std::sync::Arc;

impl Bench {
    pub fn play(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let (stamp, rest) = match line.strip_prefix("late ") {
            Some(rest) => (self.stamp.saturating_sub(1), rest),
            None => (self.stamp, line),
        };
        let words = words(rest);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if self.setting(&words) {
            return;
        }
        self.lines.push(format!("- {line}"));
        if words == ["crash"] {
            return self.crash();
        }
        let now = self.stamp;
        self.stamp = stamp;
        let input = self
            .input(&words)
            .unwrap_or_else(|| panic!("the script says {line:?}"));
        self.stamp = now;
        self.give(input);
    }

    fn setting(&mut self, words: &[&str]) -> bool {
        match words {
            ["rules", rules @ ..] => self.rules = rules.iter().map(|text| rule(text)).collect(),
            ["saved", rules @ ..] => self.saved = rules.iter().map(|text| rule(text)).collect(),
            ["configuration", "broken"] => self.counts_saved = false,
            ["compact", "at", tokens] => self.compact_at = Some(number(tokens)),
            ["steps", steps] => self.steps_max = Some(number(steps) as u32),
            ["offer", tool] => self.offered.push((tool.to_string(), Access::Session)),
            ["snapshots", "held"] => self.holds_snapshot = true,
            ["files", "held"] => self.holds_files = true,
            ["wait", ms] => self.now += number(ms),
            _ => return false,
        }
        true
    }

    fn input(&mut self, words: &[&str]) -> Option<Input> {
        self.order(words)
            .or_else(|| self.model(words))
            .or_else(|| self.tool(words))
    }

    /// What a client, or time, says.
    fn order(&mut self, words: &[&str]) -> Option<Input> {
        Some(match words {
            ["prompt", text, rest @ ..] => {
                Input::Prompt(self.prompt(text, rest.contains(&"no-reply")))
            }
            ["shell", command] => Input::Shell(self.prompt("run this", false), command.to_string()),
            ["summarize"] => Input::Summarize(model_ref(), false),
            ["resume"] => Input::Resume,
            ["abort"] => Input::Abort,
            ["revert", message, part @ ..] => Input::Revert(RevertTo {
                message: MessageId::from_wire(self.names.long(message)),
                part: part
                    .first()
                    .map(|part| PartId::from_wire(self.names.long(part))),
            }),
            ["unrevert"] => Input::Unrevert,
            ["moved", word, left @ ..] => Input::FilesMoved(
                self.stamp,
                Box::new(FilesMoved {
                    workspace: match *word {
                        "partial" => "partial",
                        "unavailable" => "unavailable",
                        _ => "restored",
                    },
                    left: left
                        .iter()
                        .map(|path| LeftAlone {
                            path: path.into(),
                            why: WhyLeft::ChangedByOthers,
                        })
                        .collect(),
                    ..FilesMoved::default()
                }),
            ),
            ["drain", token] => Input::Drain(token.to_string()),
            ["retry"] => Input::RetryDue(self.stamp),
            ["network", word] => Input::Network(None, *word == "back"),
            ["answer", request, reply, message @ ..] => {
                let reply = match *reply {
                    "once" => Reply::Once,
                    "always" => Reply::Always,
                    _ => Reply::Reject,
                };
                let id = PermissionId::from_wire(self.names.long(request));
                Input::Answer(id, reply, message.first().map(|text| text.to_string()))
            }
            ["reply", question, label] => {
                let answer = QuestionAnswer::Answered(vec![vec![label.to_string()]]);
                Input::QuestionAnswer(QuestionId::from_wire(self.names.long(question)), answer)
            }
            ["dismiss", question] => {
                let id = QuestionId::from_wire(self.names.long(question));
                Input::QuestionAnswer(id, QuestionAnswer::Dismissed)
            }
            ["title", text] => Input::Title(text.to_string()),
            ["diff", prompt, "failed"] => {
                let prompt = MessageId::from_wire(self.names.long(prompt));
                Input::Diff(prompt, None, None)
            }
            ["diff", prompt] => {
                let prompt = MessageId::from_wire(self.names.long(prompt));
                let file = FileDiff {
                    file: "a".into(),
                    patch: String::new(),
                    additions: 2,
                    deletions: 1,
                    status: None,
                };
                Input::Diff(prompt, Some(vec![file.clone()]), Some(vec![file]))
            }
            _ => return None,
        })
    }

    fn prompt(&mut self, text: &str, no_reply: bool) -> Box<Prompt> {
        let id = self.ids.message(self.now);
        let session_id = self.machine.state.info.id.clone();
        let body = PartBody::Text(TextPart {
            text: text.into(),
            ..Default::default()
        });
        let part = Part {
            id: self.ids.part(self.now),
            session_id: session_id.clone(),
            message_id: id.clone(),
            body,
        };
        let message = UserMessage {
            id,
            session_id,
            time: Created { created: self.now },
            format: None,
            summary: None,
            agent: "code".into(),
            model: model_ref(),
            system: None,
            tools: None,
            editor_context: None,
        };
        Box::new(Prompt {
            message,
            parts: vec![part],
            no_reply,
        })
    }

    /// What the model and its provider do.
    fn model(&mut self, words: &[&str]) -> Option<Input> {
        let chunks = match words {
            ["text", text] => vec![Chunk::Text(text.to_string())],
            ["text-end"] => vec![Chunk::TextEnd],
            ["reasoning", text] => vec![Chunk::Reasoning(text.to_string())],
            ["reasoning-end"] => vec![Chunk::ReasoningEnd(None)],
            ["call", id, name, arguments] => {
                let mut chunks = self.begin(id, name, arguments);
                chunks.push(Chunk::ToolEnd {
                    index: self.index - 1,
                });
                chunks
            }
            ["begin", id, name, arguments] => self.begin(id, name, arguments),
            ["finish", rest @ ..] => {
                let reason = rest.first().unwrap_or(&"stop").to_string();
                let input = rest.get(1).map_or(100, |count| number(count));
                vec![Chunk::Finish {
                    reason,
                    tokens: Tokens {
                        input,
                        output: 10,
                        ..Default::default()
                    },
                }]
            }
            ["fail", class, message, wait @ ..] => {
                return Some(Input::StreamFailed(
                    self.stamp,
                    trouble(class, message, wait.first()),
                ));
            }
            ["refuse", class, message] => {
                return Some(Input::Refused(self.stamp, trouble(class, message, None)));
            }
            ["snapshot", hash] => return Some(Input::Snapshot(self.stamp, Some(hash.to_string()))),
            _ => return None,
        };
        Some(Input::Chunks(self.stamp, chunks))
    }

    fn begin(&mut self, id: &str, name: &str, arguments: &str) -> Vec<Chunk> {
        let index = self.index;
        self.index += 1;
        vec![
            Chunk::ToolStart {
                index,
                id: id.into(),
                name: name.into(),
            },
            Chunk::ToolDelta {
                index,
                arguments: arguments.into(),
            },
        ]
    }

    /// What a running call does.
    fn tool(&mut self, words: &[&str]) -> Option<Input> {
        Some(match words {
            ["ask", call, permission, pattern, rest @ ..] => {
                let first = pattern.split(' ').next().unwrap_or_default();
                let ask = Ask {
                    permission: permission.to_string(),
                    patterns: if pattern.is_empty() {
                        Vec::new()
                    } else {
                        vec![pattern.to_string()]
                    },
                    always: vec![format!("{first} *")],
                    metadata: Map::new(),
                    must_ask: rest.contains(&"must"),
                    version: rest
                        .iter()
                        .find_map(|word| word.strip_prefix("version="))
                        .map(str::to_owned),
                };
                Input::Ask(
                    self.stamp,
                    self.names.call_id(call),
                    Box::new(ask),
                    Arc::new(self.saved.clone()),
                )
            }
            ["question", call] => Input::Question(
                self.stamp,
                self.names.call_id(call),
                vec![json!({"question": "Which?"})],
            ),
            ["progress", call, title] => {
                let known = Map::from_iter([("output".to_string(), "so far".into())]);
                Input::Progress(
                    self.stamp,
                    self.names.call_id(call),
                    Some(title.to_string()),
                    known,
                )
            }
            ["done", call, output, rest @ ..] => {
                let option = |name: &str| rest.iter().find_map(|word| word.strip_prefix(name));
                let files = option("files=").unwrap_or_default();
                let files = files
                    .split(',')
                    .filter(|path| !path.is_empty())
                    .map(|path| {
                        FileChange::new(path.into(), "h0", option("snapshot=").unwrap_or("h1"))
                    });
                let output = ToolOutput {
                    title: "Title".into(),
                    output: output.to_string(),
                    ends_turn: rest.contains(&"ends"),
                    ..Default::default()
                };
                let snapshot = option("snapshot=").map(str::to_string);
                Input::ToolDone(
                    self.stamp,
                    self.names.call_id(call),
                    Ok(Box::new(output)),
                    files.collect(),
                    snapshot,
                )
            }
            ["error", call, message] => self.failed(call, ToolError::failed(*message)),
            ["refused", call] => {
                let error = self.refusals.get(*call).cloned()?;
                self.failed(call, error)
            }
            ["aborted", call] => {
                let metadata = Map::from_iter([("output".to_string(), "so far".into())]);
                self.failed(call, ToolError::Aborted { metadata })
            }
            _ => return None,
        })
    }

    fn failed(&self, call: &str, error: ToolError) -> Input {
        Input::ToolDone(
            self.stamp,
            self.names.call_id(call),
            Err(error),
            Vec::new(),
            None,
        )
    }
}

fn trouble(class: &str, message: &str, wait: Option<&&str>) -> ProviderError {
    let class = match class {
        "overloaded" => ErrorClass::Overloaded,
        "network" => ErrorClass::Network,
        "overflow" => ErrorClass::ContextOverflow,
        "stalled" => ErrorClass::Stalled,
        "cut" => ErrorClass::StreamCut,
        "auth" => ErrorClass::Auth,
        _ => ErrorClass::Unknown,
    };
    ProviderError {
        retry_after_ms: wait.map(|ms| number(ms)),
        ..ProviderError::new(class, message)
    }
}

/// `bash:ask`, or `bash:rm*:deny`.
fn rule(text: &str) -> Rule {
    let mut pieces = text.split(':');
    let permission = pieces.next().unwrap_or_default().to_string();
    let last = pieces.next_back().unwrap_or_default();
    let action = match last {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        _ => Action::Ask,
    };
    Rule {
        permission: permission.into(),
        pattern: pieces.next().unwrap_or("*").to_string().into(),
        action,
    }
}

fn number(word: &str) -> u64 {
    word.parse()
        .unwrap_or_else(|_| panic!("{word:?} is no number"))
}

/// Splits at blanks; `'…'` is one word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for sign in line.chars() {
        match sign {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            sign => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}

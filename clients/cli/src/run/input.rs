//! What is said: words of the command line, piped text, attached files.

use crate::terminal::note;
use anyhow::{Context as _, bail};
use kilo_client::{InputPart, InputPartBody};
use kilo_protocol::model::{FilePart, ModelRef};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt::Write as _;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

const PIPED_BYTES_MAX: u64 = 10 << 20;

/// How long standard input may stay silent when there is something to say without it.
pub const SILENCE_MAX: Duration = Duration::from_millis(200);
/// The word that waits for standard input however long it stays silent.
const WAIT: &str = "-";

/// The message: the words, then what is piped in, a newline between them.
///
/// An editor or a job runner may leave standard input open and never write to it. So where there are words (or
/// `is_enough`), an input that stays silent for [`SILENCE_MAX`] is none; `-` among the words, or no words at all, waits
/// for its end. What has begun is always read to its end.
///
/// # Errors
/// When what is piped in is over 10 MiB or cannot be read.
pub fn message(words: &[String], is_enough: bool) -> anyhow::Result<String> {
    let said: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| *word != WAIT)
        .collect();
    let said = said.join(" ");
    let piped = piped(patience(words, is_enough))?;
    Ok(match (said.is_empty(), piped.trim().is_empty()) {
        (_, true) => said,
        (true, false) => piped,
        (false, false) => format!("{said}\n{piped}"),
    })
}

/// How long standard input may stay silent; `None` for ever.
fn patience(words: &[String], is_enough: bool) -> Option<Duration> {
    let waits = words.iter().any(|word| word == WAIT);
    (!waits && (is_enough || !words.is_empty())).then_some(SILENCE_MAX)
}

fn piped(patience: Option<Duration>) -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(String::new());
    }
    if let Some(patience) = patience
        && !speaks_within(&stdin, patience)
    {
        note(&format!(
            "nothing came from standard input within {} s, so the prompt goes without it; `-` among the words waits for it",
            patience.as_secs_f32()
        ));
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    stdin
        .lock()
        .take(PIPED_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .context("cannot read standard input")?;
    if bytes.len() as u64 > PIPED_BYTES_MAX {
        bail!(
            "standard input is over {} MiB; attach it with --file instead",
            PIPED_BYTES_MAX >> 20
        );
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether something can be read, or the end is reached, within that time.
fn speaks_within(stdin: &std::io::Stdin, patience: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    let ready = poll(&mut [PollFd::new(stdin, PollFlags::IN)], Some(&timeout));
    !matches!(ready, Ok(0))
}

/// `PROVIDER/MODEL` as the protocol has it; the model's id may hold slashes itself.
///
/// # Errors
/// When there is no provider or no model in it.
pub fn model(text: &str, variant: Option<&str>) -> anyhow::Result<ModelRef> {
    match text.split_once('/') {
        Some((provider, model)) if !provider.is_empty() && !model.is_empty() => Ok(ModelRef {
            provider_id: provider.to_owned(),
            model_id: model.to_owned(),
            variant: variant.map(str::to_owned),
        }),
        _ => bail!("{text:?} is not a model: give it as PROVIDER/MODEL; `kilo models` lists them"),
    }
}

/// The input parts of a prompt: the files first, then the text.
///
/// # Errors
/// When a file does not exist.
pub fn parts(
    text: &str,
    files: &[impl AsRef<Path>],
    directory: &Path,
) -> anyhow::Result<Vec<InputPart>> {
    let mut parts = file_parts(files, directory)?;
    if !text.is_empty() {
        parts.push(InputPart::text(text));
    }
    Ok(parts)
}

/// A part for each file; relative paths are below `directory`.
///
/// # Errors
/// When a file does not exist.
pub fn file_parts(files: &[impl AsRef<Path>], directory: &Path) -> anyhow::Result<Vec<InputPart>> {
    let mut parts = Vec::new();
    for file in files {
        let path = directory.join(file);
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot attach {}", path.display()))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let file = InputPartBody::File(FilePart {
            mime: mime(&path).into(),
            filename: Some(name),
            url: file_url(&path),
            source: None,
        });
        parts.push(file.into());
    }
    Ok(parts)
}

fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

fn mime(path: &Path) -> &'static str {
    if path.is_dir() {
        return "application/x-directory";
    }
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    match extension.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        _ => "text/plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_input_that_something_can_be_said_without_may_be_silent() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(patience(&words("fix it"), false), Some(SILENCE_MAX));
        assert_eq!(patience(&[], true), Some(SILENCE_MAX));
        assert_eq!(patience(&[], false), None);
        assert_eq!(patience(&words("fix it -"), true), None);
    }

    #[test]
    fn a_model_is_a_provider_and_the_rest() {
        let model_ref = model("openrouter/a/b", Some("high")).expect("a model");
        assert_eq!(
            (model_ref.provider_id.as_str(), model_ref.model_id.as_str()),
            ("openrouter", "a/b")
        );
        assert!(model("gpt", None).is_err());
        assert!(model("/gpt", None).is_err());
    }

    #[test]
    fn files_come_before_the_text_as_urls() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        std::fs::write(root.join("a b.PNG"), "").expect("a file");
        let parts = parts("look", &["a b.PNG"], &root).expect("parts");
        let file = InputPartBody::File(FilePart {
            mime: "image/png".into(),
            filename: Some("a b.PNG".into()),
            url: format!("file://{}/a%20b.PNG", root.display()),
            source: None,
        });
        assert_eq!(parts, [file.into(), InputPart::text("look")]);
        assert!(file_parts(&["none"], &root).is_err());
    }
}

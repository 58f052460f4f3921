//! Small repairs of messages: ids that a provider would refuse, files that a model does not take.

/// The longest id of a tool call that providers take.
const ID_CHARS_MAX: usize = 64;

/// A tool call's id in the letters that Claude takes: ASCII letters, digits, `_` and `-`, at most 64.
pub fn claude_id(id: &str) -> String {
    let clean: String = id
        .chars()
        .take(ID_CHARS_MAX)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    if clean.is_empty() {
        "call".into()
    } else {
        clean
    }
}

/// A tool call's id as Mistral takes it: exactly nine ASCII letters and digits.
///
/// An id that has this form stays; another becomes a digest of itself, so that two ids that begin alike stay apart.
pub fn mistral_id(id: &str) -> String {
    if id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    // FNV-1a: the same on every run, so that a request for the same conversation has the same bytes.
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut digest = String::with_capacity(9);
    for _ in 0..9 {
        digest.push(char::from(LETTERS[(hash % 36) as usize]));
        hash /= 36;
    }
    digest
}

/// What the model reads instead of a file that it does not take.
pub fn untaken(mime: &str, filename: Option<&str>) -> String {
    let name = filename.unwrap_or("a file");
    format!("[{name} ({mime}) is left out: this model does not take such files. Tell the user so.]")
}

/// A text part that says where and when the agent works; it changes from turn to turn and must not end a cached prefix.
pub fn is_environment(text: &str) -> bool {
    text.trim_start().starts_with("<environment_details>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_the_form_that_the_provider_wants() {
        assert_eq!(claude_id("call.1:ä/x-_9"), "call_1___x-_9");
        assert_eq!(claude_id(""), "call");
        assert_eq!(mistral_id("abcDEF123"), "abcDEF123");
        let (one, two) = (
            mistral_id("call_00000000001"),
            mistral_id("call_00000000002"),
        );
        assert_ne!(one, two);
        assert_eq!(one, mistral_id("call_00000000001"));
        assert!(one.len() == 9 && one.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}

//! Which tool a model means: names come back with other letters, in the namespace of some other program, or with markup
//! of the model's own around them.

use kilo_ports::tool::Access;

/// Characters of a name; model servers refuse longer ones when the call is sent back to them.
const NAME_CHARS_MAX: usize = 64;
/// Namespaces that models put before a name, as they look without separators.
const NAMESPACES: [&str; 5] = ["functions", "function", "defaultapi", "tools", "tool"];

/// The name of the offered tool that `said` means, or `said` itself in characters that model servers take back.
///
/// Case, separators and what stands around the name do not count; a name that could mean two tools means neither.
pub(super) fn meant(said: &str, offered: &[(String, Access)]) -> String {
    let names = || offered.iter().map(|(name, _)| name.as_str());
    if names().any(|name| name == said) {
        return said.to_owned();
    }
    let whole = folded(said);
    let words: Vec<String> = said.split(|c: char| !is_plain(c)).map(folded).collect();
    let by = |fits: &dyn Fn(&str) -> bool| {
        let mut found = names().filter(|name| fits(&folded(name)));
        let first = found.next()?;
        found.next().is_none().then(|| first.to_owned())
    };
    by(&|name| name == whole)
        .or_else(|| by(&|name| words.iter().any(|word| word == name)))
        .or_else(|| by(&|name| words.iter().any(|word| bare(word) == name)))
        .unwrap_or_else(|| writable(said))
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Letters and digits only, in lower case.
fn folded(name: &str) -> String {
    let plain = name.chars().filter(char::is_ascii_alphanumeric);
    plain.map(|c| c.to_ascii_lowercase()).collect()
}

/// A folded word without a namespace before it and without `tool` behind it.
fn bare(word: &str) -> &str {
    let mut spaces = NAMESPACES.iter();
    let word = spaces
        .find_map(|space| word.strip_prefix(space))
        .unwrap_or(word);
    word.strip_suffix("tool").unwrap_or(word)
}

fn writable(said: &str) -> String {
    let safe = |c| if is_plain(c) { c } else { '_' };
    let name: String = said.trim().chars().map(safe).take(NAME_CHARS_MAX).collect();
    if name.is_empty() {
        "unnamed".into()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::meant;
    use kilo_ports::tool::Access;

    fn offered() -> Vec<(String, Access)> {
        let names = [
            "read",
            "todowrite",
            "apply_patch",
            "webfetch",
            "my_a",
            "my-a",
        ];
        names.map(|name| (name.to_owned(), Access::Reads)).into()
    }

    #[test]
    fn a_name_is_known_in_other_clothes() {
        for (said, name) in [
            ("read", "read"),
            ("Read", "read"),
            ("READ", "read"),
            (" read\n", "read"),
            ("functions.read", "read"),
            ("functions.read:0", "read"),
            ("functions_Read", "read"),
            ("default_api:read", "read"),
            ("default_api.read", "read"),
            ("default_api_read", "read"),
            ("tools/read", "read"),
            ("tool.Read", "read"),
            ("ReadTool", "read"),
            ("read_tool", "read"),
            ("`read`", "read"),
            ("read()", "read"),
            ("read<|channel|>commentary", "read"),
            ("print(default_api.read", "read"),
            ("TodoWrite", "todowrite"),
            ("todo_write", "todowrite"),
            ("Web Fetch", "webfetch"),
            ("ApplyPatch", "apply_patch"),
            ("apply-patch", "apply_patch"),
            ("my_a", "my_a"),
            ("my-a", "my-a"),
        ] {
            assert_eq!(meant(said, &offered()), name, "{said:?}");
        }
    }

    #[test]
    fn what_means_no_tool_or_two_stays_and_can_be_sent_back() {
        for (said, name) in [
            ("no_such_tool", "no_such_tool"),
            ("MyA", "MyA"),
            ("read webfetch", "read_webfetch"),
            ("readme", "readme"),
            ("", "unnamed"),
            (" \n", "unnamed"),
            ("löschen!", "l_schen_"),
        ] {
            assert_eq!(meant(said, &offered()), name, "{said:?}");
        }
        assert_eq!(meant(&"x".repeat(1_000), &offered()).len(), 64);
    }
}

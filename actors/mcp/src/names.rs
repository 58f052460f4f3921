//! Names of tools as models see them: `server_tool`, of letters that every provider takes, each only once.

use std::collections::HashSet;

/// The longest name that all providers take.
const NAME_BYTES_MAX: usize = 64;

/// The name of `tool` of `server` among those that are `taken`, which it then is.
///
/// Letters that providers refuse become `_`. A name that is too long, or that another tool has (a built-in one included),
/// ends with a mark made of both names: the same one every time, whatever else there is.
pub fn unique(server: &str, tool: &str, taken: &mut HashSet<String>) -> String {
    let plain = format!("{}_{}", sanitised(server), sanitised(tool));
    let name = if plain.len() <= NAME_BYTES_MAX && !taken.contains(&plain) {
        plain
    } else {
        let hash = blake3::hash(format!("{server}\0{tool}").as_bytes()).to_hex();
        let mark = &hash[..8];
        let room = plain.len().min(NAME_BYTES_MAX - mark.len() - 1);
        format!("{}_{mark}", &plain[..room])
    };
    taken.insert(name.clone());
    name
}

/// `name` with `_` for everything but ASCII letters, digits, `_` and `-`.
pub fn sanitised(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_clean_short_and_unlike() {
        let mut taken: HashSet<String> = ["apply_patch".to_owned()].into();
        let mut name = |server: &str, tool: &str| unique(server, tool, &mut taken);
        assert_eq!(name("conf", "echo"), "conf_echo");
        assert_eq!(name("my server", "get.it/now"), "my_server_get_it_now");
        let others = [
            name("apply", "patch"),
            name("my.server", "get.it/now"),
            name("x", &"long".repeat(40)),
            name("x", &format!("{}!", "long".repeat(40))),
            name("ü", "ß"),
        ];
        for other in &others {
            assert!(other.len() <= 64 && !other.is_empty(), "{other}");
            assert!(
                other
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
                "{other}"
            );
        }
        assert!(others[0].starts_with("apply_patch_") && others[1].starts_with("my_server_"));
        let distinct: HashSet<&String> = others.iter().collect();
        assert_eq!(distinct.len(), others.len());
        let again = unique("apply", "patch", &mut ["apply_patch".to_owned()].into());
        assert_eq!(again, others[0]);
    }
}

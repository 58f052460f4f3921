//! Reads permission rules: which files a search may show without asking for each.

use kilo_config::permission::matches;
use kilo_protocol::model::{Action, Rule};

/// Whether reading `path` is allowed without a question. Where no rule speaks, it is.
pub fn may_read(rules: &[Rule], path: &str) -> bool {
    let last = rules
        .iter()
        .rev()
        .find(|rule| matches(&rule.permission, "read") && matches(&rule.pattern, path));
    last.is_none_or(|rule| rule.action == Action::Allow)
}

/// Whether the last rule that speaks about `text` denies it.
pub fn denies(rules: &[Rule], permission: &str, text: &str) -> bool {
    let last = rules
        .iter()
        .rev()
        .find(|rule| matches(&rule.permission, permission) && matches(&rule.pattern, text));
    last.is_some_and(|rule| rule.action == Action::Deny)
}

/// Whether showing that `path` exists is denied.
pub fn is_denied(rules: &[Rule], path: &str) -> bool {
    denies(rules, "read", path)
}

#[cfg(test)]
mod tests {
    use super::{is_denied, may_read};
    use kilo_protocol::model::{Action, Rule};

    #[test]
    fn the_last_rule_that_fits_decides() {
        let rule = |pattern: &'static str, action| Rule {
            permission: "read".into(),
            pattern: pattern.into(),
            action,
        };
        let rules = [
            rule("*", Action::Allow),
            rule("*.env", Action::Ask),
            rule("*.env.*", Action::Deny),
            rule("x.env", Action::Allow),
        ];
        assert!(may_read(&rules, "src/a.rs"));
        assert!(!may_read(&rules, "deep/.env"));
        assert!(may_read(&rules, "x.env"));
        assert!(may_read(&[], ".env"));
        assert!(is_denied(&rules, ".env.local"));
        assert!(!is_denied(&rules, "deep/.env"));
    }

    #[tokio::test]
    async fn what_may_not_be_read_is_not_found_either() {
        use crate::testing::Stage;
        use serde_json::json;
        let stage = Stage::new();
        for name in ["src/a.txt", "secret/b.txt"] {
            stage.write(name, "word\n");
        }
        stage.host.rules.lock().push(Rule {
            permission: "read".into(),
            pattern: "secret*".into(),
            action: Action::Deny,
        });
        for (tool, input) in [
            ("glob", json!({"pattern": "**/*.txt"})),
            ("glob", json!({"pattern": "**/secret/*"})),
            ("grep", json!({"pattern": "word"})),
            ("grep", json!({"pattern": "word", "path": "secret"})),
            ("read", json!({"filePath": "."})),
            ("read", json!({"filePath": "secret"})),
        ] {
            let output = stage.done(tool, input.clone()).await.output;
            assert!(!output.contains("b.txt"), "{tool} {input}: {output}");
        }
        let output = stage
            .done("glob", json!({"pattern": "**/*.txt"}))
            .await
            .output;
        assert!(output.contains("a.txt") && output.contains("(1 files were left out"));
    }
}

//! Token counts of a chat answer.

use crate::adapters::lenient::Count;
use kilo_protocol::model::{CacheTokens, Tokens};
use serde::Deserialize;

/// The count as providers send it; each field may be missing or `null`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// Moonshot.
    cached_tokens: Count,
    /// DeepSeek.
    prompt_cache_hit_tokens: Count,
    /// Gateways in front of Claude.
    cache_creation_input_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
}

impl Usage {
    /// Nothing was produced, as far as the provider says.
    pub fn output_is_zero(&self) -> bool {
        self.completion_tokens.0 == Some(0)
    }

    /// In our terms: the prompt without what came from a cache, the answer without reasoning.
    pub fn tokens(&self) -> Tokens {
        let details = self.prompt_tokens_details.unwrap_or_default();
        let read = details
            .cached_tokens
            .0
            .or(self.cached_tokens.0)
            .or(self.prompt_cache_hit_tokens.0);
        let write = details
            .cache_write_tokens
            .0
            .or(self.cache_creation_input_tokens.0);
        let (read, write) = (read.unwrap_or(0), write.unwrap_or(0));
        let (prompt, completion) = (
            self.prompt_tokens.or_zero(),
            self.completion_tokens.or_zero(),
        );
        let reasoning = self
            .completion_tokens_details
            .unwrap_or_default()
            .reasoning_tokens
            .or_zero();
        Tokens {
            total: Some(self.total_tokens.0.unwrap_or(prompt + completion)),
            input: prompt.saturating_sub(read).saturating_sub(write),
            output: if self.counts_reasoning_apart(prompt, completion, reasoning) {
                completion
            } else {
                completion.saturating_sub(reasoning)
            },
            reasoning,
            cache: CacheTokens { read, write },
        }
    }

    /// xAI adds reasoning to the total but not to the completion.
    fn counts_reasoning_apart(&self, prompt: u64, completion: u64, reasoning: u64) -> bool {
        reasoning > 0 && self.total_tokens.0 == Some(prompt + completion + reasoning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_providers_arithmetic_comes_out_the_same() {
        let expected = |total, input, output, reasoning, read, write| Tokens {
            total: Some(total),
            input,
            output,
            reasoning,
            cache: CacheTokens { read, write },
        };
        let table = [
            (
                r#"{"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050,"prompt_tokens_details":{"cached_tokens":400},"completion_tokens_details":{"reasoning_tokens":20}}"#,
                expected(1050, 600, 30, 20, 400, 0),
            ),
            (
                r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":null,"completion_tokens_details":null}"#,
                expected(15, 10, 5, 0, 0, 0),
            ),
            (
                r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":125,"completion_tokens_details":{"reasoning_tokens":20}}"#,
                expected(125, 100, 5, 20, 0, 0),
            ),
            (
                r#"{"prompt_tokens":100.0,"completion_tokens":"5","prompt_cache_hit_tokens":64,"total_tokens":105}"#,
                expected(105, 36, 5, 0, 64, 0),
            ),
            (
                r#"{"prompt_tokens":100,"completion_tokens":5,"cached_tokens":30,"cache_creation_input_tokens":50}"#,
                expected(105, 20, 5, 0, 30, 50),
            ),
            (
                r#"{"prompt_tokens":null,"completion_tokens":-1,"prompt_tokens_details":{"cached_tokens":9}}"#,
                expected(0, 0, 0, 0, 9, 0),
            ),
        ];
        for (wire, tokens) in table {
            assert_eq!(
                serde_json::from_str::<Usage>(wire).unwrap().tokens(),
                tokens,
                "{wire}"
            );
        }
    }
}

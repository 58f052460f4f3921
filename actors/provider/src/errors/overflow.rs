//! Recognises a conversation that is too long, by what each provider says about it.

/// Texts that speak of limits on requests in time, not on the length of one: they win.
const THROTTLED: [&str; 13] = [
    "throttl",
    "rate limit",
    "rate_limit",
    "ratelimit",
    "too many requests",
    "requests per",
    "tokens per minute",
    "tokens per day",
    "tokens per second",
    "please wait",
    "try again",
    "trying again",
    "service unavailable",
];

/// One origin's wording: all of its parts occur in the text, in lower case.
const TEXTS: [&[&str]; 35] = [
    // Anthropic
    &["prompt is too long"],
    &["request_too_large"],
    &["request exceeds the maximum size"],
    &["input length and `max_tokens` exceed context limit"],
    // Bedrock
    &["input is too long for requested model"],
    &["too many input tokens"],
    // OpenAI, Azure
    &["exceeds the context window"],
    &["context_length_exceeded"],
    &["context window", "exceeded"],
    // Google
    &["input token count", "exceeds the maximum"],
    // xAI
    &["maximum prompt length is"],
    // Groq
    &["reduce the length of the messages"],
    // OpenRouter, DeepSeek, vLLM, Together
    &["maximum context length is"],
    &["maximum context length of"],
    &["exceeds the model's context length"],
    &["longer than the model's context length"],
    &["exceeds the maximum model length"],
    &["inputs tokens + max_new_tokens must be"],
    // Mistral
    &["too large for model with", "maximum context length"],
    // llama.cpp
    &["exceeds the available context size"],
    &["exceed_context_size"],
    // LM Studio
    &["greater than the context length"],
    &["context length of only", "tokens"],
    // MiniMax
    &["context window exceeds limit"],
    // Kimi
    &["exceeded model token limit"],
    // Ollama
    &["prompt too long"],
    &["exceeded max context length"],
    &["exceeds maximum context length"],
    // Cohere, z.ai
    &["too many tokens: size limit exceeded"],
    &["total number of tokens", "cannot exceed"],
    &["tokens in request more than max tokens allowed"],
    &["prompt exceeds max length"],
    // GitHub Copilot and gateways
    &["prompt token count", "exceeds the limit of"],
    &["model_context_window_exceeded"],
    &["entity too large"],
];

/// Codes that say it without words.
const CODES: [&str; 6] = [
    "context_length_exceeded",
    "request_too_large",
    "exceed_context_size_error",
    "model_max_prompt_tokens_exceeded",
    "string_above_max_length",
    "context_window_exceeded",
];

/// Whether an error says that the conversation is too long.
///
/// `status` is the HTTP status if there was one, `codes` the provider's codes and types, `empty` whether the answer had
/// no body: 413 and, from some providers, 400 without a body mean the same.
pub fn is_overflow(status: Option<u16>, codes: &[String], message: &str, empty: bool) -> bool {
    if matches!(status, Some(401 | 402 | 403 | 429)) || status.is_some_and(|status| status > 500) {
        return false;
    }
    if codes
        .iter()
        .any(|code| CODES.iter().any(|known| code.eq_ignore_ascii_case(known)))
    {
        return true;
    }
    let text = message.to_lowercase();
    if THROTTLED.iter().any(|part| text.contains(part)) {
        return false;
    }
    let said = TEXTS
        .iter()
        .any(|parts| parts.iter().all(|part| text.contains(part)));
    said || status == Some(413) || (status == Some(400) && empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_origins_wording_is_known() {
        let texts = [
            "prompt is too long: 213462 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 199000 + 21000 > 200000",
            "Request exceeds the maximum size",
            "Input is too long for requested model.",
            "Your input exceeds the context window of this model. Please adjust your input.",
            "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575)",
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens",
            "Please reduce the length of the messages or completion",
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000",
            "This model's maximum context length is 100000 tokens. However, your messages resulted in 200000 tokens",
            "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
            "the request exceeds the available context size. try increasing the context size",
            "The number of tokens to keep from the initial prompt is greater than the context length",
            "invalid params, context window exceeds limit (2013)",
            "Your request exceeded model token limit: 262144",
            "prompt too long; exceeded max context length by 4 tokens",
            "too many tokens: size limit exceeded by 11 tokens",
            "Request Entity Too Large",
        ];
        for text in texts {
            assert!(is_overflow(Some(400), &[], text, false), "{text}");
        }
    }

    #[test]
    fn limits_in_time_and_other_errors_are_none() {
        let table = [
            (
                Some(400),
                "Too many tokens, please wait before trying again.",
            ),
            (Some(400), "ThrottlingException: prompt is too long"),
            (
                Some(429),
                "Request too large for gpt-4o: tokens per min: limit 30000. maximum context length is 5",
            ),
            (Some(400), "max_tokens must be at least 1"),
            (Some(503), "prompt is too long"),
            (None, ""),
        ];
        for (status, text) in table {
            assert!(!is_overflow(status, &[], text, false), "{text}");
        }
    }

    #[test]
    fn codes_and_bare_statuses_count() {
        assert!(is_overflow(
            Some(400),
            &["context_length_exceeded".into()],
            "",
            false
        ));
        assert!(is_overflow(Some(413), &[], "", true));
        assert!(is_overflow(
            Some(400),
            &[],
            "the provider answered 400",
            true
        ));
        assert!(!is_overflow(
            Some(400),
            &[],
            "the provider answered 400",
            false
        ));
    }
}

//! Recognises a conversation that is too long, by what each provider says about it.

/// Texts that speak of limits on requests in time, not on the length of one: they win.
const THROTTLED: [&str; 15] = [
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
    "try again in",
    "try again later",
    "try again after",
    "trying again",
    "service unavailable",
];

/// Names of what a model has room in. With one of [`BEYOND`] they say it in any origin's words.
const ROOM: [&str; 14] = [
    "context length",
    "context size",
    "context window",
    "context limit",
    "context_length",
    "context_window",
    "contextwindow",
    "context the overflows",
    "context overflow",
    "maximum model length",
    "max_seq_len",
    "max_model_len",
    "n_ctx",
    "kv size",
];

/// Words for more than there is room for.
const BEYOND: [&str; 19] = [
    "exceed",
    "too long",
    "too large",
    "too big",
    "too many",
    "longer than",
    "larger than",
    "greater than",
    "bigger than",
    "more than",
    "less than",
    "overflow",
    "not enough",
    "only",
    "reached",
    "at most",
    "maximum context length",
    ">=",
    "<=",
];

/// One origin's wording: all of its parts occur in the text, in lower case and without quotes.
const TEXTS: [&[&str]; 37] = [
    // Anthropic
    &["prompt is too long"],
    &["request_too_large"],
    &["request exceeds the maximum size"],
    // Bedrock
    &["input is too long for requested model"],
    &["too many input tokens"],
    // Google
    &["input token count", "exceeds the maximum"],
    &["input token count", "only supports up to"],
    &["request payload size exceeds the limit"],
    // xAI
    &["maximum prompt length is"],
    // Groq, Cerebras
    &["reduce the length of the messages"],
    &["reduce the length of the input"],
    // Together, Hugging Face
    &["inputs tokens + max_new_tokens must be"],
    &["inputs must have less than", "tokens"],
    // vLLM, TensorRT-LLM
    &["prompt", "is too long to fit"],
    &["prompt length", "exceeds maximum input length"],
    &["sum of prompt length", "should not exceed"],
    &["input length", "exceeds the maximum allowed length"],
    // llama.cpp
    &["exceed_context_size"],
    &["input is too large to process"],
    &["prompt is too big"],
    &["kv cache", "free space"],
    &["n_keep", "n_ctx"],
    // LM Studio
    &["tokens to keep from the initial prompt"],
    &["trying to keep the first", "tokens"],
    // Kimi
    &["exceeded model token limit"],
    // Qwen
    &["range of input length should be"],
    // Ollama
    &["prompt too long"],
    &["input length", "exceeds the context"],
    // Cohere, z.ai
    &["too many tokens: size limit exceeded"],
    &["total number of tokens", "cannot exceed"],
    &["tokens in request more than max tokens allowed"],
    &["prompt exceeds max length"],
    &["prompt has too many tokens"],
    // Volcengine
    &["exceed max message tokens"],
    // GitHub Copilot and gateways
    &["prompt token count", "exceeds the limit of"],
    &["number of tokens in the prompt", "exceed"],
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
    let text = message
        .to_lowercase()
        .replace(['`', '"', '\'', '\u{2019}'], "");
    let has = |part: &&str| text.contains(*part);
    if THROTTLED.iter().any(has) {
        return false;
    }
    let said = TEXTS.iter().any(|parts| parts.iter().all(has))
        || (ROOM.iter().any(has) && BEYOND.iter().any(has));
    said || status == Some(413) || (status == Some(400) && empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_origins_wording_is_known() {
        let texts = [
            // Anthropic, Bedrock
            "prompt is too long: 213462 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 199000 + 21000 > 200000",
            "Request exceeds the maximum size",
            "Input is too long for requested model.",
            // OpenAI, Azure, GitHub
            "Your input exceeds the context window of this model. Please adjust your input.",
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.",
            "prompt token count of 140000 exceeds the limit of 128000",
            // Google
            "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575)",
            "Unable to submit request because the input token count is 40000 but model only supports up to 32768.",
            // xAI, Groq, Cerebras
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens",
            "Please reduce the length of the messages or completion",
            "Please reduce the length of the messages or completion. Current length is 10000 while limit is 8192",
            // OpenRouter, DeepSeek
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000",
            "This model's maximum context length is 100000 tokens. However, your messages resulted in 200000 tokens",
            // Mistral
            "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
            "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            // vLLM, SGLang, TensorRT-LLM
            "The decoder prompt (length 40000) is longer than the maximum model length of 32768. Make sure that `max_model_len` is no smaller than the number of text tokens.",
            "The prompt (total length 40000) is too long to fit into the model (context length 32768).",
            "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 4096 tokens and your request has 3900 input tokens (8192 > 4096 - 3900).",
            "The input (40000 tokens) is longer than the model's context length (32768 tokens).",
            "Requested token count exceeds the model's maximum context length of 32768 tokens.",
            "Input length (40000 tokens) exceeds the maximum allowed length (32768 tokens).",
            "Prompt length (40000) exceeds maximum input length (32768).",
            // llama.cpp and its kin
            "the request exceeds the available context size. try increasing the context size or enable context shift",
            "request (40000 tokens) exceeds the available context size (8192 tokens), try increasing it",
            "Context size has been exceeded.",
            "input is too large to process. increase the physical batch size",
            "Input prompt is too big compared to KV size. Please try increasing KV size.",
            "failed to find free space in the KV cache, retrying with smaller n_batch",
            "Requested tokens (2500) exceed context window of 2048",
            "Request length 8000 is greater than max_seq_len 4096",
            // LM Studio
            "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length, or provide a shorter input",
            "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input",
            "Reached context length of 4096 tokens, but this model does not currently support mid-generation context overflow",
            "Cannot truncate prompt with n_keep (5000) >= n_ctx (4096)",
            // Ollama
            "prompt too long; exceeded max context length by 4 tokens",
            "input length exceeds maximum context length",
            "the input length exceeds the context length",
            // the rest
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 8000 `inputs` tokens and 1024 `max_new_tokens`",
            "`inputs` must have less than 4095 tokens. Given: 5000",
            "invalid params, context window exceeds limit (2013)",
            "Invalid request: Your request exceeded model token limit: 262144",
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
            "too many tokens: size limit exceeded by 11 tokens",
            "length of prompt_tokens (40000) must be less than max_seq_len (32768).",
            "litellm.ContextWindowExceededError: the request is too long",
            "Total tokens of image and text exceed max message tokens",
            "The context length was exceeded. Please shorten your prompt and try again.",
            "Request Entity Too Large",
        ];
        for text in texts {
            for status in [Some(400), Some(422), Some(500), None] {
                assert!(is_overflow(status, &[], text, false), "{status:?} {text}");
            }
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
            (
                Some(400),
                "max_tokens is too large: 50000. This model supports at most 16384 completion tokens",
            ),
            (Some(400), "messages: at least one message is required"),
            (
                Some(400),
                "Input validation error: temperature must be less than 2",
            ),
            (
                Some(400),
                "the model is not loaded; set a context length first",
            ),
            (Some(500), "CUDA out of memory"),
            (Some(400), "file is too large: 30 MB exceeds 20 MB"),
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

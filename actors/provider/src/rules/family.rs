//! Sampling values that a family of models wants when nobody sets one.

use kilo_ports::provider::ModelInfo;

/// Sampling defaults of a family; `None` leaves the choice to the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Temperature.
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// How many of the likeliest tokens to draw from.
    pub top_k: Option<u64>,
}

/// The defaults for `model`. The temperature is `None` for models that take none.
pub fn sampling(model: &ModelInfo) -> Sampling {
    let mut sampling = of_name(&model.api_id.to_lowercase());
    sampling.temperature = sampling.temperature.filter(|_| model.temperature);
    sampling
}

fn of_name(id: &str) -> Sampling {
    let values = |temperature, top_p, top_k| Sampling {
        temperature,
        top_p,
        top_k,
    };
    if id.contains("claude") {
        values(None, None, None)
    } else if id.contains("gemini") {
        let known = ["gemini-2.5", "gemini-2-5", "gemini-3"]
            .iter()
            .any(|family| id.contains(family));
        values(known.then_some(1.0), Some(0.95), Some(64))
    } else if id.contains("glm-4.6") || id.contains("glm-4.7") {
        values(Some(1.0), None, None)
    } else if id.contains("minimax-m2") {
        let later = ["m2.", "m2-1", "m2-5", "m21", "m25"]
            .iter()
            .any(|version| id.contains(version));
        values(Some(1.0), Some(0.95), Some(if later { 40 } else { 20 }))
    } else if id.contains("kimi") {
        kimi(id)
    } else if id.contains("deepseek-v4-flash") {
        values(None, Some(0.95), None)
    } else if is_ling(id) {
        values(Some(0.3), None, None)
    } else {
        Sampling::default()
    }
}

fn kimi(id: &str) -> Sampling {
    let version = |v: &str| {
        ["k2.", "k2p", "k2-"]
            .iter()
            .any(|k2| id.contains(&format!("{k2}{v}")))
    };
    let point = ["5", "6", "7", "8", "9"].iter().any(|v| version(v));
    let temperature = if id.contains("thinking") || point {
        Some(1.0)
    } else {
        id.contains("kimi-k2").then_some(0.6)
    };
    Sampling {
        temperature,
        top_p: version("5").then_some(0.95),
        top_k: None,
    }
}

/// `ling` as a word of its own: `inclusionai/ling-1t`, not `bling-7b`.
fn is_ling(id: &str) -> bool {
    id.split(['/', '-', '_', '.', ':'])
        .any(|word| word == "ling")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_get_their_values() {
        let s = |temperature, top_p, top_k| Sampling {
            temperature,
            top_p,
            top_k,
        };
        let table = [
            ("claude-sonnet-4-5", s(None, None, None)),
            ("google/gemini-3-pro", s(Some(1.0), Some(0.95), Some(64))),
            ("gemini-1.5-pro", s(None, Some(0.95), Some(64))),
            ("z-ai/glm-4.6", s(Some(1.0), None, None)),
            ("minimax-m2", s(Some(1.0), Some(0.95), Some(20))),
            ("minimax/minimax-m2.1", s(Some(1.0), Some(0.95), Some(40))),
            ("kimi-k2-0905", s(Some(0.6), None, None)),
            ("kimi-k2-thinking", s(Some(1.0), None, None)),
            ("moonshotai/kimi-k2.5", s(Some(1.0), Some(0.95), None)),
            ("deepseek-v4-flash", s(None, Some(0.95), None)),
            ("inclusionai/ling-1t", s(Some(0.3), None, None)),
            ("bling-7b", s(None, None, None)),
        ];
        for (id, sampling) in table {
            assert_eq!(of_name(id), sampling, "{id}");
        }
    }
}

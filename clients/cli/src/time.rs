//! The wall clock, and times as people read them.

use kilo_protocol::Millis;

/// Milliseconds since 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "a program at the edge: nothing is replayed from these times"
)]
pub fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}

/// A stretch of time: `12 ms`, `3.4 s`, `2 min 05 s`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// How long ago something was: `now`, `5 min ago`, `3 h ago`, else the day.
pub fn ago(at: Millis, now: Millis) -> String {
    let minutes = now.saturating_sub(at) / 60_000;
    match minutes {
        0 => "now".into(),
        1..60 => format!("{minutes} min ago"),
        60..1_440 => format!("{} h ago", minutes / 60),
        1_440..10_080 => format!("{} d ago", minutes / 1_440),
        _ => kilo_protocol::clock::iso(at)[..10].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_ages_are_short() {
        let lengths: Vec<String> = [7, 999, 1_000, 59_999, 125_000].map(duration).into();
        assert_eq!(lengths, ["7 ms", "999 ms", "1.0 s", "59.9 s", "2 min 05 s"]);
        let day = 86_400_000;
        let ages: Vec<String> = [0, 300_000, 7_200_000, 3 * day, 60 * day]
            .map(|age| ago(100 * day, 100 * day + age))
            .into();
        assert_eq!(
            ages,
            ["now", "5 min ago", "2 h ago", "3 d ago", "1970-04-11"]
        );
    }
}

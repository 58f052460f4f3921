//! How long a provider asks us to wait.

use reqwest::header::HeaderMap;

/// Milliseconds from `retry-after-ms`, or from `retry-after` in seconds or as a date.
///
/// A date is measured against the answer's own `date` header, so a wrong clock does no harm, else against `now_ms`
/// (since 1970). A date that has passed is 0. `None` without a header that can be read.
pub fn retry_after_ms(headers: &HeaderMap, now_ms: u64) -> Option<u64> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    if let Some(ms) = text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()) {
        return milliseconds(ms);
    }
    let wish = text("retry-after")?;
    if let Ok(seconds) = wish.parse::<f64>() {
        return milliseconds(seconds * 1000.0);
    }
    let until = date_ms(wish)?;
    let now = text("date").and_then(date_ms).unwrap_or(now_ms);
    Some(until.saturating_sub(now))
}

fn milliseconds(ms: f64) -> Option<u64> {
    (ms.is_finite() && ms >= 0.0).then_some(ms as u64)
}

/// Milliseconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date_ms(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split_ascii_whitespace();
    let day: i64 = words
        .next()?
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    let month = words
        .next()
        .filter(|name| name.len() == 3)
        .and_then(|name| MONTHS.find(name))? as i64
        / 3
        + 1;
    let year: i64 = words
        .next()?
        .parse()
        .ok()
        .filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words
        .next()?
        .split(':')
        .map(|part| part.parse::<i64>().ok().filter(|n| (0..=60).contains(n)));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    u64::try_from(seconds * 1000).ok()
}

/// Days by the Gregorian calendar; the year is counted from March, so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_wish_is_read() {
        let now_ms = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(Headers, Option<u64>); 9] = [
            (
                &[("retry-after-ms", "1500"), ("retry-after", "9")],
                Some(1_500),
            ),
            (&[("retry-after", "2")], Some(2_000)),
            (&[("retry-after", " 0.5 ")], Some(500)),
            (
                &[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")],
                Some(10_000),
            ),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT")], Some(0)),
            (
                &[
                    ("retry-after", "Thu, 29 Feb 2024 00:00:05 GMT"),
                    ("date", "Wed, 28 Feb 2024 23:59:55 GMT"),
                ],
                Some(10_000),
            ),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ];
        for (pairs, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(retry_after_ms(&headers, now_ms), expected, "{pairs:?}");
        }
    }
}

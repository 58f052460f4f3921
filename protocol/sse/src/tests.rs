use super::*;

const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Name, data, id, retry.
type Seen = (String, String, Option<String>, Option<u64>);

fn seen(event: Event) -> Seen {
    (
        event.name.to_owned(),
        String::from_utf8_lossy(event.data).into_owned(),
        event.id.map(str::to_owned),
        event.retry_ms,
    )
}

fn events(pieces: &[&[u8]]) -> Result<Vec<Seen>, TooLarge> {
    let (mut decoder, mut events) = (Decoder::new(BYTES_MAX), Vec::new());
    let mut take = |event: Event| {
        events.push(seen(event));
        Ok::<_, TooLarge>(())
    };
    for piece in pieces {
        decoder.feed(piece, &mut take)?;
    }
    decoder.finish(&mut take)?;
    Ok(events)
}

fn data(pieces: &[&[u8]]) -> Vec<String> {
    let events = events(pieces).expect("within bounds");
    events.into_iter().map(|(_, data, ..)| data).collect()
}

const STREAM: &str = "\u{feff}: hello\r\nevent: x\r\nid: 1-7\r\ndata: {\"a\":\"é\"}\r\n\r\n\n\ndata:one\ndata: two\ndata\nid: 4\n\ndatax: no\nretry: 5\n\ndata: [DONE]\n\nevent: lost\n\ndata: a\r\rdata: b\rdata: c\r\n\rid\ndata: tail";

#[test]
fn every_form_of_an_event_is_read() {
    let event = |name: &str, data: &str, id: Option<&str>, retry| {
        (
            name.to_owned(),
            data.to_owned(),
            id.map(str::to_owned),
            retry,
        )
    };
    let expected = [
        event("x", "{\"a\":\"é\"}", Some("1-7"), None),
        event("", "one\ntwo\n", Some("4"), None),
        event("", "[DONE]", Some("4"), Some(5)),
        event("", "a", Some("4"), None),
        event("", "b\nc", Some("4"), None),
        event("", "tail", None, None),
    ];
    assert_eq!(events(&[STREAM.as_bytes()]).expect("events"), expected);
}

#[test]
fn the_cut_between_reads_does_not_matter() {
    let whole = events(&[STREAM.as_bytes()]);
    for size in 1..STREAM.len() {
        let pieces: Vec<&[u8]> = STREAM.as_bytes().chunks(size).collect();
        assert_eq!(events(&pieces), whole, "reads of {size} bytes");
        let (begin, end) = STREAM.as_bytes().split_at(size);
        assert_eq!(events(&[begin, b"", end]), whole, "cut at {size}");
    }
}

#[test]
fn an_event_is_handed_on_before_the_next_one_begins() {
    for end in ["\n\n", "\r\n\r\n", "\r\r", "\r\n\r"] {
        let (mut decoder, mut count) = (Decoder::new(BYTES_MAX), 0);
        let bytes = format!("data: now{end}");
        decoder
            .feed(bytes.as_bytes(), |_| {
                count += 1;
                Ok::<_, TooLarge>(())
            })
            .expect("within bounds");
        assert_eq!(count, 1, "{end:?}");
    }
}

#[test]
fn data_that_is_no_text_is_handed_on_as_it_is() {
    assert_eq!(data(&[b"data: \xff\n\n"]), ["\u{fffd}"]);
}

#[test]
fn endless_lines_and_events_are_refused_and_endless_comments_are_not_kept() {
    let refused = Err(TooLarge {
        bytes_max: BYTES_MAX,
    });
    let piece = vec![b'x'; 1024 * 1024];
    let mut line: Vec<&[u8]> = vec![b"data: "];
    line.extend(std::iter::repeat_n(piece.as_slice(), 9));
    assert_eq!(events(&line), refused);

    let lines = [b"data: ", piece.as_slice(), b"\n"].concat();
    let many: Vec<&[u8]> = std::iter::repeat_n(lines.as_slice(), 9).collect();
    assert_eq!(events(&many), refused);

    let whole = [b"data: ", piece.repeat(9).as_slice(), b"\n\n"].concat();
    assert_eq!(events(&[&whole]), refused);

    let comment = [b": ", piece.as_slice(), b"\n"].concat();
    let comments: Vec<&[u8]> = std::iter::repeat_n(comment.as_slice(), 20).collect();
    assert_eq!(events(&comments), Ok(Vec::new()));
}

#[test]
fn a_large_event_leaves_no_large_buffer() {
    let mut decoder = Decoder::new(BYTES_MAX);
    let mut feed = |bytes: &[u8]| decoder.feed(bytes, |_| Ok::<_, TooLarge>(()));
    let piece = vec![b'x'; 1024 * 1024];
    feed(b"data: a\ndata: ").expect("within bounds");
    for _ in 0..5 {
        feed(&piece).expect("within bounds");
    }
    feed(b"\n\ndata: b\n\n").expect("within bounds");
    let held = decoder.data.capacity() + decoder.carry.capacity();
    assert!(held <= 2 * KEPT_BYTES, "{held} bytes");
}

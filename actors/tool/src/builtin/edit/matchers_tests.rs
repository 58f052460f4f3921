use super::{Found, find, is_disproportionate};

/// The text after the one place that `wanted` means was replaced, or how many places there were.
fn replaced(text: &str, wanted: &str, new: &str) -> Result<String, usize> {
    match find(text, wanted) {
        Found::Nothing => Err(0),
        Found::Places { ranges, .. } => match ranges.as_slice() {
            [range] => Ok(format!(
                "{}{new}{}",
                &text[..range.start],
                &text[range.end..]
            )),
            many => Err(many.len()),
        },
    }
}

#[test]
fn exact_places() {
    assert_eq!(replaced("a b c", "b", "x"), Ok("a x c".into()));
    assert_eq!(replaced("x x x", "x", "y"), Err(3));
    assert_eq!(replaced("abc", "q", "y"), Err(0));
    assert_eq!(replaced("abc", "", "y"), Err(0));
}

#[test]
fn line_trimmed_takes_the_ending_only_if_asked() {
    let text = "fn a() {\n    one();\n}\n";
    assert_eq!(
        replaced(text, "  fn a() {\n  one();\n  }", "X"),
        Ok("X\n".into())
    );
    assert_eq!(
        replaced(text, "  fn a() {\n  one();\n  }\n", "X\n"),
        Ok("X\n".into())
    );
    assert_eq!(
        replaced("a\r\n  b\r\nc\r\n", " b\n", "B\r\n"),
        Ok("a\r\nB\r\nc\r\n".into())
    );
}

#[test]
fn lines_that_differ_by_indentation_only_are_ambiguous() {
    assert_eq!(
        replaced("  a();\n  b();\n    a();\n    b();\n", "a();\nb();", "X"),
        Err(2)
    );
}

#[test]
fn block_anchor_forgives_the_middle() {
    let text = "start {\n  let total = compute(a, b);\n  emit(total);\n}\n";
    let wanted = "start {\n  let total = compute(a, c);\n  emit(total);\n}";
    assert_eq!(replaced(text, wanted, "X"), Ok("X\n".into()));
    let foreign = "start {\n  zzzzzz;\n  qqqqqqqqqqqq;\n}";
    assert_eq!(replaced(text, foreign, "X"), Err(0));
}

#[test]
fn block_anchor_takes_the_most_similar_of_several() {
    let text = "begin\n  alpha one two\nend\nbegin\n  alpha one twp\nend\n";
    assert_eq!(
        replaced(text, "begin\n  alpha one tww\nend\n", "X\n"),
        Err(2)
    );
    let text = "begin\n  alpha one two\nend\nbegin\n  alpha ooe txx\nend\n";
    assert_eq!(
        replaced(text, "begin\n  alpha one twx\nend\n", "X\n"),
        Ok("X\nbegin\n  alpha ooe txx\nend\n".into())
    );
}

#[test]
fn block_anchor_bounds_the_length() {
    let body = "  same line here\n".repeat(3);
    let wanted = format!("open\n{body}close");
    let text = |extra: usize| format!("open\n{body}{}close\n", "  more\n".repeat(extra));
    assert_eq!(replaced(&text(1), &wanted, "X"), Ok("X\n".into()));
    assert_eq!(replaced(&text(2), &wanted, "X"), Err(0));
}

#[test]
fn blanks_count_as_one() {
    assert_eq!(
        replaced("let  x\t=  1;\n", "let x = 1;", "Y"),
        Ok("Y\n".into())
    );
    assert_eq!(
        replaced("call(foo,   bar); rest\n", "foo, bar", "z"),
        Ok("call(z); rest\n".into())
    );
}

#[test]
fn shared_indentation_is_taken_off() {
    let text = "mod m {\n\t\tif x {\n\t\t\ty\n\n\t\t}\n}\n";
    assert_eq!(
        replaced(text, "if x {\n\ty\n\n}", "Z"),
        Ok("mod m {\nZ\n}\n".into())
    );
}

#[test]
fn escapes_are_taken_for_what_they_stand_for() {
    assert_eq!(
        replaced("a \"q\"\n\tb\n", "a \\\"q\\\"\\n\\tb", "X"),
        Ok("X\n".into())
    );
    assert_eq!(
        replaced("print(\\\"hi\\\")\n", "print(\"hi\")", "X"),
        Ok("X\n".into())
    );
}

#[test]
fn blanks_around_the_whole_are_ignored() {
    assert_eq!(
        replaced("say hello now", "\n hello \n", "bye"),
        Ok("say bye now".into())
    );
}

#[test]
fn context_needs_half_of_the_middle() {
    let text = "{\n  aaaaaaaa\n  bbbbbbbb\n  cccccccc\n  dddddddd\n}\n";
    let half =
        "{\n  aaaaaaaa\n  bbbbbbbb\n  1111111111111111111111111\n  2222222222222222222222\n}";
    assert_eq!(replaced(text, half, "X"), Ok("X\n".into()));
    let less = "{\n  aaaaaaaa\n  33333333333333333333333\n  1111111111111111111111111\n  2222222222222222222222\n}";
    assert_eq!(replaced(text, less, "X"), Err(0));
}

#[test]
fn guards_refuse_runaway_matches() {
    assert!(!is_disproportionate("a\nb\nc", "a\nb\nc\nd\ne"));
    assert!(is_disproportionate("a\nb\nc", "a\nb\nc\nd\ne\nf"));
    assert!(!is_disproportionate("a\nb\nc\nd", "a\nb\nc\nd\ne\nf\ng"));
    assert!(is_disproportionate("a\nb\nc\nd", "a\nb\nc\nd\ne\nf\ng\nh"));
    assert!(is_disproportionate(
        "a\nb",
        &format!("a\n{}", "x".repeat(510))
    ));
    assert!(!is_disproportionate("a", &"x".repeat(10_000)));
}

/// A small generator of random texts: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn text(&mut self, pieces: usize) -> String {
        const PIECES: [&str; 14] = [
            "a", "b", "é", "☃", " ", "  ", "\t", "\n", "\n", "\r\n", "{\n", "}\n", "\\n", "\\\"",
        ];
        (0..self.roll(pieces + 1))
            .map(|_| PIECES[self.roll(PIECES.len())])
            .collect()
    }

    fn slice<'a>(&mut self, text: &'a str) -> &'a str {
        let cuts: Vec<usize> = text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        let (one, two) = (cuts[self.roll(cuts.len())], cuts[self.roll(cuts.len())]);
        &text[one.min(two)..one.max(two)]
    }
}

#[test]
fn any_texts_give_ordered_ranges_on_character_borders() {
    for seed in 0..4_000 {
        let mut dice = Dice(seed);
        let (text, wanted) = (dice.text(40), dice.text(12));
        let Found::Places { ranges, exact } = find(&text, &wanted) else {
            continue;
        };
        let mut end = 0;
        for range in &ranges {
            assert!(range.start >= end && !range.is_empty(), "seed {seed}");
            assert!(text.get(range.clone()).is_some(), "seed {seed}");
            assert!(!exact || text[range.clone()] == wanted, "seed {seed}");
            end = range.end;
        }
    }
}

#[test]
fn a_piece_of_the_text_is_always_found_exactly_where_it_is() {
    for seed in 0..4_000 {
        let mut dice = Dice(seed);
        let text = dice.text(40);
        let wanted = dice.slice(&text);
        let expected: Vec<_> = text
            .match_indices(wanted)
            .map(|(at, _)| at..at + wanted.len())
            .collect();
        match find(&text, wanted) {
            Found::Places { ranges, exact } => {
                assert_eq!((ranges, exact), (expected, true), "seed {seed}")
            }
            Found::Nothing => assert!(wanted.is_empty(), "seed {seed}"),
        }
    }
}

#[test]
fn reindented_blocks_of_distinct_lines_are_found_once() {
    for seed in 0..500 {
        let mut dice = Dice(seed);
        let lines: Vec<String> = (0..30)
            .map(|n| format!("{}line number {n};", " ".repeat(4 * dice.roll(3))))
            .collect();
        let (from, count) = (dice.roll(20), 1 + dice.roll(8));
        let text = lines.join("\n") + "\n";
        let wanted: Vec<String> = lines[from..from + count]
            .iter()
            .map(|line| format!("  \t{}", line.trim()))
            .collect();
        let result = replaced(&text, &wanted.join("\n"), "REPLACED").unwrap();
        let mut expected = lines.clone();
        expected.splice(from..from + count, ["REPLACED".to_owned()]);
        assert_eq!(result, expected.join("\n") + "\n", "seed {seed}");
    }
}

#[test]
fn a_file_of_anchors_is_given_up_in_reasonable_time() {
    let text = "}\n  some line of code that is not so short\n".repeat(20_000);
    let middle = "  some lime of cede that is nut so shirt\n".repeat(400);
    assert_eq!(replaced(&text, &format!("}}\n{middle}}}"), "X"), Err(0));
}

#[test]
fn a_large_file_is_searched_in_reasonable_time() {
    let text: String = (0..20_000)
        .map(|n| format!("{{\n  row {n} of the table\n  value {}\n}}\n", n * 7))
        .collect();
    let wanted = "{\n  row 19999 of teh tabel\n  value 139993\n}";
    let Found::Places { ranges, exact } = find(&text, wanted) else {
        panic!("nothing found")
    };
    assert_eq!((ranges.len(), exact), (1, false));
}

//! New text that is indented as the file is already, though what it replaces was written otherwise: to carry it over would
//! indent it twice.

use super::indent::{Pair, blanks, fits, step_of};

/// Whether `new`, which takes the place of the lines `have`, is written as the file `text` is, though `want`, as which they
/// were asked for, is not.
///
/// It begins where the place does and stays as deep as the place. Where `want` begins there as well, it shows only in
/// depths that the place has and `want` has not.
pub fn replaces_as_it_is(have: &[&str], want: &[&str], new: &str, text: &str) -> bool {
    let lines: Vec<&str> = new.lines().collect();
    let (have, want, come) = (depths(have), depths(want), depths(&lines));
    if have.is_empty() || have.first() != come.first() {
        return false;
    }
    if have.first() == want.first() {
        let known = come.iter().all(|depth| have.contains(depth));
        return known && come.iter().any(|depth| !want.contains(depth));
    }
    let least = |depths: &[&str]| depths.iter().map(|depth| depth.len()).min();
    fits(text, new) && least(&come) >= least(&have)
}

/// Whether `new`, which comes behind a line that stays, is written as the file is: where a line can only stand if it is
/// read so, and not if it is read as the line before it was asked for.
pub fn follows_as_it_is(before: Pair<'_>, new: &str, text: &str) -> bool {
    let (want, have) = before;
    let Some(first) = new.lines().find(|line| !line.trim().is_empty()) else {
        return false;
    };
    let steps = step_of(text);
    let step = steps.first().map_or("", String::as_str);
    let may_stand = |line: &str| {
        let (own, before) = (blanks(first), blanks(line));
        let is_deeper = own.strip_prefix(before) == Some(step);
        before.starts_with(own) || is_deeper && opens_block(line)
    };
    may_stand(have) && !may_stand(want) && fits(text, new)
}

/// Whether the next line may be deeper than this one.
fn opens_block(line: &str) -> bool {
    line.trim_end()
        .ends_with([':', '{', '(', '[', '>', ',', '=', '\\', '|'])
        || line.trim_end().ends_with("do")
        || line.trim_end().ends_with("then")
}

/// `new` without the blanks that stand in the file before the place already: `own` are all that is before it on its line.
/// It is meant so where its other lines have those blanks too.
pub fn without_doubled_blanks<'a>(own: &str, wanted: &str, new: &'a str) -> &'a str {
    if own.is_empty() || !blanks(wanted).is_empty() || blanks(new) != own {
        return new;
    }
    let mut others = new.lines().skip(1).filter(|line| !line.trim().is_empty());
    let mut has_others = false;
    let all = others.all(|line| {
        has_others = true;
        line.starts_with(own)
    });
    match all && has_others {
        true => &new[own.len()..],
        false => new,
    }
}

fn depths<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let lines = lines.iter().filter(|line| !line.trim().is_empty());
    lines.map(|line| blanks(line)).collect()
}

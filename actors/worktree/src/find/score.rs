//! How well a path fits a query: made ready once for each path, since all paths are compared with each query.

/// A path of a list.
pub struct Entry {
    /// Relative; folders end in `/`.
    pub path: Box<str>,
    /// In lower case, where that is another.
    lower: Option<Box<str>>,
    /// Where the name begins and ends, and its part before the first dot ends, in the lower case.
    name: (u32, u32, u32),
    depth: u16,
    is_hidden: bool,
}

impl Entry {
    /// Of a relative path.
    pub fn new(path: String) -> Self {
        let lower = path.to_lowercase();
        let whole = lower.trim_end_matches('/');
        let begin = whole.rfind('/').map_or(0, |slash| slash + 1);
        let stem = whole[begin..]
            .find('.')
            .map_or(whole.len(), |dot| begin + dot);
        let name = [begin, whole.len(), stem].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
        let depth = path.trim_end_matches('/').matches('/').count();
        Self {
            name: (name[0], name[1], name[2]),
            depth: u16::try_from(depth).unwrap_or(u16::MAX),
            is_hidden: path.split('/').any(|name| name.starts_with('.')),
            lower: (lower != path).then(|| lower.into()),
            path: path.into(),
        }
    }

    /// Whether it is a folder's.
    pub fn is_folder(&self) -> bool {
        self.path.ends_with('/')
    }

    fn lower(&self) -> &str {
        self.lower.as_deref().unwrap_or(&self.path)
    }
}

/// A query, ready to be compared.
pub struct Wanted {
    letters: Vec<char>,
    /// The same as bytes, where they are all ASCII.
    plain: Option<Vec<u8>>,
    whole: String,
}

impl Wanted {
    pub fn new(query: &str) -> Self {
        let whole = query.trim().to_lowercase();
        let letters: Vec<char> = whole
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect();
        let plain = letters.iter().map(|letter| u8::try_from(*letter).ok());
        Self {
            plain: whole.is_ascii().then(|| plain.flatten().collect()),
            letters,
            whole,
        }
    }

    /// How well the path fits; nothing if a letter is missing. Greater is better.
    pub fn score(&self, entry: &Entry) -> Option<i64> {
        let depth = i64::from(entry.depth);
        let hidden = if entry.is_hidden { 200 } else { 0 };
        let near = -(entry.path.len() as i64) - 8 * depth - hidden;
        if self.letters.is_empty() {
            return Some(-1_000 * depth + near);
        }
        let lower = entry.lower();
        let scattered = match &self.plain {
            Some(plain) if lower.is_ascii() => {
                scattered(lower.as_bytes(), plain, |byte| byte.is_ascii_alphanumeric())
            }
            _ => {
                let lower: Vec<char> = lower.chars().collect();
                scattered(&lower, &self.letters, |letter| letter.is_alphanumeric())
            }
        }?;
        let (begin, end, stem) = entry.name;
        let name = &lower[begin as usize..end as usize];
        let whole = match name {
            _ if name == self.whole || lower == self.whole => 4_000,
            _ if lower[begin as usize..stem as usize] == self.whole => 3_500,
            _ if name.starts_with(&self.whole) => 3_000,
            _ if name.contains(&self.whole) => 2_000,
            _ if lower.contains(&self.whole) => 1_500,
            _ => 0,
        };
        Some(whole + scattered + near)
    }
}

/// Points for letters that follow each other or begin a word, matched from the end so that names win over folders.
fn scattered<T: PartialEq>(path: &[T], letters: &[T], is_word: impl Fn(&T) -> bool) -> Option<i64> {
    let mut points = 0;
    let (mut end, mut last) = (path.len(), usize::MAX);
    for letter in letters.iter().rev() {
        let at = path[..end].iter().rposition(|known| known == letter)?;
        let begins_word = at == 0 || !is_word(&path[at - 1]);
        points += if begins_word { 30 } else { 0 } + if at + 1 == last { 20 } else { 0 };
        (end, last) = (at, at);
    }
    Some(points)
}

//! Random shell texts: what people write, and the odd corners where one thing turns into another.

/// Makes texts from a seed.
pub struct Generator {
    state: u64,
    depth: u32,
    documents: Vec<String>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let mut generator = Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            depth: 0,
            documents: Vec::new(),
        };
        for _ in 0..8 {
            generator.next();
        }
        generator
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    fn pick(&mut self, list: &[&str]) -> String {
        let at = self.below(list.len());
        list[at].to_owned()
    }

    /// A text; every third one has a few characters changed.
    pub fn text(&mut self) -> String {
        let lines = 1 + self.below(3);
        let mut text = String::new();
        for _ in 0..lines {
            text.push_str(&self.statement());
            text.push('\n');
            for document in std::mem::take(&mut self.documents) {
                text.push_str(&document);
            }
        }
        if self.below(3) == 0 {
            let changed = self.changed(&text);
            // A path from the root might come of it, and that is no folder to throw away.
            if !changed.contains('/') {
                return changed;
            }
        }
        text
    }

    fn changed(&mut self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(2) {
            let at = self.below(chars.len());
            if self.below(3) == 0 {
                chars.remove(at);
            } else {
                let signs = [
                    "'", "\"", "`", "$", "(", ")", "{", "}", "#", "\\", "\n", ";", "&", "|", "<",
                    "[", "]", " ", "=",
                ];
                let sign = self.pick(&signs);
                chars.splice(at..at, sign.chars());
            }
            if chars.is_empty() {
                break;
            }
        }
        chars.into_iter().collect()
    }

    fn deeper<T>(&mut self, shallow: impl Fn(&mut Self) -> T, deep: impl Fn(&mut Self) -> T) -> T {
        if self.depth > 4 {
            return shallow(self);
        }
        self.depth += 1;
        let made = deep(self);
        self.depth -= 1;
        made
    }

    fn statement(&mut self) -> String {
        self.deeper(Self::simple, |generator| match generator.below(22) {
            0..=5 => generator.simple(),
            6 => format!("{} && {}", generator.simple(), generator.statement()),
            7 => format!("{} || {}", generator.simple(), generator.statement()),
            8 => format!("{}; {}", generator.simple(), generator.statement()),
            9 => format!("{} | {}", generator.simple(), generator.simple()),
            10 => format!("({})", generator.statement()),
            11 => format!("{{ {}; }}", generator.simple()),
            12 => format!(
                "if {}; then {}; fi",
                generator.condition(),
                generator.simple()
            ),
            13 => format!(
                "for x in {} {}; do {}; done",
                generator.word(),
                generator.word(),
                generator.simple()
            ),
            14 => format!(
                "case {} in {}) {};; *) {};; esac",
                generator.word(),
                generator.word(),
                generator.simple(),
                generator.simple()
            ),
            15 => format!("f() {{ {}; }}; f {}", generator.simple(), generator.word()),
            16 => format!("{} && {}", generator.condition(), generator.simple()),
            17 => generator.declaration(),
            18 => generator.builtin(),
            19 => generator.document(),
            20 => format!("{} # {}", generator.simple(), generator.word()),
            _ => format!("X={}; {}", generator.word(), generator.statement()),
        })
    }

    fn simple(&mut self) -> String {
        let mut text = match self.below(12) {
            0 => format!("X={} ", self.word()),
            1 => "! ".to_owned(),
            2 => self.pick(&["command ", "exec ", "eval ", "builtin ", "time ", "coproc "]),
            _ => String::new(),
        };
        text.push_str(&self.pick(&[
            "zap", "zip", "zop", "cat", "ls", "echo", ":", "git", "'zap'", "z\\ap", "\"zip\"",
        ]));
        for _ in 0..self.below(3) {
            text.push(' ');
            text.push_str(&self.word());
        }
        match self.below(9) {
            0 => text.push_str(&format!(" > {}", self.target())),
            1 => text.push_str(" 2>&1"),
            2 => text.push_str(&format!(" <<< {}", self.word())),
            3 => text.push_str(&format!(" &> {}", self.target())),
            4 => text.push_str(" < a"),
            _ => {}
        }
        text
    }

    fn target(&mut self) -> String {
        self.pick(&[
            "out",
            "'o u t'",
            "\"out2\"",
            "$X",
            "a",
            "o{1,2}",
            "o\\ut",
            "${X:-out}",
            "out$X",
        ])
    }

    fn word(&mut self) -> String {
        self.deeper(Self::plain, |generator| match generator.below(30) {
            0..=8 => generator.plain(),
            9 => format!("\"{}\"", generator.inside()),
            10 => format!("$({})", generator.statement()),
            11 => format!("`{}`", generator.simple().replace('`', "")),
            12 => "$X".into(),
            13 => format!("${{X:-{}}}", generator.word()),
            14 => format!("$(({}))", generator.arithmetic()),
            15 => format!("${{X/{}/{}}}", generator.plain(), generator.word()),
            16 => format!("$'{}'", generator.pick(&["a", "\\x61", "it\\'s", "$(zap)"])),
            17 => format!("{}{}", generator.plain(), generator.word()),
            18 => format!("<({})", generator.simple()),
            19 => format!("${{X[{}]}}", generator.arithmetic()),
            20 => format!("$[{}]", generator.arithmetic()),
            21 => format!(
                "'{}'",
                generator.pick(&["a b", "$(zap)", "`zip`", "#", "a\"b", ""])
            ),
            22 => format!("{{a,{}}}", generator.plain()),
            23 => format!(
                "\\{}",
                generator.pick(&["$", "`", "\"", "'", "#", " ", "\n", "(", "&", ";"])
            ),
            24 => format!(
                "${{{}}}",
                generator.pick(&[
                    "!X", "X@P", "#X", "X@Q", "X:0:1", "X:Y", "X^^", "!X@", "X?", "@"
                ])
            ),
            25 => format!("$\"{}\"", generator.inside()),
            26 => format!("#{}", generator.plain()),
            27 => format!("{}#{}", generator.plain(), generator.plain()),
            28 => format!("${{X:={}}}", generator.word()),
            _ => generator.pick(&["*", "?", "~", "[ab]", "$@", "\"$@\"", "$?", "$#"]),
        })
    }

    fn plain(&mut self) -> String {
        self.pick(&[
            "a", "b", "push", "-x", "1", "foo", "a=b", "--", "zap", "%", "+",
        ])
    }

    fn inside(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(2) {
            let part = match self.below(10) {
                0 => format!("$({})", self.statement()),
                1 => format!("`{}`", self.simple().replace(['`', '"'], "")),
                2 => "$X".into(),
                3 => format!("${{X:-{}}}", self.word()),
                4 => format!("${{X:-'{}'}}", self.pick(&["$(zap)", "`zip`", "a"])),
                5 => self.pick(&[
                    "\\$(zap)",
                    "\\`zip\\`",
                    "\\\\$(zap)",
                    "\\\"",
                    "'",
                    "#",
                    "$",
                    "$(",
                ]),
                6 => format!("$(({}))", self.arithmetic()),
                _ => self.plain(),
            };
            text.push_str(&part);
        }
        text
    }

    fn arithmetic(&mut self) -> String {
        self.deeper(
            |generator| generator.pick(&["1", "X", "2+3"]),
            |generator| match generator.below(10) {
                0..=3 => generator.pick(&["1", "2 * 3", "1 + 1"]),
                4 => generator.pick(&["X", "Y", "X++", "X = 1", "X[0]"]),
                5 => format!("$({})", generator.simple()),
                6 => format!("X[$({})]", generator.simple()),
                7 => format!("'{}'", generator.pick(&["1", "$(zap)"])),
                8 => format!("({}) + 1", generator.arithmetic()),
                _ => format!("`{}`", generator.simple().replace('`', "")),
            },
        )
    }

    fn condition(&mut self) -> String {
        match self.below(9) {
            0 => format!("[[ {} == {} ]]", self.word(), self.word()),
            1 => format!("[[ {} -eq {} ]]", self.arithmetic(), self.word()),
            2 => format!("[[ -v {} ]]", self.pick(&["X", "'X[$(zap)]'", "X[0]"])),
            3 => format!(
                "[[ {} =~ {} ]]",
                self.word(),
                self.pick(&["a.b", "^(a|b)$", "$(zap)", "\"a b\"", "x|y"])
            ),
            4 => format!("[ {} = {} ]", self.word(), self.word()),
            5 => format!("(( {} ))", self.arithmetic()),
            6 => format!("test -v {}", self.pick(&["X", "'X[$(zap)]'"])),
            7 => format!("! [[ -n {} ]]", self.word()),
            _ => "[ -f a ]".into(),
        }
    }

    fn declaration(&mut self) -> String {
        let keyword = self.pick(&[
            "declare",
            "export",
            "readonly",
            "typeset",
            "declare -i",
            "declare -A",
            "declare -a",
            "declare -n",
            "declare -x",
        ]);
        let value = match self.below(6) {
            0 => "'X[$(zap)]'".into(),
            1 => format!("({} {})", self.word(), self.word()),
            2 => "'([$(zap)]=1)'".into(),
            _ => self.word(),
        };
        let name = self.pick(&["X", "Y", "PATH", "X[0]", "X[$(zap)]"]);
        format!("{keyword} {name}={value}; {}", self.simple())
    }

    fn builtin(&mut self) -> String {
        match self.below(12) {
            0 => format!("printf -v {} x", self.pick(&["X", "'X[$(zap)]'"])),
            1 => format!("read {} < a", self.pick(&["X", "'X[$(zap)]'"])),
            2 => format!("unset {}", self.pick(&["X", "'X[$(zap)]'"])),
            3 => format!("let {}", self.pick(&["X=1", "'X[$(zap)]=1'", "X++"])),
            4 => format!("trap {} EXIT", self.pick(&["zap", "'zip a'", "\"$X\""])),
            5 => format!("eval {}", self.word()),
            6 => format!("set -- {}; \"$@\"", self.word()),
            7 => format!(
                "X={}; $X {}",
                self.pick(&["zap", "'zip a'", "ls"]),
                self.word()
            ),
            8 => format!("X[{}]=1; {}", self.arithmetic(), self.simple()),
            9 => format!("mapfile -C {} -c 1 X < a", self.pick(&["zap", "echo"])),
            10 => "source a".into(),
            _ => format!("cd {} && {}", self.pick(&["sub", ".", "$X"]), self.simple()),
        }
    }

    fn document(&mut self) -> String {
        let (start, end) = [
            ("<<E", "E"),
            ("<<'E'", "E"),
            ("<<\\E", "E"),
            ("<<-E", "\tE"),
            ("<<\"E\"", "E"),
            ("<<-'E'", "\tE"),
        ][self.below(6)];
        let mut body = String::new();
        for _ in 0..=self.below(2) {
            let line = match self.below(8) {
                0 => self.inside().replace('\n', " "),
                1 => format!("`{}`", self.simple().replace(['`', '\n'], "")),
                2 => format!("$({})", self.simple().replace('\n', "")),
                3 => format!("$[{}]", self.arithmetic()),
                4 => format!("\\$({})", self.plain()),
                5 => format!("${{X:-`{}`}}", self.plain()),
                6 => "it's \"quoted\"".into(),
                _ => self.plain(),
            };
            body.push_str(&line);
            body.push('\n');
        }
        self.documents.push(format!("{body}{end}\n"));
        format!(
            "{} {start}",
            self.pick(&[
                "cat",
                "zap",
                "zip a",
                "X=1 cat",
                "while read l; do zap; done"
            ])
        )
    }
}

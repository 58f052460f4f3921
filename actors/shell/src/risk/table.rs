//! Options with risks, program by program.

use super::kind::Kind::{self, Connects, Reads, Runs, Writes};
use super::kind::Risk;
use crate::word::Word;

/// A program's risky options.
pub struct Options {
    /// Its names.
    pub names: &'static [&'static str],
    /// Long options, whole words of `find` among them. They may be shortened as the program itself allows.
    pub long: &'static [(&'static str, Kind)],
    /// Letters; they may stand among others.
    pub short: &'static [(char, Kind)],
    /// Letters whose value may be glued to them: what follows is no letter.
    pub values: &'static str,
}

const TABLE: &[Options] = &[
    Options {
        names: &["find", "gfind"],
        long: &[
            ("-delete", Writes),
            ("-fprint", Writes),
            ("-fprint0", Writes),
            ("-fprintf", Writes),
            ("-fls", Writes),
        ],
        short: &[],
        values: "",
    },
    Options {
        names: &["sed", "gsed"],
        long: &[("--file", Runs)],
        short: &[('f', Runs)],
        values: "eEfl",
    },
    Options {
        names: &["awk", "gawk", "mawk", "nawk"],
        long: &[
            ("--file", Runs),
            ("--exec", Runs),
            ("--include", Runs),
            ("--load", Runs),
            ("--debug", Runs),
            ("--source", Runs),
            ("--dump-variables", Writes),
            ("--profile", Writes),
            ("--pretty-print", Writes),
        ],
        short: &[
            ('f', Runs),
            ('E', Runs),
            ('i', Runs),
            ('l', Runs),
            ('D', Runs),
            ('e', Runs),
            ('d', Writes),
            ('p', Writes),
            ('o', Writes),
            ('W', Runs),
        ],
        values: "vF",
    },
    Options {
        names: &["tar", "bsdtar", "gtar"],
        long: &[
            ("--to-command", Runs),
            ("--checkpoint-action", Runs),
            ("--use-compress-program", Runs),
            ("--info-script", Runs),
            ("--new-volume-script", Runs),
            ("--rsh-command", Runs),
            ("--rmt-command", Runs),
            ("--extract", Writes),
            ("--get", Writes),
            ("--remove-files", Writes),
            ("--delete", Writes),
            ("--index-file", Writes),
            ("--absolute-names", Writes),
        ],
        short: &[('x', Writes), ('I', Runs), ('F', Runs), ('P', Writes)],
        values: "fCbgHKLNV",
    },
    Options {
        names: &["rsync"],
        long: &[
            ("--rsh", Runs),
            ("--rsync-path", Runs),
            ("--daemon", Runs),
            ("--config", Runs),
            ("--log-file", Writes),
            ("--write-batch", Writes),
            ("--only-write-batch", Writes),
            ("--read-batch", Writes),
            ("--backup-dir", Writes),
            ("--delete", Writes),
            ("--delete-after", Writes),
            ("--delete-before", Writes),
            ("--delete-during", Writes),
            ("--delete-delay", Writes),
            ("--delete-excluded", Writes),
            ("--remove-source-files", Writes),
        ],
        short: &[('e', Runs), ('M', Runs)],
        values: "fTB@",
    },
    Options {
        names: &["ssh", "scp", "sftp", "ssh-copy-id"],
        long: &[],
        short: &[
            ('o', Runs),
            ('F', Runs),
            ('S', Runs),
            ('J', Connects),
            ('E', Writes),
            ('D', Connects),
            ('L', Connects),
            ('R', Connects),
            ('W', Connects),
            ('w', Connects),
            ('I', Runs),
        ],
        values: "bceiklmpQBP",
    },
    Options {
        names: &["make", "gmake"],
        long: &[
            ("--file", Runs),
            ("--makefile", Runs),
            ("--directory", Runs),
            ("--eval", Runs),
            ("--include-dir", Runs),
            ("--environment-overrides", Runs),
        ],
        short: &[
            ('f', Runs),
            ('C', Runs),
            ('E', Runs),
            ('I', Runs),
            ('e', Runs),
        ],
        values: "jlOoW",
    },
    Options {
        names: &["env"],
        long: &[("--chdir", Runs)],
        short: &[('C', Runs)],
        values: "uS",
    },
    Options {
        names: &["sort"],
        long: &[
            ("--output", Writes),
            ("--compress-program", Runs),
            ("--temporary-directory", Writes),
        ],
        short: &[('o', Writes), ('T', Writes)],
        values: "kStT",
    },
    Options {
        names: &["rg"],
        long: &[("--pre", Runs), ("--hostname-bin", Runs)],
        short: &[],
        values: "ABCEMTdegjmrt",
    },
    Options {
        names: &["ag", "ack"],
        long: &[("--pager", Runs), ("--ackrc", Runs)],
        short: &[],
        values: "ABCGmp",
    },
    Options {
        names: &["man"],
        long: &[
            ("--pager", Runs),
            ("--html", Runs),
            ("--config-file", Runs),
            ("--preprocessor", Runs),
            ("--gxditview", Runs),
        ],
        short: &[
            ('P', Runs),
            ('H', Runs),
            ('C', Runs),
            ('p', Runs),
            ('X', Runs),
        ],
        values: "LRmMSserETZ",
    },
    Options {
        names: &["less", "more", "most"],
        long: &[
            ("--log-file", Writes),
            ("--LOG-FILE", Writes),
            ("--lesskey-file", Runs),
            ("--lesskey-src", Runs),
            ("--lesskey-content", Runs),
        ],
        short: &[('o', Writes), ('O', Writes), ('k', Runs)],
        values: "bhjpPtxyz",
    },
    Options {
        names: &["tree"],
        long: &[("--output", Writes)],
        short: &[('o', Writes), ('R', Writes)],
        values: "LPIHT",
    },
    Options {
        names: &["file"],
        long: &[("--compile", Writes)],
        short: &[('C', Writes)],
        values: "eFP",
    },
    Options {
        names: &["date"],
        long: &[("--set", Writes)],
        short: &[('s', Writes)],
        values: "dI",
    },
    Options {
        names: &["tsc", "tsgo"],
        long: &[
            ("--outDir", Writes),
            ("--outFile", Writes),
            ("--declarationDir", Writes),
            ("--tsBuildInfoFile", Writes),
            ("--generateTrace", Writes),
            ("--generateCpuProfile", Writes),
            ("--init", Writes),
            ("--build", Writes),
        ],
        short: &[('b', Writes)],
        values: "",
    },
    Options {
        names: &["cargo"],
        long: &[("--config", Runs), ("--manifest-path", Runs)],
        short: &[],
        values: "jpFZ",
    },
];

/// A program's risky options, if it is known.
pub fn of(name: &str) -> Option<&'static Options> {
    TABLE.iter().find(|options| options.names.contains(&name))
}

/// What a word may become when it runs, if that can be known.
pub type Outcomes<'a> = &'a dyn Fn(&Word) -> Option<Vec<String>>;

impl Options {
    /// The risks among a command's words; words that only the running shell knows may be any of its options.
    pub fn risks(&self, rest: &[Word], outcomes: Outcomes<'_>) -> Vec<Risk> {
        let mut found = Vec::new();
        if self.long.is_empty() && self.short.is_empty() {
            return found;
        }
        let mut is_value = false;
        for word in rest {
            let is_value_now = std::mem::take(&mut is_value);
            match word.literal() {
                Some(text) if text == "--" => break,
                Some(text) => {
                    found.extend(self.risk(&text));
                    is_value = self.takes_value(&text);
                }
                None if is_value_now && !word.splits() => {}
                None => match outcomes(word) {
                    Some(texts) => found.extend(texts.iter().filter_map(|text| self.risk(text))),
                    None => found.extend(self.of_unknown(word)),
                },
            }
        }
        found
    }

    /// A word that is not known: its beginning may show that it is no risky option.
    fn of_unknown(&self, word: &Word) -> Option<Risk> {
        let head = word.head();
        let is_named = head.starts_with("--") && head.contains('=');
        if is_named && !word.splits() {
            return self.risk(head);
        }
        let may_be_option = head.is_empty() || head.starts_with('-') || word.splits();
        may_be_option.then(|| Risk::new(word.source.clone(), self.worst()))
    }

    fn worst(&self) -> Kind {
        let long = self.long.iter().map(|(_, kind)| *kind);
        let mut kinds = long.chain(self.short.iter().map(|(_, kind)| *kind));
        let first = kinds.next().unwrap_or(Reads);
        if first == Runs || kinds.any(|kind| kind == Runs) {
            Runs
        } else {
            first
        }
    }

    fn takes_value(&self, text: &str) -> bool {
        text.starts_with('-')
            && !text.starts_with("--")
            && text
                .chars()
                .next_back()
                .is_some_and(|last| self.values.contains(last))
    }

    fn risk(&self, text: &str) -> Option<Risk> {
        let option = text.split('=').next().unwrap_or(text);
        // Whole words; they cannot be shortened.
        if self.names.contains(&"find") {
            let (_, kind) = self.long.iter().find(|(long, _)| *long == option)?;
            return Some(Risk::new(option, *kind));
        }
        if option.starts_with("--") {
            let (_, kind) = self
                .long
                .iter()
                .find(|(long, _)| is_short_for(option, long))?;
            return Some(Risk::new(option, *kind));
        }
        for letter in text.strip_prefix('-')?.chars() {
            if let Some((_, kind)) = self.short.iter().find(|(short, _)| *short == letter) {
                return Some(Risk::new(text, *kind));
            }
            if self.values.contains(letter) {
                return None;
            }
        }
        // `-outDir` of programs that take long names behind one dash.
        let doubled = format!("-{option}");
        let (_, kind) = self.long.iter().find(|(long, _)| *long == doubled)?;
        Some(Risk::new(option, *kind))
    }
}

/// Options that are the beginning of another one and mean something else.
const WHOLE: [&str; 3] = ["--exclude", "--include", "--no"];

/// Programs take a long option by its beginning too.
pub fn is_short_for(option: &str, long: &str) -> bool {
    option.len() > 2 && long.starts_with(option) && (option == long || !WHOLE.contains(&option))
}

//! Prose that must be looked into: reasoning between tags, and stop sequences that we watch for.
//!
//! Both hold back only what may be the beginning of what they look for.

/// What a piece of prose is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Thinking,
}

/// Tags around reasoning, as models write them at the beginning of an answer.
const TAGS: [(&str, &str); 3] = [
    ("<think>", "</think>"),
    ("<mm:think>", "</mm:think>"),
    ("<thought>", "</thought>"),
];

/// The longest white space before a tag that is waited through.
const LEAD_BYTES_MAX: usize = 1024;

/// Tells reasoning between tags from the answer behind it.
#[derive(Debug)]
pub(crate) enum Tags {
    /// Nothing but the possible beginning of a tag has come.
    Start(String),
    /// Between the tags; the possible beginning of the closing tag is held.
    Inside { close: &'static str, held: String },
    /// Behind the closing tag, where white space is layout.
    Behind,
    /// In the answer.
    Outside,
}

impl Tags {
    pub(crate) const fn new() -> Self {
        Self::Start(String::new())
    }

    /// Takes text and hands out what is certain.
    pub(crate) fn take(&mut self, text: &str, each: &mut dyn FnMut(Kind, &str)) {
        match self {
            Self::Start(held) => {
                held.push_str(text);
                let held = std::mem::take(held);
                self.start(held, each);
            }
            Self::Inside { close, held } => {
                held.push_str(text);
                let (close, held) = (*close, std::mem::take(held));
                self.inside(close, &held, each);
            }
            Self::Behind => {
                let text = text.trim_start();
                if !text.is_empty() {
                    *self = Self::Outside;
                    each(Kind::Text, text);
                }
            }
            Self::Outside => each(Kind::Text, text),
        }
    }

    /// Hands out what is held: nothing follows that could complete a tag.
    pub(crate) fn end(&mut self, each: &mut dyn FnMut(Kind, &str)) {
        let ended = std::mem::replace(self, Self::Outside);
        match ended {
            Self::Start(held) if !held.is_empty() => each(Kind::Text, &held),
            Self::Inside { held, .. } if !held.is_empty() => each(Kind::Thinking, &held),
            _ => {}
        }
    }

    fn start(&mut self, held: String, each: &mut dyn FnMut(Kind, &str)) {
        let begun = held.trim_start();
        if let Some((open, close)) = TAGS.into_iter().find(|(open, _)| begun.starts_with(open)) {
            let rest = begun.get(open.len()..).unwrap_or_default();
            self.inside(close, rest, each);
        } else if held.len() <= LEAD_BYTES_MAX && TAGS.iter().any(|(open, _)| open.starts_with(begun)) {
            *self = Self::Start(held);
        } else {
            *self = Self::Outside;
            each(Kind::Text, &held);
        }
    }

    fn inside(&mut self, close: &'static str, text: &str, each: &mut dyn FnMut(Kind, &str)) {
        let mut hand_out = |thinking: &str| {
            if !thinking.is_empty() {
                each(Kind::Thinking, thinking);
            }
        };
        if let Some((thinking, answer)) = text.split_once(close) {
            hand_out(thinking);
            *self = Self::Behind;
            self.take(answer, each);
        } else {
            let (certain, held) = text.split_at(text.len() - begun(text, close));
            hand_out(certain);
            *self = Self::Inside {
                close,
                held: held.to_owned(),
            };
        }
    }
}

/// Watches a text for stop sequences that the upstream does not know.
#[derive(Debug)]
pub(crate) struct StopWatch {
    sequences: Vec<String>,
    held: String,
}

impl StopWatch {
    pub(crate) fn new(sequences: &[String]) -> Self {
        Self {
            sequences: sequences.to_vec(),
            held: String::new(),
        }
    }

    /// Takes text; returns what is certain, and the sequence that ended it.
    pub(crate) fn take(&mut self, text: &str) -> (String, Option<String>) {
        self.held.push_str(text);
        let matches = self
            .sequences
            .iter()
            .filter_map(|sequence| Some((self.held.find(sequence)?, sequence)));
        // The match that ends first is the one that is also found when the text comes byte by byte.
        if let Some((at, sequence)) = matches.min_by_key(|(at, sequence)| (at + sequence.len(), *at)) {
            let sequence = sequence.clone();
            let mut certain = std::mem::take(&mut self.held);
            certain.truncate(at);
            return (certain, Some(sequence));
        }
        let longest = self
            .sequences
            .iter()
            .map(|sequence| begun(&self.held, sequence))
            .max()
            .unwrap_or(0);
        let held = self.held.split_off(self.held.len() - longest);
        (std::mem::replace(&mut self.held, held), None)
    }

    /// Returns what is held: nothing follows that could complete a sequence.
    pub(crate) fn end(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// How many bytes at the end of the text are a beginning of the sought, which is not in it.
fn begun(text: &str, sought: &str) -> usize {
    let starts = sought.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
    starts
        .filter(|at| {
            sought
                .get(..*at)
                .is_some_and(|beginning| text.ends_with(beginning))
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, cut: usize) -> (String, String) {
        let (mut tags, mut thinking, mut answer) = (Tags::new(), String::new(), String::new());
        let mut each = |kind, piece: &str| match kind {
            Kind::Thinking => thinking.push_str(piece),
            Kind::Text => answer.push_str(piece),
        };
        let characters: Vec<char> = text.chars().collect();
        for piece in characters.chunks(cut) {
            tags.take(&piece.iter().collect::<String>(), &mut each);
        }
        tags.end(&mut each);
        (thinking, answer)
    }

    #[test]
    fn reasoning_between_tags_is_told_from_the_answer() {
        let check = |text: &str, thinking: &str, answer: &str| {
            for cut in 1..=text.len() {
                assert_eq!(
                    split(text, cut),
                    (thinking.to_owned(), answer.to_owned()),
                    "{text} by {cut}"
                );
            }
        };
        check("<think>so</think>\n\nyes", "so", "yes");
        check(
            " \n<think>\na < b </thin </think>x </think>",
            "\na < b </thin ",
            "x </think>",
        );
        check("<mm:think>ü</mm:think>y", "ü", "y");
        check("<thin air", "", "<thin air");
        check("a <think>b</think>", "", "a <think>b</think>");
        check("<think>cut</thi", "cut</thi", "");
        check("<thi", "", "<thi");
        check("<think></think>y", "", "y");
    }

    #[test]
    fn nothing_certain_is_held_back() {
        let mut seen = Vec::new();
        let mut tags = Tags::new();
        for piece in ["<thi", "nk>a", "b<", "c</thin", "k> ", "d"] {
            tags.take(piece, &mut |_, piece| seen.push(piece.to_owned()));
        }
        assert_eq!(seen, ["a", "b", "<c", "d"]);
    }

    #[test]
    fn stop_sequences_end_the_text_wherever_it_is_cut() {
        let watch = ["XYZ", "Y", "STOP", "ßß", "ST"].map(str::to_owned);
        let check = |text: &str, expected: &str, stop: Option<&str>| {
            let characters: Vec<char> = text.chars().collect();
            for cut in 1..=text.len() {
                let (mut watch, mut seen, mut stopped) = (StopWatch::new(&watch), String::new(), None);
                for piece in characters.chunks(cut) {
                    let (certain, stop) = watch.take(&piece.iter().collect::<String>());
                    seen.push_str(&certain);
                    stopped = stop;
                    if stopped.is_some() {
                        break;
                    }
                }
                if stopped.is_none() {
                    seen.push_str(&watch.end());
                }
                assert_eq!(
                    (seen.as_str(), stopped.as_deref()),
                    (expected, stop),
                    "{text} by {cut}"
                );
            }
        };
        check("a ßb ß", "a ßb ß", None);
        check("a ßßb", "a ", Some("ßß"));
        check("go STOP", "go ", Some("ST"));
        check("go XYZ", "go X", Some("Y"));
        check("", "", None);
    }
}

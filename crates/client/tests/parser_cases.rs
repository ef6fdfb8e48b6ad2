//! The table of what a stream means that the TypeScript client is held to as well: the two parsers agree on it byte
//! for byte, however the stream is cut.

use std::ops::ControlFlow;

use serde::Deserialize;
use watertight_wire::{Item, Limits, Parser};

const CASES: &str = include_str!("../../../clients/cases/parser-cases.json");

/// The largest number that the table writes: above it JavaScript's numbers have gaps.
const RETRY_MAX: u64 = (1 << 53) - 1;

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    max_event_bytes: Option<usize>,
    #[serde(default)]
    is_too_large: bool,
    chunks: Vec<Text>,
    events: Vec<[Text; 3]>,
    comments: Vec<Text>,
    retries: Vec<Retry>,
    last_event_id: Text,
}

/// Text or bytes: a string, or parts of one. Long ones are written as repetitions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Whole(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Text(String),
    Hex { hex: String },
    Repeated { repeat: String, times: usize },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Retry {
    Milliseconds(u64),
    /// More than [`RETRY_MAX`].
    Beyond(String),
}

/// What a parser says of a stream that stays open.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    events: Vec<[String; 3]>,
    comments: Vec<String>,
    retries: Vec<u64>,
    last_event_id: String,
    is_too_large: bool,
}

impl Text {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Text::Whole(text) => text.clone().into_bytes(),
            Text::Parts(parts) => parts.iter().flat_map(Part::bytes).collect(),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes()).expect("text")
    }
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Part::Text(text) => text.clone().into_bytes(),
            Part::Hex { hex } => {
                let digits = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
                digits.map(|digits| u8::from_str_radix(digits, 16).expect("two digits")).collect()
            }
            Part::Repeated { repeat, times } => repeat.repeat(*times).into_bytes(),
        }
    }
}

impl Case {
    fn meaning(&self) -> Heard {
        let retry = |retry: &Retry| match retry {
            Retry::Milliseconds(milliseconds) => *milliseconds,
            Retry::Beyond(word) => {
                assert_eq!(word, "beyond");
                RETRY_MAX
            }
        };
        Heard {
            events: self.events.iter().map(|event| event.each_ref().map(Text::text)).collect(),
            comments: self.comments.iter().map(Text::text).collect(),
            retries: self.retries.iter().map(retry).collect(),
            last_event_id: self.last_event_id.text(),
            is_too_large: self.is_too_large,
        }
    }

    fn hear<'a>(&self, chunks: impl Iterator<Item = &'a [u8]>) -> Heard {
        let limits =
            self.max_event_bytes.map_or_else(Limits::default, |max_event_bytes| Limits { max_event_bytes });
        let mut parser = Parser::new(limits);
        let mut heard = Heard::default();
        for chunk in chunks {
            let fed = parser.feed(chunk, &mut |item: Item<'_>| {
                match item {
                    Item::Event { id, event_type, data } => {
                        heard.events.push([event_type, data, id].map(str::to_owned))
                    }
                    Item::Comment(text) => heard.comments.push(text.to_owned()),
                    Item::Retry(milliseconds) => heard.retries.push(milliseconds.min(RETRY_MAX)),
                }
                ControlFlow::Continue(())
            });
            if fed.is_err() {
                heard.is_too_large = true;
                break;
            }
        }
        parser.last_event_id().clone_into(&mut heard.last_event_id);
        heard
    }
}

#[test]
fn the_parser_agrees_with_the_table_that_it_shares_however_a_stream_is_cut() {
    let Table { cases } = serde_json::from_str(CASES).expect("the table");
    assert!(!cases.is_empty());
    for case in cases {
        let Case { name, .. } = &case;
        let expected = case.meaning();
        let chunks: Vec<Vec<u8>> = case.chunks.iter().map(Text::bytes).collect();
        assert_eq!(
            case.hear(chunks.iter().map(Vec::as_slice)),
            expected,
            "{name}: in the pieces of the table"
        );
        let whole = chunks.concat();
        assert_eq!(case.hear([&whole[..]].into_iter()), expected, "{name}: in one piece");
        for size in [1, 2, 3, 1021] {
            assert_eq!(case.hear(whole.chunks(size)), expected, "{name}: in pieces of {size}");
        }
    }
}

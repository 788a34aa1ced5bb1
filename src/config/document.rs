//! TOML text → [`Table`].

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::node::{Content, MAX_DEPTH, Node, Table};
use super::report::{Nature, Origin, Place, Report, quoted};

/// So many broken lines are taken out, each at the cost of a full parse; nobody repairs more in one go.
const MAX_ROUNDS: usize = 20;

/// Parse errors after which toml 1.2 drops the rest of the text, or swallows the following lines.
const STOPPERS: [&str; 3] = ["key with no value", "unclosed table", "unclosed array table"];

/// Parses what it can, and reports every syntax error with its line.
pub(super) fn parse(text: &str, report: &Report) -> Table {
    let lines = Lines::new(text);
    let mut text = text.to_owned();
    let mut broken = Vec::new();
    loop {
        let (tree, errors) = DeTable::parse_recoverable(&text);
        let mut errors: Vec<SyntaxError> = errors.iter().map(SyntaxError::from).collect();
        errors.sort_by_key(|error| error.at);
        leave_out_what_follows_an_open_list(&mut errors);
        let stopper = errors.iter().find(|error| error.is_one_of(&STOPPERS)).cloned();
        match stopper {
            // Without the broken line, what stands after it can be read as well.
            Some(error) if broken.len() < MAX_ROUNDS => {
                text = lines.blank(&text, error.at);
                broken.push(error);
            }
            _ => {
                errors.extend(broken);
                report_all(errors, &lines, report, &text);
                let reader = Reader { lines: &lines, report };
                return reader.table(tree.get_ref(), &Origin::File, 0);
            }
        }
    }
}

/// Parses one value of an overlay; None when it is not TOML.
pub(super) fn parse_value(text: &str, origin: &Origin, report: &Report) -> Option<Content> {
    let value = DeValue::parse(text.trim()).ok()?;
    let lines = Lines { starts: Vec::new() };
    Some(Reader { lines: &lines, report }.content(value.get_ref(), origin, 0))
}

#[derive(Clone)]
struct SyntaxError {
    /// Offset in bytes.
    at: usize,
    end: usize,
    message: String,
}

impl From<&toml::de::Error> for SyntaxError {
    fn from(error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or_default();
        Self { at: span.start, end: span.end, message: error.message().to_owned() }
    }
}

impl SyntaxError {
    fn is_one_of(&self, beginnings: &[&str]) -> bool {
        beginnings.iter().any(|beginning| self.message.starts_with(beginning))
    }

    /// toml's own messages name what its grammar expects, which helps few people: the common ones are translated.
    fn sentence(&self) -> String {
        const ESCAPE: &str = "a backslash begins an escape: write \\\\, or use single quotes";
        const NO_QUOTE: &str = "the closing quote is missing";
        const NO_QUOTES: &str = "a text in three quotes that begins above is not closed";
        const SENTENCES: [(&str, &str); 14] = [
            ("string values must be quoted", "text must stand in quotes"),
            ("key with no value", "there is no = between the key and its value"),
            ("unclosed array table", "the table's name lacks its closing ]]"),
            ("unclosed table", "the table's name lacks its closing ]"),
            ("unexpected leading zero", "a number must not begin with 0"),
            ("too few unicode value digits", ESCAPE),
            ("missing escaped value", ESCAPE),
            ("invalid basic string, expected `\"`", NO_QUOTE),
            ("invalid literal string, expected `'`", NO_QUOTE),
            ("invalid multi-line basic string, expected `\"`", NO_QUOTES),
            ("invalid multi-line literal string, expected `'`", NO_QUOTES),
            ("invalid basic string", "the text holds a control character"),
            ("invalid literal string", "the text holds a control character"),
            ("cannot recurse further", "nested too deeply"),
        ];
        let known = SENTENCES.iter().find(|(beginning, _)| self.message.starts_with(beginning));
        format!("not valid TOML: {}", known.map_or(self.message.as_str(), |(_, sentence)| sentence))
    }
}

const OPEN_LIST: &str = "a list that begins above is not closed; its ] is missing";

/// A `[` that is never closed makes everything after it an element, so that every later line is an error: one is enough.
fn leave_out_what_follows_an_open_list(errors: &mut Vec<SyntaxError>) {
    let open = errors.iter().any(|error| error.is_one_of(&["unexpected `=` in array", "unclosed array,"]));
    let signs = ["missing comma between array elements", "unexpected `=` in array", "unclosed array,"];
    if let Some(first) = errors.iter().position(|error| error.is_one_of(&signs)).filter(|_| open) {
        errors.truncate(first + 1);
        if let Some(error) = errors.last_mut() {
            error.message = OPEN_LIST.to_owned();
        }
    }
}

fn report_all(mut errors: Vec<SyntaxError>, lines: &Lines, report: &Report, text: &str) {
    errors.sort_by_key(|error| error.at);
    let mut last_line = 0;
    for error in errors {
        let line = lines.line(error.at);
        let place = Place { origin: Origin::Line(line), path: String::new() };
        if error.message == "duplicate key" {
            let key = text.get(error.at..error.end).unwrap_or_default();
            report.error(Nature::Shape, &place, format!("{} is already set above; keep one", quoted(key)));
        } else if line != last_line {
            // Several errors in one line have one cause.
            let nature = if error.message == OPEN_LIST { Nature::OpenEnd } else { Nature::Syntax };
            report.error(nature, &place, error.sentence());
            last_line = line;
        }
    }
}

struct Lines {
    /// The offset of each line's first byte, ascending.
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect() }
    }

    /// Counted from 1.
    fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// The text with the line at that offset overwritten by as many spaces, so that all offsets stay true.
    fn blank(&self, text: &str, at: usize) -> String {
        let line = self.line(at);
        let mut bytes = text.as_bytes().to_vec();
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or(0);
        let end = self.starts.get(line).copied().unwrap_or(bytes.len());
        for byte in bytes.get_mut(start..end).unwrap_or_default() {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        String::from_utf8(bytes).unwrap_or_default()
    }
}

struct Reader<'a> {
    lines: &'a Lines,
    report: &'a Report,
}

impl Reader<'_> {
    /// `outer` is the origin of values that have no line of their own: those of an overlay.
    fn origin<T>(&self, spanned: &Spanned<T>, outer: &Origin) -> Origin {
        if self.lines.starts.is_empty() {
            outer.clone()
        } else {
            Origin::Line(self.lines.line(spanned.span().start))
        }
    }

    fn table(&self, table: &DeTable<'_>, outer: &Origin, depth: usize) -> Table {
        let entries = table.iter().map(|(key, value)| {
            let origin = self.origin(key, outer);
            let content = self.content(value.get_ref(), &origin, depth + 1);
            (key.get_ref().to_string(), Node { origin, content })
        });
        entries.collect()
    }

    fn content(&self, value: &DeValue<'_>, outer: &Origin, depth: usize) -> Content {
        if depth > MAX_DEPTH {
            let place = Place { origin: outer.clone(), path: String::new() };
            self.report.error(Nature::Value, &place, format!("nested more than {MAX_DEPTH} levels deep"));
            return Content::Other("nested too deeply");
        }
        match value {
            DeValue::String(text) => Content::Text(text.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Content::Integer(number),
                Err(_) => Content::Other("a number of that size"),
            },
            DeValue::Float(_) => Content::Other("a number with a fraction"),
            DeValue::Boolean(value) => Content::Boolean(*value),
            DeValue::Datetime(date) => Content::Date(date.to_string()),
            DeValue::Array(array) => Content::List(
                array
                    .iter()
                    .map(|element| {
                        let origin = self.origin(element, outer);
                        let content = self.content(element.get_ref(), &origin, depth + 1);
                        Node { origin, content }
                    })
                    .collect(),
            ),
            DeValue::Table(table) => Content::Table(self.table(table, outer, depth)),
        }
    }
}

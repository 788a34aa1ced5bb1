//! A table with a column for each provider, laid out for a terminal of any width: headings break into several lines,
//! the first column is cut, the gaps shrink, and what still does not fit follows in further blocks.

use crate::commands::output;

/// How much a table may be squeezed, from not at all to as far as it can still be read.
const SQUEEZES: [Squeeze; 5] = [
    Squeeze { gap: 2, first_max: usize::MAX, heading_min: 8 },
    Squeeze { gap: 2, first_max: 24, heading_min: 6 },
    Squeeze { gap: 1, first_max: 24, heading_min: 6 },
    Squeeze { gap: 1, first_max: 16, heading_min: 6 },
    Squeeze { gap: 1, first_max: 12, heading_min: 5 },
];

#[derive(Debug, Clone, Copy)]
struct Squeeze {
    /// Between two columns.
    gap: usize,
    /// The first column is cut at so many characters.
    first_max: usize,
    /// The headings of the providers are not broken into shorter lines.
    heading_min: usize,
}

/// How wide everything is.
#[derive(Debug, Default)]
struct Layout {
    gap: usize,
    widths: Vec<usize>,
}

impl Layout {
    /// Of these columns side by side.
    fn width(&self, columns: impl Iterator<Item = usize>) -> usize {
        let widths = columns.filter_map(|column| self.widths.get(column)).map(|width| width + self.gap);
        widths.sum::<usize>().saturating_sub(self.gap)
    }

    fn fits(&self, columns: usize) -> bool {
        self.width(0..self.widths.len()) <= columns
    }
}

/// A colour beside the word, never instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Good,
    Warning,
    Bad,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// One cell.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    text: String,
    tone: Tone,
}

impl Piece {
    pub(super) fn new(text: &str, tone: Tone) -> Self {
        Self { text: output::plain(text).replace('\n', " "), tone }
    }
}

pub(super) struct Grid {
    /// The columns that every block begins with.
    fixed: usize,
    headings: Vec<String>,
    rows: Vec<Vec<Piece>>,
}

impl Grid {
    pub(super) fn new(fixed: &[&str], providers: &[String]) -> Self {
        let headings = fixed.iter().map(|heading| (*heading).to_owned());
        let providers = providers.iter().map(|name| Piece::new(name, Tone::Plain).text);
        Self { fixed: fixed.len(), headings: headings.chain(providers).collect(), rows: Vec::new() }
    }

    /// One cell for each column.
    pub(super) fn add(&mut self, row: Vec<Piece>) {
        self.rows.push(row);
    }

    /// `columns` is the width of the screen; None when nothing wraps.
    pub(super) fn text(&self, columns: Option<usize>, colour: bool) -> String {
        let columns = columns.unwrap_or(usize::MAX);
        let layout = self.layout(columns);
        let mut text = String::new();
        for block in self.blocks(&layout, columns) {
            if !text.is_empty() {
                text.push('\n');
            }
            self.headings_of(&block, &layout, &mut text);
            for row in &self.rows {
                let cells =
                    block.iter().filter_map(|column| Some((row.get(*column)?, *layout.widths.get(*column)?)));
                write_line(cells, layout.gap, colour, &mut text);
            }
        }
        text
    }

    /// The roomiest layout that fits; the narrowest when none does.
    fn layout(&self, columns: usize) -> Layout {
        let longest = self.headings.iter().map(|heading| width(heading)).max().unwrap_or_default();
        let mut layout = Layout::default();
        for squeeze in SQUEEZES {
            for heading_max in (squeeze.heading_min..=longest.max(squeeze.heading_min)).rev() {
                layout = self.squeezed(squeeze, heading_max);
                if layout.fits(columns) {
                    return layout;
                }
            }
        }
        layout
    }

    fn squeezed(&self, squeeze: Squeeze, heading_max: usize) -> Layout {
        let column = |(column, heading): (usize, &String)| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|piece| width(&piece.text));
            let heading = if column < self.fixed { width(heading) } else { width(heading).min(heading_max) };
            let wanted = cells.max().unwrap_or_default().max(heading);
            if column == 0 { wanted.min(squeeze.first_max) } else { wanted }
        };
        Layout { gap: squeeze.gap, widths: self.headings.iter().enumerate().map(column).collect() }
    }

    /// The columns of each block; every one has at least one provider.
    fn blocks(&self, layout: &Layout, columns: usize) -> Vec<Vec<usize>> {
        let fixed: Vec<usize> = (0..self.fixed).collect();
        let mut blocks = vec![fixed.clone()];
        for column in self.fixed..self.headings.len() {
            let Some(block) = blocks.last_mut() else { break };
            let wider = layout.width(block.iter().copied().chain([column]));
            if wider > columns && block.len() > self.fixed {
                blocks.push(fixed.iter().copied().chain([column]).collect());
            } else {
                block.push(column);
            }
        }
        blocks
    }

    fn headings_of(&self, block: &[usize], layout: &Layout, text: &mut String) {
        let broken: Vec<(Vec<String>, usize)> = block
            .iter()
            .filter_map(|column| {
                let width = *layout.widths.get(*column)?;
                Some((lines(self.headings.get(*column)?, width), width))
            })
            .collect();
        for line in 0..broken.iter().map(|(lines, _)| lines.len()).max().unwrap_or_default() {
            let pieces: Vec<(Piece, usize)> = broken
                .iter()
                .map(|(lines, width)| {
                    (Piece::new(lines.get(line).map_or("", String::as_str), Tone::Plain), *width)
                })
                .collect();
            write_line(pieces.iter().map(|(piece, width)| (piece, *width)), layout.gap, false, text);
        }
    }
}

fn write_line<'a>(
    cells: impl Iterator<Item = (&'a Piece, usize)>,
    between: usize,
    colour: bool,
    text: &mut String,
) {
    let mut line = String::new();
    let mut gap = 0;
    for (Piece { text, tone }, wide) in cells {
        line.extend(std::iter::repeat_n(' ', gap));
        let shown = cut(text, wide);
        gap = between + wide.saturating_sub(width(&shown));
        match tone.code().filter(|_| colour) {
            Some(code) => line.push_str(&format!("\x1b[{code}m{shown}\x1b[0m")),
            None => line.push_str(&shown),
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The text in so many characters.
fn cut(text: &str, wide: usize) -> String {
    if width(text) <= wide {
        return text.to_owned();
    }
    text.chars().take(wide.saturating_sub(1)).chain(['…']).collect()
}

/// A name in lines of so many characters, broken between its words where that is possible.
fn lines(name: &str, wide: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split_inclusive([' ', '-', '_']) {
        match lines.last_mut() {
            Some(line) if width(line) + width(word.trim_end()) <= wide => line.push_str(word),
            _ => {
                let letters: Vec<char> = word.chars().collect();
                lines.extend(letters.chunks(wide.max(1)).map(|chunk| chunk.iter().collect::<String>()));
            }
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

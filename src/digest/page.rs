//! What a digest shows, before anybody decides how: titles, figures, tables. Bounded, whatever the size of the site.

/// So many rows of each table are shown; the rest is counted.
pub(super) const ROWS_MAX: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub title: String,
    /// What it is about, under the title.
    pub lead: Vec<String>,
    pub figures: Vec<Figure>,
    pub sections: Vec<Section>,
    /// Who wrote it, and when.
    pub footer: Vec<String>,
}

/// A number that sums up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figure {
    pub label: String,
    pub value: String,
    pub mood: Mood,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Plain,
    Good,
    /// Somebody should look at it.
    Bad,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub title: String,
    pub note: Option<String>,
    /// As many as each row has cells; the first names the row.
    pub columns: Vec<&'static str>,
    pub rows: Vec<Row>,
    /// About the rows that are not shown.
    pub rest: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub cells: Vec<String>,
    pub mood: Mood,
}

impl Row {
    pub(super) fn new(cells: impl IntoIterator<Item = String>) -> Self {
        Self { cells: cells.into_iter().collect(), mood: Mood::Plain }
    }

    pub(super) fn bad_if(mut self, bad: bool) -> Self {
        if bad {
            self.mood = Mood::Bad;
        }
        self
    }
}

impl Section {
    pub(super) fn new(title: &str, columns: &[&'static str]) -> Self {
        Self { title: title.to_owned(), columns: columns.to_vec(), ..Self::default() }
    }

    /// Shows as many rows as there is room for, and counts the others as `what`.
    pub(super) fn fill(mut self, rows: Vec<Row>, what: &str) -> Self {
        if let Some(more @ 1..) = rows.len().checked_sub(ROWS_MAX) {
            self.rest = Some(format!("… and {more} more {what}"));
        }
        self.rows = rows;
        self.rows.truncate(ROWS_MAX);
        self
    }

    pub(super) fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

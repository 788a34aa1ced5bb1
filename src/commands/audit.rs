//! `audit`: the ledger, verified, exported, and its head.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Format, Global, output};
use crate::audit::Head;
use crate::progress::Progress;
use crate::store::{Store, Verified};
use crate::time::{Time, rfc3339};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow the chain from where it begins, and hold every row that it tells of against it
    Verify {
        /// A head that was kept elsewhere, as `audit head` prints it: nothing up to it may be missing or another
        #[arg(long, value_name = "SEQ:HASH")]
        head: Option<Head>,
    },
    /// Print the entries, as CSV or with --format json
    Export {
        /// Those written from then on: RFC 3339, or -7d for 7 days ago
        #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
        from: Option<Time>,
        /// Those written up to then
        #[arg(long, value_name = "TIME", value_parser = super::time, allow_hyphen_values = true)]
        to: Option<Time>,
    },
    /// Print the number and the hash of the last entry: keep it where nobody can change it
    Head,
}

pub(super) fn audit(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    let store = Store::open_read_only(&config.state)?;
    match &options.command {
        Command::Verify { head } => verify(&store, *head, global.format),
        Command::Export { from, to } => export(&store, *from, *to, global.format),
        Command::Head => head(&store, global.format),
    }
}

#[derive(Serialize)]
struct Found {
    entries: i64,
    head: String,
    reports: u64,
    pruned: u64,
    /// Null: from its beginning.
    kept_since: Option<String>,
}

fn verify(store: &Store, kept: Option<Head>, format: Format) -> Result<u8> {
    let (mut progress, all) = (Progress::start(), store.ledger_length()?);
    let verified = store.verify(kept, |done| progress.reached(done, all));
    drop(progress);
    let Verified { head, from, kept_since, reports, pruned } = verified?;
    let (entries, kept_since) = (head.seq - from.seq, kept_since.map(rfc3339));
    let text = match format {
        Format::Json => {
            let found = Found { entries, head: head.to_string(), reports, pruned, kept_since };
            serde_json::to_string_pretty(&found)? + "\n"
        }
        Format::Csv => format!(
            "entries,head,reports,pruned,kept_since\n{entries},{head},{reports},{pruned},{}\n",
            kept_since.unwrap_or_default()
        ),
        Format::Table => format!(
            "The ledger is whole: {entries} entries, and {reports} reports that are as they were written; the content of \
             {pruned} of them was pruned.\n{}Head {head}\n",
            kept_since.map_or_else(String::new, |since| format!(
                "It is kept since {since}: the {} entries before entry {} were taken away.\n",
                from.seq,
                from.seq + 1
            ))
        ),
    };
    output::print(&text)?;
    Ok(0)
}

fn head(store: &Store, format: Format) -> Result<u8> {
    let Some(line) = store.head()? else { bail!("The ledger has no entry yet; `run` or `once` writes it.") };
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&line)? + "\n",
        Format::Csv => format!("head,seq,at\n{},{},{}\n", line.head, line.seq, rfc3339(line.at)),
        Format::Table => format!("{}\n", line.head),
    };
    output::print(&text)?;
    Ok(0)
}

fn export(store: &Store, from: Option<Time>, to: Option<Time>, format: Format) -> Result<u8> {
    let out = BufWriter::new(io::stdout().lock());
    let (mut progress, all) = (Progress::start(), store.ledger_length()?);
    let reached = |seq: i64| progress.reached(u64::try_from(seq).unwrap_or_default(), all);
    let written = match format {
        Format::Json => export_json(store, from, to, out, reached),
        Format::Csv | Format::Table => export_csv(store, from, to, out, reached),
    };
    drop(progress);
    match written {
        // Whoever read it has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(0),
        written => written.map(|()| 0),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let of_io = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        let of_csv = cause.downcast_ref::<csv::Error>().map(csv::Error::kind);
        cause.downcast_ref::<io::Error>().is_some_and(of_io)
            || matches!(of_csv, Some(csv::ErrorKind::Io(error)) if of_io(error))
    })
}

fn export_json(
    store: &Store,
    from: Option<Time>,
    to: Option<Time>,
    mut out: impl Write,
    mut reached: impl FnMut(i64),
) -> Result<()> {
    let mut before = "{ \"entries\": [\n";
    store.ledger(from, to, |entry| {
        write!(out, "{before}  {}", serde_json::to_string(entry)?)?;
        before = ",\n";
        reached(entry.seq);
        Ok(())
    })?;
    let begin = if before == ",\n" { "\n" } else { before };
    writeln!(out, "{begin}] }}")?;
    Ok(out.flush()?)
}

fn export_csv(
    store: &Store,
    from: Option<Time>,
    to: Option<Time>,
    out: impl Write,
    mut reached: impl FnMut(i64),
) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["seq", "at", "at_ms", "kind", "about", "content", "hash"])?;
    store.ledger(from, to, |entry| {
        writer.write_record([
            entry.seq.to_string(),
            rfc3339(entry.at),
            entry.at_ms.to_string(),
            output::cell(&entry.kind),
            output::cell(&entry.about),
            output::cell(&entry.content),
            entry.hash.clone(),
        ])?;
        reached(entry.seq);
        Ok(())
    })?;
    Ok(writer.flush()?)
}

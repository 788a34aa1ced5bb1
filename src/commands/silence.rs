//! `silence`: for a time no alarm goes out; judging goes on, and recoveries are told.

use anyhow::{Result, bail};
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};

use super::order::{Who, give, span};
use super::{Format, Global, output};
use crate::clock;
use crate::orders::Order;
use crate::policy::{Silenced, Silencing};
use crate::store::Store;
use crate::time::Time;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    new: New,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the silences that hold or will hold
    List,
    /// End one before its time
    End {
        /// Its number
        id: u64,
        #[command(flatten)]
        who: Who,
    },
}

#[derive(Debug, Args)]
struct New {
    /// Silence what concerns this checker alone; may be repeated
    #[arg(long, value_name = "NAME")]
    checker: Vec<String>,
    /// Silence what concerns all checkers of this provider alone; may be repeated
    #[arg(long, value_name = "NAME")]
    provider: Vec<String>,
    /// Silence this service, whoever sees it; may be repeated
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Silence everything
    #[arg(long, conflicts_with_all = ["checker", "provider", "service"])]
    all: bool,
    /// For so long, for instance 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = span, conflicts_with = "until")]
    span: Option<TimeDelta>,
    /// From then on [default: now]
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    from: Option<Time>,
    /// Until then
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    until: Option<Time>,
    #[command(flatten)]
    who: Who,
}

pub(super) async fn silence(global: &Global, options: Options) -> Result<u8> {
    match options.command {
        Some(Command::List) => list(global),
        Some(Command::End { id, who }) => give(global, Order::EndSilence { id, by: who.name() }).await,
        None => give(global, options.new.order()?).await,
    }
}

impl New {
    fn order(self) -> Result<Order> {
        let nothing = self.checker.is_empty() && self.provider.is_empty() && self.service.is_empty();
        if nothing && !self.all {
            bail!("Say what is to be silenced: --checker, --provider, --service or --all.");
        }
        let from = self.from.unwrap_or_else(clock::now);
        let until = match (self.until, self.span) {
            (Some(until), _) => until,
            (None, Some(span)) => from + span,
            (None, None) => bail!("Say how long: --for 2h, or --until TIME."),
        };
        let silenced = Silenced {
            checkers: self.checker.into_iter().collect(),
            providers: self.provider.into_iter().collect(),
            services: self.service.into_iter().collect(),
        };
        Ok(Order::Silence { silenced, from, until, by: self.who.name(), note: self.who.note })
    }
}

fn list(global: &Global) -> Result<u8> {
    let config = global.load()?;
    let silences = Store::open_read_only(&config.state)?.silences_after(clock::now())?;
    let text = match global.format {
        Format::Json => serde_json::to_string_pretty(&serde_json::json!({ "silences": silences }))? + "\n",
        Format::Table | Format::Csv if silences.is_empty() => "Nothing is silenced by hand.\n".to_owned(),
        Format::Table | Format::Csv => for_people(&silences),
    };
    output::print(&text)?;
    Ok(0)
}

fn for_people(silences: &[Silencing]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SILENCE", "WHAT", "FROM (UTC)", "UNTIL (UTC)", "BY", "NOTE"]);
    for one in silences {
        let shown = |time: Time| time.format("%Y-%m-%d %H:%M:%S").to_string();
        table.add_row([
            one.id.to_string(),
            output::plain(&one.silenced.to_string()),
            shown(one.from),
            shown(one.until),
            output::plain(&one.by),
            output::plain(one.note.as_deref().unwrap_or_default()),
        ]);
    }
    table.trim_fmt() + "\n"
}

//! FETCH and UID FETCH (RFC 3501, section 6.4.5). Parts by number, ENVELOPE and BODYSTRUCTURE are not served.

use std::io::Write;

use super::command::{Args, Command, Syntax};
use super::fault::Fault;
use super::message;
use super::sequence::SequenceSet;
use super::session::{Failure, Session};
use crate::testbed::faults::Faults;
use crate::testbed::store::StoredMail;

struct Request {
    set: SequenceSet,
    items: Vec<Item>,
}

enum Item {
    Uid,
    InternalDate,
    Size,
    Flags,
    Body(Body),
}

struct Body {
    /// What the answer calls it: `BODY[HEADER]<0>`.
    label: String,
    section: Section,
    partial: Option<Partial>,
    peek: bool,
}

struct Partial {
    start: usize,
    length: usize,
}

enum Section {
    Whole,
    Header,
    Text,
    Fields { names: Vec<String>, wanted: Wanted },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    These,
    AllButThese,
}

impl Session {
    pub(super) async fn fetch(&mut self, command: &Command) -> Result<String, Failure> {
        let by_uid = command.name.starts_with("UID ");
        let mut request = Request::parse(command.args())?;
        if by_uid && !request.items.iter().any(|item| matches!(item, Item::Uid)) {
            request.items.insert(0, Item::Uid);
        }
        let sets_seen = request.items.iter().any(|item| matches!(item, Item::Body(body) if !body.peek));
        let mails = self.pick(&request.set, by_uid)?;
        if sets_seen {
            self.shared.options.store.note_changing_command("FETCH without PEEK");
        }
        for (sent, (sequence, mail)) in mails.iter().enumerate() {
            if let Some(answer) = self.shared.faults.in_fetch(sent) {
                self.answer_as_scripted(answer).await?;
            }
            self.send_mail(*sequence, mail, &request.items).await?;
        }
        if let Some(answer) = self.shared.faults.in_fetch(mails.len()) {
            self.answer_as_scripted(answer).await?;
        }
        Ok(format!("{} completed", command.name))
    }

    async fn send_mail(&mut self, sequence: usize, mail: &StoredMail, items: &[Item]) -> Result<(), Failure> {
        let has_body = items.iter().any(|item| matches!(item, Item::Body(_)));
        if let Some(announced) = has_body.then(|| self.shared.faults.huge_literal()).flatten() {
            self.connection.put_line(&format!("* {sequence} FETCH (UID {} BODY[] {{{announced}}}", mail.uid));
            self.connection.out.extend_from_slice(&mail.bytes);
            return Err(self.stall().await);
        }
        let nil = Nil::now(&self.shared.faults, mail.uid, items);
        render(&mut self.connection.out, sequence, mail, items, nil)?;
        self.connection.flush_when_large().await?;
        Ok(())
    }
}

/// What is answered with NIL by a fault.
#[derive(Clone, Copy)]
struct Nil {
    internal_date: bool,
    body: bool,
}

impl Nil {
    fn now(faults: &Faults<Fault>, uid: u32, items: &[Item]) -> Self {
        let asked = |wanted: fn(&Item) -> bool| items.iter().any(wanted);
        Self {
            internal_date: asked(|item| matches!(item, Item::InternalDate)) && faults.nil_internal_date(uid),
            body: asked(|item| matches!(item, Item::Body(_))) && faults.nil_body(uid),
        }
    }
}

fn render(
    out: &mut Vec<u8>,
    sequence: usize,
    mail: &StoredMail,
    items: &[Item],
    nil: Nil,
) -> std::io::Result<()> {
    write!(out, "* {sequence} FETCH (")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        match item {
            Item::Uid => write!(out, "UID {}", mail.uid)?,
            Item::InternalDate if nil.internal_date => out.extend_from_slice(b"INTERNALDATE NIL"),
            Item::InternalDate => {
                write!(out, "INTERNALDATE \"{}\"", mail.internal_date.format("%e-%b-%Y %H:%M:%S %z"))?;
            }
            Item::Size => write!(out, "RFC822.SIZE {}", mail.bytes.len())?,
            Item::Flags => out.extend_from_slice(b"FLAGS ()"),
            Item::Body(body) if nil.body => write!(out, "{} NIL", body.label)?,
            Item::Body(body) => {
                let part = body.of(&mail.bytes);
                write!(out, "{} {{{}}}\r\n", body.label, part.len())?;
                out.extend_from_slice(&part);
            }
        }
    }
    out.extend_from_slice(b")\r\n");
    Ok(())
}

impl Body {
    fn of(&self, mail: &[u8]) -> Vec<u8> {
        let mut part = match &self.section {
            Section::Whole => mail.to_vec(),
            Section::Header => message::header(mail).to_vec(),
            Section::Text => message::text(mail).to_vec(),
            Section::Fields { names, wanted } => {
                let listed = |field: &&[u8]| {
                    names.iter().any(|name| message::field_name(field).eq_ignore_ascii_case(name.as_bytes()))
                };
                let chosen = message::fields(mail)
                    .into_iter()
                    .filter(|field| listed(field) == (*wanted == Wanted::These));
                let mut part = chosen.collect::<Vec<_>>().concat();
                part.extend_from_slice(b"\r\n");
                part
            }
        };
        if let Some(Partial { start, length }) = self.partial {
            part.drain(..start.min(part.len()));
            part.truncate(length);
        }
        part
    }
}

impl Request {
    fn parse(mut args: Args<'_>) -> Result<Self, Syntax> {
        let set = SequenceSet::parse(&mut args)?;
        args.space()?;
        let items = match args.0.first() {
            Some(b'(') => args.list(parse_item)?,
            _ if args.0.eq_ignore_ascii_case(b"FAST") => {
                args.take_while(|_| true);
                vec![Item::Flags, Item::InternalDate, Item::Size]
            }
            _ => vec![parse_item(&mut args)?],
        };
        args.end()?;
        if items.is_empty() {
            return Err(Syntax("FETCH names no item".to_owned()));
        }
        Ok(Self { set, items })
    }
}

fn parse_item(args: &mut Args<'_>) -> Result<Item, Syntax> {
    let name = args.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.').to_ascii_uppercase();
    let whole = |label: &str, section, peek| {
        Ok(Item::Body(Body { label: label.to_owned(), section, partial: None, peek }))
    };
    match name.as_slice() {
        b"UID" => Ok(Item::Uid),
        b"INTERNALDATE" => Ok(Item::InternalDate),
        b"RFC822.SIZE" => Ok(Item::Size),
        b"FLAGS" => Ok(Item::Flags),
        b"RFC822" => whole("RFC822", Section::Whole, false),
        b"RFC822.HEADER" => whole("RFC822.HEADER", Section::Header, true),
        b"RFC822.TEXT" => whole("RFC822.TEXT", Section::Text, false),
        b"BODY" => parse_body(args, false),
        b"BODY.PEEK" => parse_body(args, true),
        _ => Err(Syntax(format!("Unknown FETCH item {}", String::from_utf8_lossy(&name)))),
    }
}

fn parse_body(args: &mut Args<'_>, peek: bool) -> Result<Item, Syntax> {
    args.expect("[")?;
    let name = args.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.').to_ascii_uppercase();
    let section = match name.as_slice() {
        b"" => Section::Whole,
        b"HEADER" => Section::Header,
        b"TEXT" => Section::Text,
        b"HEADER.FIELDS" => parse_fields(args, Wanted::These)?,
        b"HEADER.FIELDS.NOT" => parse_fields(args, Wanted::AllButThese)?,
        _ => return Err(Syntax(format!("Unknown section {}", String::from_utf8_lossy(&name)))),
    };
    args.expect("]")?;
    let partial = if args.eat(b"<") { Some(parse_partial(args)?) } else { None };
    let mut label = format!("BODY[{}", String::from_utf8_lossy(&name));
    if let Section::Fields { names, .. } = &section {
        label.push_str(&format!(" ({})", names.join(" ")));
    }
    label.push(']');
    if let Some(partial) = &partial {
        label.push_str(&format!("<{}>", partial.start));
    }
    Ok(Item::Body(Body { label, section, partial, peek }))
}

fn parse_fields(args: &mut Args<'_>, wanted: Wanted) -> Result<Section, Syntax> {
    args.space()?;
    let names = args.list(Args::astring)?;
    Ok(Section::Fields { names, wanted })
}

fn parse_partial(args: &mut Args<'_>) -> Result<Partial, Syntax> {
    let start = args.number()?;
    args.expect(".")?;
    let length = args.number()?;
    args.expect(">")?;
    if length == 0 {
        return Err(Syntax("A partial FETCH of no bytes".to_owned()));
    }
    let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Partial { start: wide(start), length: wide(length) })
}

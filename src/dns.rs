//! Questions to DNS about mail hosts and addresses, for [`crate::independence`]. Bounded in number and time; what is not
//! answered is said to be unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Name, Rtype};
use domain::rdata::{A, Aaaa, Mx};
use domain::resolv::StubResolver;
use domain::resolv::stub::Answer;
use domain::resolv::stub::conf::{ResolvConf, ResolvOptions, ServerConf, Transport};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::independence::{Answers, Questions};

/// For the answer to one question, with what the resolver repeats of its own.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);
/// For all of them together.
const ALL_LIMIT: Duration = Duration::from_secs(20);
/// At the same time.
const QUESTIONS_TOGETHER: usize = 8;
/// Of one kind. Far more than channels have; the rest stays unknown.
const NAMES_MAX: usize = 500;
const MAIL_HOSTS_MAX: usize = 20;
const ADDRESSES_MAX: usize = 50;

/// Asks `server`, or those of `/etc/resolv.conf`. Takes 20 s at most.
pub async fn ask(questions: &Questions, server: Option<SocketAddr>) -> Answers {
    let resolver = Arc::new(resolver(server));
    let until = Instant::now() + ALL_LIMIT;
    let mail_hosts = each(&resolver, &questions.domains, until, mail_hosts).await;
    let found = mail_hosts.values().flatten().flatten().filter(|host| host.parse::<IpAddr>().is_err());
    let hosts: BTreeSet<String> = questions.hosts.iter().chain(found).cloned().collect();
    let addresses = each(&resolver, &hosts, until, addresses).await;
    Answers { mail_hosts, addresses, url_hosts: BTreeMap::new() }
}

fn resolver(server: Option<SocketAddr>) -> StubResolver {
    let Some(server) = server else { return StubResolver::new() };
    let servers = vec![ServerConf::new(server, Transport::UdpTcp)];
    StubResolver::from_conf(ResolvConf { servers, options: ResolvOptions::default() })
}

/// One question, or one pair, about each name.
async fn each<T, F>(
    resolver: &Arc<StubResolver>,
    names: &BTreeSet<String>,
    until: Instant,
    question: impl Fn(Arc<StubResolver>, Name<Vec<u8>>) -> F,
) -> BTreeMap<String, Result<T, String>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let (mut answers, mut tasks) = (BTreeMap::new(), JoinSet::new());
    let turns = Arc::new(Semaphore::new(QUESTIONS_TOGETHER));
    for (place, name) in names.iter().enumerate() {
        // Until its answer is there.
        let unanswered = format!("no answer from DNS within {} s", ALL_LIMIT.as_secs());
        answers.insert(name.clone(), Err(unanswered));
        let asked = match parsed(name) {
            Ok(_) if place >= NAMES_MAX => Err(format!("more than {NAMES_MAX} names to ask about")),
            parsed => parsed,
        };
        let asked = match asked {
            Ok(parsed) => question(Arc::clone(resolver), parsed),
            Err(why) => {
                answers.insert(name.clone(), Err(why));
                continue;
            }
        };
        let (name, turns) = (name.clone(), Arc::clone(&turns));
        tasks.spawn(async move {
            // Never closed.
            let _turn = turns.acquire_owned().await;
            let limit = QUESTION_LIMIT.as_secs();
            let answer = timeout(QUESTION_LIMIT, asked).await;
            (name, answer.unwrap_or_else(|_| Err(format!("no answer from DNS within {limit} s"))))
        });
    }
    // What panics or comes too late leaves the answer as it is. The rest ends with the set.
    while let Ok(Some(done)) = timeout_at(until, tasks.join_next()).await {
        answers.extend(done);
    }
    answers
}

/// A name in the letters that DNS has: what people write in others is turned into them (RFC 5891).
fn parsed(name: &str) -> Result<Name<Vec<u8>>, String> {
    let ascii = if name.is_ascii() {
        name.to_owned()
    } else {
        let url = reqwest::Url::parse(&format!("https://{name}/"));
        url.ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    };
    Name::from_str(&ascii).map_err(|_| "not a name that DNS could know".to_owned())
}

/// Where mail for a domain goes to: its MX, or itself without any (RFC 5321, section 5.1), or nowhere (RFC 7505).
async fn mail_hosts(resolver: Arc<StubResolver>, domain: Name<Vec<u8>>) -> Result<BTreeSet<String>, String> {
    let answer = asked(&resolver, &domain, Rtype::MX).await?;
    let records = answer.answer().map_err(malformed)?.limit_to_in::<Mx<_>>();
    let mut found = Vec::new();
    for record in records.take(MAIL_HOSTS_MAX) {
        found.push(record.map_err(malformed)?.data().exchange().to_string().to_lowercase());
    }
    if found.is_empty() {
        return Ok(BTreeSet::from([domain.to_string().to_lowercase()]));
    }
    Ok(found.into_iter().filter(|host| !host.trim_end_matches('.').is_empty()).collect())
}

async fn addresses(resolver: Arc<StubResolver>, host: Name<Vec<u8>>) -> Result<BTreeSet<IpAddr>, String> {
    let mut found = BTreeSet::new();
    let answer = asked(&resolver, &host, Rtype::A).await?;
    for record in answer.answer().map_err(malformed)?.limit_to_in::<A>().take(ADDRESSES_MAX) {
        found.insert(record.map_err(malformed)?.data().addr().into());
    }
    let answer = asked(&resolver, &host, Rtype::AAAA).await?;
    for record in answer.answer().map_err(malformed)?.limit_to_in::<Aaaa>().take(ADDRESSES_MAX) {
        found.insert(record.map_err(malformed)?.data().addr().into());
    }
    Ok(found)
}

async fn asked(resolver: &StubResolver, name: &Name<Vec<u8>>, kind: Rtype) -> Result<Answer, String> {
    let answer =
        resolver.query((name, kind)).await.map_err(|error| format!("DNS does not answer ({error})"))?;
    match answer.header().rcode() {
        Rcode::NOERROR => Ok(answer),
        Rcode::NXDOMAIN => Err("there is no such name in DNS".to_owned()),
        code => Err(format!("DNS answers {code}")),
    }
}

fn malformed(_: impl std::error::Error) -> String {
    "DNS sent an answer that cannot be read".to_owned()
}

#[cfg(test)]
mod tests;

//! What a channel needs to reach people, as far as the configuration tells.

use super::{Channel, ChannelKind, Webhook};

/// What delivers to people beside the server that takes the message.
const TEAMS: &str = "teams.microsoft.com";

/// What a message of a channel needs to reach people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Names or addresses of machines, of which none may be lost.
    pub servers: Vec<String>,
    /// Mail addresses, of which one is enough; none where a server is all there is.
    pub recipients: Vec<String>,
    /// What else it needs, that nobody sees from here.
    pub hidden: Option<Hidden>,
}

/// What is behind something local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    Program,
    File,
    /// It stands outside of the configuration.
    Url,
}

impl Channel {
    pub fn reach(&self) -> Reach {
        match &self.kind {
            ChannelKind::Smtp(smtp) => {
                let login = smtp.login.iter().filter_map(|(_, login)| login.host());
                let servers = std::iter::once(smtp.server.host.clone()).chain(login.map(str::to_owned));
                Reach { servers: servers.collect(), recipients: smtp.to.clone(), hidden: None }
            }
            ChannelKind::Webhook(Webhook { endpoint, .. }) | ChannelKind::Alertmanager(endpoint) => {
                of_url(endpoint.host.as_deref(), None)
            }
            ChannelKind::Teams(endpoint) => of_url(endpoint.host.as_deref(), Some(TEAMS)),
            ChannelKind::Command(_) => Reach { hidden: Some(Hidden::Program), ..Reach::default() },
            ChannelKind::File(_) => Reach { hidden: Some(Hidden::File), ..Reach::default() },
        }
    }
}

fn of_url(host: Option<&str>, also: Option<&str>) -> Reach {
    let servers = host.into_iter().chain(also).map(str::to_owned).collect();
    Reach { servers, hidden: host.is_none().then_some(Hidden::Url), ..Reach::default() }
}

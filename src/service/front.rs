//! What the daemon shows over HTTP: it paints a picture of itself when somebody asks for one.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::clock;
use crate::control::Request;
use crate::dead_files::DeadFiles;
use crate::engine::Engine;
use crate::time::Time;
use crate::web::{Easel, Picture, Sessions, Site, Web, Work};

pub(super) struct Front {
    easel: Easel,
    orders: mpsc::Sender<Request>,
    sessions: Sessions,
    /// None while it is not configured, or cannot listen.
    web: Option<Web>,
    dead_files: Option<DeadFiles>,
    work: Work,
}

impl Front {
    /// A page that cannot be served is no reason not to watch: it is said in the log.
    pub(super) async fn open(engine: &Engine, orders: mpsc::Sender<Request>) -> Self {
        let mut front = Self {
            easel: Easel::default(),
            orders,
            sessions: Sessions::of(engine.config().state.clone()),
            web: None,
            dead_files: None,
            work: Work::default(),
        };
        front.reopen(engine).await;
        front
    }

    /// Serves as the configuration now says.
    pub(super) async fn reopen(&mut self, engine: &Engine) {
        let config = engine.config();
        self.dead_files =
            config.dead_files.clone().map(|folder| DeadFiles::keep(folder, self.easel.viewer()));
        let site = config.web.clone().map(|web| {
            Site::new(
                Arc::new(config.clone()),
                web,
                self.easel.viewer(),
                self.orders.clone(),
                engine.link_key().cloned(),
                self.sessions.clone(),
            )
        });
        self.web = Web::follow(self.web.take(), site)
            .await
            .inspect_err(|error| tracing::error!(error = format!("{error:#}"), "nothing is served over HTTP"))
            .unwrap_or_default();
    }

    pub(super) fn judged(&mut self, at: Time) {
        self.work.judged = Some(at);
        self.work.judgements += 1;
    }

    /// An order was carried out.
    pub(super) fn outdate(&self) {
        self.easel.outdate();
    }

    /// Done when somebody wants a new picture.
    pub(super) async fn wanted(&self) {
        self.easel.wanted().await;
    }

    pub(super) fn paint(&mut self, engine: &Engine, store_fails: bool) {
        let now = clock::now();
        // A clock that was set back must not make an old judgement a late one.
        self.work.judged = self.work.judged.map(|judged| judged.min(now));
        let work = Work { store_fails, ..self.work };
        self.easel.show(Picture::of(engine, work, now));
    }
}

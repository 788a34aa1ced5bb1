// Keeps the page up to date, and says when it does not. Without it the page is made anew by the browser.
"use strict";
(() => {
  const BEAT_LOST_S = 16;       // the server speaks every 5 s
  const RETRY_MS = 3000;
  const SLOW_MAX_MS = 300000;   // a whole page is asked for at least this often
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const news = document.getElementById("news");
  if (!live || !window.EventSource) return;

  // The server's clock minus this one's, in seconds.
  let offset = Number(document.body.dataset.at) - Date.now() / 1000;
  let heard = Date.now();
  let lostSince = null;
  let source = null;
  let retry = null;
  let slowAt = Date.now();
  let slowWanted = false;
  let slowBusy = false;
  const name = document.title;

  // As the server writes it: two units at most, rounded down.
  const span = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    const [big, small] =
      s >= 86400 ? [[Math.floor(s / 86400), "d"], [Math.floor((s % 86400) / 3600), "h"]]
      : s >= 3600 ? [[Math.floor(s / 3600), "h"], [Math.floor((s % 3600) / 60), "min"]]
      : s >= 60 ? [[Math.floor(s / 60), "min"], [s % 60, "s"]]
      : [[s, "s"], [0, ""]];
    return small[0] === 0 ? `${big[0]} ${big[1]}` : `${big[0]} ${big[1]} ${small[0]} ${small[1]}`;
  };

  const tick = () => {
    const now = Date.now() / 1000 + offset;
    for (const element of document.querySelectorAll(".ago")) {
      const past = now - Number(element.dataset.at);
      const text = past >= 0 ? `${span(past)} ago` : `in ${span(-past)}`;
      if (element.textContent !== text) element.textContent = text;
    }
    for (const bar of document.querySelectorAll("[data-since]")) {
      const share = (now - Number(bar.dataset.since)) / Number(bar.dataset.whole);
      bar.setAttribute("width", String(Math.min(100, Math.max(0, share * 100))));
    }
  };

  const show = () => {
    const quiet = (Date.now() - heard) / 1000;
    if (lostSince === null && quiet > BEAT_LOST_S) lose();
    if (lostSince === null) {
      live.textContent = "live";
      lost.hidden = true;
    } else {
      live.textContent = "not live";
      const text = `Not live since ${new Date(lostSince).toLocaleTimeString()}: what stands here may be old. Trying to connect again.`;
      if (lost.textContent !== text) lost.textContent = text;
      lost.hidden = false;
    }
    if (lostSince !== null) document.title = `? not live · ${name}`;
    document.body.classList.toggle("old", lostSince !== null);
    document.body.classList.toggle("fresh", lostSince === null);
  };

  // What is shown is as old as the last word of the server.
  const lose = () => {
    if (lostSince === null) lostSince = heard;
    if (source) source.close();
    source = null;
    if (retry === null) retry = setTimeout(connect, RETRY_MS);
    show();
  };

  const speak = (at) => {
    heard = Date.now();
    if (at !== undefined) offset = at - Date.now() / 1000;
    const back = lostSince !== null;
    if (back) slowWanted = true;
    lostSince = null;
    if (back) document.title = name;
    show();
    retitle();
  };

  const retitle = () => {
    const head = document.querySelector("#health [data-title]");
    if (!head) return;
    const title = `${head.dataset.title} · ${name}`;
    if (document.title === title) return;
    if (document.title !== name) news.textContent = head.dataset.title;
    document.title = title;
  };

  // Nobody's typing is taken away.
  const isTypedIn = (element) => [...element.querySelectorAll("input")].some(
    (input) => input === document.activeElement || input.value !== input.defaultValue);

  // The keyboard stays where it was.
  const replace = (element, html) => {
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    const id = focused && focused.id;
    const href = focused && focused.getAttribute("href");
    element.innerHTML = html;
    const again = (id && document.getElementById(id))
      || (href && element.querySelector(`[href="${CSS.escape(href)}"]`));
    if (again) again.focus({ preventScroll: true });
    tick();
  };

  const change = (data) => {
    const element = document.getElementById(data.id);
    // The watchdog's health changes with every look.
    if (data.id !== "health") slowWanted = true;
    if (!element || element.dataset.hash === data.hash) return;
    element.dataset.hash = data.hash;
    replace(element, data.html);
    retitle();
  };

  // Sections that are no part of the stream: the page is asked for again, and they are taken out of it.
  const renew = async () => {
    if (slowBusy || !document.querySelector("[data-slow]")) return;
    slowBusy = true;
    slowWanted = false;
    try {
      const answer = await fetch(location.pathname + location.search, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-slow]")) {
        const fresh = page.getElementById(old.id);
        if (!fresh) old.remove();
        else if (!isTypedIn(old)) replace(old, fresh.innerHTML);
      }
    } catch (error) {
      slowWanted = true;
    } finally {
      slowAt = Date.now();
      slowBusy = false;
    }
  };

  const connect = () => {
    retry = null;
    if (source) source.close();
    source = new EventSource("/live");
    source.addEventListener("beat", (event) => speak(Number(event.data)));
    source.addEventListener("section", (event) => { speak(); change(JSON.parse(event.data)); });
    source.addEventListener("again", () => { slowWanted = true; connect(); });
    source.addEventListener("error", lose);
  };

  setInterval(() => {
    tick();
    show();
    const since = Date.now() - slowAt;
    const slow = document.querySelector("[data-slow]");
    // Not all who look at once.
    const least = slow ? Number(slow.dataset.slow) * 1000 * (1 + Math.random()) : SLOW_MAX_MS;
    if (lostSince === null && ((slowWanted && since > least) || since > SLOW_MAX_MS)) renew();
  }, 1000);
  window.addEventListener("pageshow", (event) => { if (event.persisted) lose(); });
  retitle();
  tick();
  connect();
})();

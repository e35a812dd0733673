// Asks for the page again and again, and exchanges the parts that have changed. Everything the reader has done stays:
// the place on the page, the focus, what is unfolded, how far a table is scrolled, and text that is being selected.
"use strict";
(() => {
  const EVERY = 2000, SLOWEST = 30000;
  const parts = (page) => [...page.querySelectorAll("[data-part]")];
  const shown = new Map(parts(document).map((part) => [part.id, part.outerHTML]));
  const [pause, lost, said, fresh] = ["pause", "lost", "said", "fresh"].map((id) => document.getElementById(id));
  let tag = "", paused = false, failures = 0, waiting = null, last = new Date();

  const outline = (page) => parts(page).map((part) => part.id).join();
  const selecting = (node) => {
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(node, true);
  };

  function keepingPlace(node, exchange) {
    const focus = node.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...node.querySelectorAll("details[open][id]")].map((each) => each.id);
    const moved = [...node.querySelectorAll("[tabindex][id]")].map((each) => [each.id, each.scrollLeft]);
    exchange();
    open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    moved.forEach(([id, left]) => { const each = document.getElementById(id); if (each) each.scrollLeft = left; });
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  }

  function exchange(page) {
    const whole = outline(page) !== outline(document);
    const old = document.getElementById("main");
    if (whole && selecting(old)) return page;
    if (whole) keepingPlace(old, () => old.replaceChildren(...page.getElementById("main").cloneNode(true).childNodes));
    let left = null;
    for (const part of parts(page)) {
      const html = part.outerHTML, here = document.getElementById(part.id);
      if (shown.get(part.id) !== html && !(whole && old.contains(here))) {
        if (selecting(here)) { left = page; continue; }
        keepingPlace(here, () => here.replaceWith(document.importNode(part, true)));
      }
      shown.set(part.id, html);
    }
    document.title = page.title;
    const news = page.querySelector("[data-said]")?.dataset.said ?? "";
    if (news !== said.dataset.last) { if (said.dataset.last !== undefined) said.textContent = news; said.dataset.last = news; }
    return left;
  }

  function tell() {
    lost.textContent = failures > 1
      ? `motet watch does not answer; this is how things stood at ${last.toLocaleTimeString()}.` : "";
    fresh.textContent = paused ? "Updates are paused" : failures > 1 ? "" : "Live";
  }

  async function look() {
    try {
      const answer = await fetch(location.pathname, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status === 200) {
        waiting = new DOMParser().parseFromString(await answer.text(), "text/html");
        tag = answer.headers.get("ETag") ?? "";
      } else if (answer.status !== 304) throw new Error(answer.statusText);
      failures = 0;
      last = new Date();
    } catch {
      failures += 1;
    }
    if (waiting && !paused) waiting = exchange(waiting);
    tell();
  }

  async function go() {
    if (!paused && !document.hidden) await look();
    setTimeout(go, Math.min(SLOWEST, EVERY * 2 ** Math.max(0, failures - 3)));
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on updating" : "Pause updates";
    tell();
    if (!paused) look();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) look(); });
  said.dataset.last = document.querySelector("[data-said]")?.dataset.said ?? "";
  tell();
  go();
})();

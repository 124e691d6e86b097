// Applies what the server sends: the content of elements that have an id and data-fragment. All
// pages work without it, and then show how it was when they were loaded.
"use strict";

(() => {
  const page = document.querySelector("[data-live]");
  if (!page) return;
  const AGAIN_MS = 5000;
  const late = new Map();
  let source = null;

  const inUse = (element) => {
    const selection = document.getSelection();
    const selected = selection && !selection.isCollapsed && element.contains(selection.anchorNode);
    return element.contains(document.activeElement) || selected;
  };

  // Whoever has the focus, or a selection, inside an element keeps it, and gets the news after.
  const apply = (element, content) => {
    if (inUse(element)) {
      late.set(element, content);
    } else {
      late.delete(element);
      element.innerHTML = content;
    }
  };
  const catchUp = () => [...late].forEach(([element, content]) => apply(element, content));
  document.addEventListener("focusout", () => setTimeout(catchUp));
  document.addEventListener("selectionchange", () => setTimeout(catchUp));

  const LOST = "Not live: the connection is lost, and tried again.";
  const MANY = "Not live: too many pages are open. Close some of them.";
  const stale = (why) => {
    document.documentElement.classList.toggle("stale", why !== "");
    const trouble = document.getElementById("trouble");
    if (why || [LOST, MANY].includes(trouble.textContent)) trouble.textContent = why;
  };

  // Refused: by a server that is away for a moment, or because the session has ended.
  const tryAgain = async () => {
    source = null;
    try {
      const answer = await fetch(page.dataset.live, { method: "HEAD" });
      if (answer.status === 401) return location.reload();
      stale(answer.status === 429 ? MANY : LOST);
    } catch {
      // Away: the next try tells.
    }
    setTimeout(connect, AGAIN_MS);
  };

  const connect = () => {
    if (source || document.hidden) return;
    source = new EventSource(page.dataset.live);
    for (const element of document.querySelectorAll("[data-fragment][id]")) {
      source.addEventListener(element.id, (event) => apply(element, event.data));
    }
    source.addEventListener("ended", () => location.reload());
    source.onopen = () => stale("");
    source.onerror = () => {
      if (!document.documentElement.classList.contains("stale")) stale(LOST);
      if (source && source.readyState === EventSource.CLOSED) tryAgain();
    };
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden && source) {
      source.close();
      source = null;
    }
    connect();
  });
  connect();
})();

// Applies what the server sends: the content of elements that have an id and data-fragment. All
// pages work without it, and then show how it was when they were loaded.
"use strict";

(() => {
  const page = document.querySelector("[data-live]");
  if (!page) return;
  let source = null;

  const apply = (element, content) => {
    // Whoever has the focus, or a selection, inside keeps it; the next change comes soon.
    const selection = document.getSelection();
    const selected = selection && !selection.isCollapsed && element.contains(selection.anchorNode);
    if (element.contains(document.activeElement) || selected) {
      element.dataset.late = "";
      return;
    }
    delete element.dataset.late;
    element.innerHTML = content;
  };

  const connect = () => {
    if (source || document.hidden) return;
    source = new EventSource(page.dataset.live);
    for (const element of document.querySelectorAll("[data-fragment][id]")) {
      source.addEventListener(element.id, (event) => apply(element, event.data));
    }
    source.addEventListener("ended", () => location.reload());
    source.onopen = () => document.documentElement.classList.remove("stale");
    source.onerror = () => {
      document.documentElement.classList.add("stale");
      // A refusal, not a broken connection: the browser does not try again by itself.
      if (source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(connect, 5000);
      }
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

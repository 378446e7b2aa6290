// A list in which something goes on is fetched again until it has ended.
"use strict";
(async () => {
  const live = () => document.querySelector("#live[data-live]");
  for (let pause = 1000; live(); pause = Math.min(pause * 1.5, 10000)) {
    await new Promise((done) => setTimeout(done, pause));
    try {
      const r = await fetch(location.href, { headers: { Accept: "text/html", ...unasked } });
      if (r.redirected && new URL(r.url).pathname === "/") { ended(); return; }
      if (!r.ok) continue;
      const next = new DOMParser().parseFromString(await r.text(), "text/html").querySelector("#live");
      if (!next || !live()) return;
      localise(next);
      live().replaceWith(next);
    } catch { /* the network is away */ }
  }
})();

// The list of a folder: search as you type, selecting, moving by drag, keys, more as you
// scroll, and other devices' changes as they come.
"use strict";
const list = () => $("#list");
const rows = () => $$("#list tbody tr");
const rowOf = (name) => rows().find((r) => r.dataset.name === name);
const box = (row) => $(".check input", row);
const pathOf = (row) => box(row).value;
const here = () => list().dataset.path; // with a slash at its end, or ""

// fill puts the list of another page into this one.
function fill(page) {
  const refocus = focused();
  const marked = new Set(selected().map(pathOf));
  localise(page);
  list().replaceWith($("#list", page));
  for (const r of rows()) if (marked.has(pathOf(r))) box(r).checked = true;
  refocus();
  chosen();
  watchEnd();
}
// focused remembers where in the list the focus is; the function that it returns puts it there again in the next one. Where a line
// has gone it is the line that took its place.
const stops = (row) => $$("a, input", row);
function focused() {
  const e = document.activeElement || document.body, row = e.closest("#list tbody tr"), at = rows().indexOf(row), n = row ? stops(row).indexOf(e) : -1;
  if (!list().contains(e)) return () => {};
  return () => {
    const now = row ? rowOf(row.dataset.name) || rows()[Math.min(at, rows().length - 1)] : null;
    const next = now ? stops(now)[n] || box(now) : $$("#list a").find((a) => a.href === e.href);
    if (next) next.focus({ preventScroll: true });
  };
}
async function load(url, headers = {}) {
  const r = await fetch(url, { headers: { Accept: "text/html", ...headers } });
  if (r.redirected && new URL(r.url).pathname === "/") { ended(); return null; }
  return r.ok ? new DOMParser().parseFromString(await r.text(), "text/html") : null;
}

let refreshing = null, again = false;
function refresh() {
  if (refreshing) { again = true; return refreshing; }
  return (refreshing = (async () => {
    try {
      do {
        again = false;
        // As many as are shown, so that nobody loses his place.
        const u = new URL(location.href), n = rows().length;
        if (n > 200) u.searchParams.set("count", n);
        const page = await load(u, unasked);
        if (page && $("#list", page)) fill(page);
        if (again && n > 1000) await new Promise((then) => setTimeout(then, 2000));
      } while (again);
    } catch { /* the network is away; the feed tries again */ }
    refreshing = null;
  })());
}

// Search: the last question wins.
const filter = $("#filter");
let asked = 0, typing;
async function search() {
  const mine = ++asked, u = new URL(location.href);
  u.searchParams.delete("from");
  if (filter.value.trim()) u.searchParams.set("q", filter.value); else u.searchParams.delete("q");
  if (u.href === location.href) return;
  try {
    const page = await load(u.href);
    if (mine !== asked || !page) return;
    history.replaceState(null, "", u);
    fill(page);
  } catch { say("The server can't be reached."); }
}
filter.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 150); });
$("#search").addEventListener("submit", (e) => { e.preventDefault(); clearTimeout(typing); search(); });

// More of a large folder before its end comes into view.
const end = new IntersectionObserver(async (all) => {
  const link = all.find((x) => x.isIntersecting);
  if (!link) return;
  const more = link.target;
  end.unobserve(more);
  try {
    // Who scrolls far gets more at a time: to the last of 10,000 files it is a dozen requests, not fifty.
    const u = new URL($("a", more).href);
    u.searchParams.set("count", Math.min(rows().length, 1000));
    const page = await load(u);
    if (!page) throw new Error("no page came");
    localise(page);
    const body = $("#list tbody", page);
    if (body) $("#list tbody").append(...body.children);
    const next = $(".more", page);
    more.replaceWith(...(next ? [next] : []));
    watchEnd();
  } catch { setTimeout(() => end.observe(more), 2000); } // as long as it is in view it asks again
}, { rootMargin: "1500px" });
function watchEnd() { const m = $("#list .more"); if (m) end.observe(m); }
watchEnd();

// The change feed: another device's change shows without a reload.
async function follow() {
  let epoch = list().dataset.epoch, seq = list().dataset.seq, pause = 1000;
  for (;;) {
    try {
      const r = await fetch(`/v1/drives/home/changes?epoch=${epoch}&after=${seq}&wait=55`, { headers: byItself() });
      if (r.status === 401) { await ended(); continue; }
      if (r.status === 409) { await refresh(); epoch = list().dataset.epoch; seq = list().dataset.seq; }
      else if (r.ok) {
        const c = await r.json();
        if (c.seq > seq) { epoch = c.epoch; seq = c.seq; await refresh(); }
        pause = 1000;
        continue;
      }
    } catch { /* the network is away */ }
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, 30000);
  }
}
follow();

// Selecting. Shift takes all between.
const bar = $("#selection");
let lastBox = null;
const selected = () => rows().filter((r) => box(r).checked);
function chosen() {
  const all = selected();
  bar.classList.toggle("on", all.length > 0);
  $("#chosen").textContent = all.length === 1 ? `“${all[0].dataset.name}” is selected` : `${all.length} selected`;
  $("#folders").replaceChildren(...rows().filter((r) => "folder" in r.dataset).map((r) => make("option", { value: pathOf(r) })));
}
document.addEventListener("click", (e) => {
  if (!e.target.matches("#list .check input")) return;
  const all = rows(), row = e.target.closest("tr");
  if (e.shiftKey && lastBox && lastBox.isConnected) {
    const [a, b] = [all.indexOf(lastBox), all.indexOf(row)].sort((x, y) => x - y);
    for (const r of all.slice(a, b + 1)) box(r).checked = e.target.checked;
  }
  lastBox = row;
  chosen();
});
$("#unselect").addEventListener("click", () => { rows().forEach((r) => { box(r).checked = false; }); chosen(); });
bar.addEventListener("submit", (e) => {
  const action = e.submitter ? e.submitter.formAction : bar.action;
  if (action.endsWith("/do/zip")) return; // the browser saves it
  e.preventDefault();
  if (action.endsWith("/do/delete-these")) remove(selected()); else moveTo(selected(), bar.elements.to.value);
});
chosen();

const things = (rows) => (rows.length === 1 ? `“${rows[0].dataset.name}”` : `${rows.length} things`);
const paths = (rows) => rows.map((r) => ["path", pathOf(r)]);
async function moveTo(which, folder) {
  if (!which.length) return;
  const what = things(which);
  if (await post("/do/move-to", [...paths(which), ["to", folder]])) {
    which.forEach((r) => { box(r).checked = false; });
    bar.elements.to.value = "";
    await refresh();
    say(`Moved ${what} to ${folder || "Files"}.`);
  }
}
async function remove(which) {
  if (!which.length) return;
  const what = things(which), all = rows(), next = all[all.indexOf(which[which.length - 1]) + 1] || all[all.indexOf(which[0]) - 1];
  if (await post("/do/delete-these", paths(which))) {
    which.forEach((r) => { box(r).checked = false; });
    if (next) focusOn(next);
    await refresh();
    say(`${what} went to the `, make("a", { href: "/trash" }, "trash"), ".");
  }
}
async function rename(row) {
  const name = row.dataset.name, dot = "folder" in row.dataset ? -1 : name.lastIndexOf(".");
  const path = pathOf(row), up = path.slice(0, path.length - name.length);
  const to = await ask("Rename", "New name", name, "Rename", [0, dot > 0 ? dot : name.length]);
  refind(name, "a.name");
  if (to && to !== name && await post("/do/move", { from: path, to: to.includes("/") ? to : up + to })) {
    await refresh();
    const now = rowOf(to);
    if (now) focusOn(now);
  }
}
async function copy(row) {
  const path = pathOf(row), dot = "folder" in row.dataset ? -1 : path.lastIndexOf(".");
  const to = await ask("Copy", "Copy to", dot > path.lastIndexOf("/") + 1 ? `${path.slice(0, dot)} copy${path.slice(dot)}` : `${path} copy`, "Copy");
  refind(row.dataset.name, "a.name");
  if (to && await post("/do/copy", { from: path, to })) { await refresh(); say(`Copied to ${to}.`); }
}

// The menu of a line.
const menu = make("div", { id: "rowmenu", popover: "auto" });
$("#main").append(menu);
function openMenu(row, at) {
  const { name } = row.dataset, now = () => rowOf(name) || row;
  menu.ontoggle = (e) => { if (e.newState === "closed") refind(name, "a.dots"); };
  const a = $("a.name", row), download = a.pathname.replace(/^\/file\//, "/download/");
  const item = (text, on, danger) => make("button", { type: "button", className: danger ? "danger" : "", onclick: () => { menu.hidePopover(); on(); } }, text);
  menu.replaceChildren(
    make("a", { href: a.href }, "Open"),
    ...("folder" in row.dataset ? [] : [make("a", { href: download, download: "" }, "Download"), make("a", { href: a.href + "#versions" }, "Versions")]),
    make("a", { href: a.pathname.replace(/^\/(file|browse)\//, "/share/") }, "Share…"),
    item("Rename…", () => rename(now())), item("Copy…", () => copy(now())),
    item("Delete", () => remove([now()]), true));
  menu.showPopover();
  const w = menu.offsetWidth, h = menu.offsetHeight;
  menu.style.left = `${Math.max(8, Math.min(at.right - w, innerWidth - w - 8))}px`;
  menu.style.top = `${at.bottom + h > innerHeight ? Math.max(8, at.top - h) : at.bottom}px`;
  menu.firstElementChild.focus();
}
document.addEventListener("click", (e) => {
  const dots = e.target.closest("#list a.dots");
  if (dots && !e.ctrlKey && !e.metaKey) { e.preventDefault(); openMenu(dots.closest("tr"), dots.getBoundingClientRect()); }
});

// Moving by drag, onto a folder or a folder above.
let dragged = null;
const mark = (on) => { $$(".into").forEach((x) => x.classList.remove("into")); if (on) on.classList.add("into"); };
const target = (e) => {
  const crumb = e.target.closest && e.target.closest(".crumbs a");
  if (crumb) return { on: crumb, path: decodeURIComponent(crumb.pathname.replace("/browse/", "")) };
  const row = e.target.closest && e.target.closest("#list tr[data-folder]");
  return row && !dragged.includes(row) ? { on: row, path: pathOf(row) } : null;
};
document.addEventListener("dragstart", (e) => {
  const row = e.target.closest && e.target.closest("#list tbody tr");
  if (!row) return;
  dragged = box(row).checked ? selected() : [row];
  dragged.forEach((r) => r.classList.add("moving"));
  e.dataTransfer.effectAllowed = "move";
  e.dataTransfer.setData("text/plain", dragged.map(pathOf).join("\n"));
});
document.addEventListener("dragover", (e) => {
  if (!dragged) return;
  const to = target(e);
  mark(to && to.on);
  if (to) { e.preventDefault(); e.dataTransfer.dropEffect = "move"; }
});
document.addEventListener("drop", (e) => {
  if (!dragged) return;
  e.preventDefault();
  const to = target(e);
  if (to) moveTo(dragged, to.path);
});
document.addEventListener("dragend", () => {
  if (dragged) dragged.forEach((r) => r.classList.remove("moving"));
  dragged = null;
  mark(null);
});

// Keys.
const keys = [["/", "search"], ["↑ ↓ Home End", "walk the list"], ["Enter", "open"], ["Space", "select"], ["Shift+↑ ↓", "select on the way"], ["Ctrl+A", "select all"],
  ["F2", "rename"], ["Delete", "to the trash"], ["Backspace", "the folder above"], ["u", "upload"], ["n", "new folder"], ["?", "this list"]];
function showKeys() {
  const d = make("dialog", {}, make("h2", {}, "Keys"), make("dl", { className: "facts" }, ...keys.flatMap(([k, what]) =>
    [make("dt", {}, ...k.split(" ").flatMap((x) => [make("kbd", {}, x), " "])), make("dd", {}, what)])),
  make("form", { method: "dialog", className: "buttons" }, make("button", {}, "Close")));
  d.setAttribute("aria-label", "Keys");
  d.onclose = () => d.remove();
  document.body.append(d);
  d.showModal();
}
$("#keys").addEventListener("click", showKeys);
// refind gives the focus back to a line, whose list may have been replaced while a menu or a dialog had it.
function refind(name, stop) {
  const e = document.activeElement, row = (e === document.body || menu.contains(e)) && rowOf(name);
  if (row) ($(stop, row) || box(row)).focus();
}
const focusOn = (row) => ($("a.name", row) || box(row)).focus();
function walk(step, to) {
  const all = rows();
  if (!all.length) return null;
  const at = all.indexOf(document.activeElement.closest("tr"));
  const next = all[to !== undefined ? (to < 0 ? all.length - 1 : 0) : Math.min(Math.max(at + step, 0), all.length - 1)];
  focusOn(next);
  return next;
}
document.addEventListener("keydown", (e) => {
  if ($("dialog[open]") || $(":popover-open")) return;
  if (e.target === filter) {
    if (e.key === "Escape") { filter.value = ""; search(); }
    if (e.key === "ArrowDown" || e.key === "Escape") { walk(1, 0); e.preventDefault(); }
    return;
  }
  const typing = e.target.matches("input:not([type=checkbox]), textarea, select");
  if (typing || e.altKey || e.defaultPrevented) return;
  const row = document.activeElement.closest("#list tbody tr");
  const mod = e.ctrlKey || e.metaKey;
  const open = (id) => { $(id).open = true; };
  const does = {
    "/": () => filter.focus(), "?": showKeys, u: () => open("#uploading"), n: () => open("#making"),
    ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => walk(0, 0), End: () => walk(0, -1),
    Backspace: () => { const up = $$(".crumbs a").pop(); if (up) up.click(); },
    " ": row && e.target.matches("a") && (() => { box(row).checked = !box(row).checked; lastBox = row; chosen(); }),
    F2: row && (() => rename(row)),
    Delete: () => remove(selected().length ? selected() : row ? [row] : []),
  };
  function step(n) {
    if (e.shiftKey && row) box(row).checked = true;
    const next = walk(n);
    if (e.shiftKey && next) box(next).checked = true;
    chosen();
  }
  if (mod && e.key === "a") { rows().forEach((r) => { box(r).checked = true; }); chosen(); e.preventDefault(); }
  else if (!mod && does[e.key]) { does[e.key](); e.preventDefault(); }
});

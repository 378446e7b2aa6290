// What a form can't do: uploads with progress, dropping files, a list that follows
// other devices, and keys. Every page works without it.
"use strict";
document.documentElement.classList.add("script");
const $ = (s, from = document) => from.querySelector(s);
const list = () => $("#list");

// Times are the server's; here they are shown as the reader's own.
function localise(within = document) {
  for (const t of within.querySelectorAll("time[datetime]")) {
    const d = new Date(t.dateTime);
    t.title = t.dateTime;
    t.textContent = new Date(d - d.getTimezoneOffset() * 60000).toISOString().slice(0, 16).replace("T", " ");
  }
}
localise();

// Ask before what can't be undone.
document.addEventListener("submit", (e) => {
  const b = e.submitter;
  if (b && b.dataset.confirm && !confirm(b.dataset.confirm)) e.preventDefault();
});
// One menu at a time; Escape closes it.
document.addEventListener("toggle", (e) => {
  if (e.target.matches && e.target.matches("details.menu") && e.target.open)
    document.querySelectorAll("details.menu[open]").forEach((d) => { if (d !== e.target) d.open = false; });
}, true);

// The list: fetched again in place, and narrowed by what is typed.
let refreshing = false, again = false;
async function refresh() {
  if (refreshing) { again = true; return; }
  refreshing = true;
  try {
    do {
      again = false;
      const r = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (r.redirected && new URL(r.url).pathname === "/") { location.href = r.url; return; }
      if (!r.ok) return;
      const page = new DOMParser().parseFromString(await r.text(), "text/html");
      if (!$("#list", page) || $("details.menu[open]", list())) return; // do not tear a form from under its user
      const focused = document.activeElement && document.activeElement.closest("tr");
      localise(page);
      list().replaceWith($("#list", page));
      if (focused) { const row = rowOf(focused.dataset.name); if (row) $("a", row).focus(); }
      narrow();
    } while (again);
  } finally { refreshing = false; }
}
const rows = () => [...document.querySelectorAll("#list tbody tr")];
const rowOf = (name) => rows().find((r) => r.dataset.name === name);
const filter = $("#filter");
function narrow() {
  if (!filter) return;
  const wanted = filter.value.normalize("NFC").toLowerCase();
  for (const r of rows()) r.hidden = !r.dataset.name.normalize("NFC").toLowerCase().includes(wanted);
}
if (filter) filter.addEventListener("input", narrow);

// More of a large folder when its end comes into view.
if (list() && "IntersectionObserver" in window) {
  const seen = new IntersectionObserver(async (all) => {
    const link = all.find((x) => x.isIntersecting);
    if (!link) return;
    const more = link.target;
    seen.unobserve(more);
    const r = await fetch($("a", more).href);
    if (!r.ok) return;
    const page = new DOMParser().parseFromString(await r.text(), "text/html");
    localise(page);
    const body = $("#list tbody", page);
    if (body) $("#list tbody").append(...body.children);
    const next = $(".more", page);
    more.replaceWith(...(next ? [next] : []));
    narrow();
    watch();
  });
  const watch = () => { const m = $("#list .more"); if (m) seen.observe(m); };
  watch();
}

// The change feed: another device's change shows without a reload.
async function follow() {
  let epoch = list().dataset.epoch, seq = list().dataset.seq, pause = 1000;
  for (;;) {
    try {
      const r = await fetch(`/v1/drives/home/changes?epoch=${epoch}&after=${seq}&wait=55`);
      if (r.status === 401) { location.href = "/?again=1"; return; }
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
if (list()) follow();

// Uploads: three at a time, each with its progress.
const form = $("#upload");
const waiting = [];
let running = 0;
const plain = /^[\x20-\x7e]*$/;
const header = (s) => (plain.test(s) ? s : encodeURIComponent(s));
function enqueue(file, path, description) {
  const li = document.createElement("li");
  const bar = document.createElement("progress");
  const stop = document.createElement("button");
  bar.max = 1; bar.value = 0;
  bar.setAttribute("aria-label", path);
  stop.type = "button"; stop.className = "quiet"; stop.textContent = "Stop";
  li.append(path, bar, stop);
  $("#progress").append(li);
  const job = { file, path, description, li, bar, stop };
  stop.onclick = () => { job.stopped = true; if (job.request) job.request.abort(); else li.remove(); };
  waiting.push(job);
  pump();
}
function pump() {
  while (running < 3 && waiting.length) {
    const job = waiting.shift();
    if (job.stopped) continue;
    running++;
    send(job).then((error) => {
      running--;
      job.request = null;
      if (!error || job.stopped) job.li.remove();
      else {
        job.bar.replaceWith(Object.assign(document.createElement("span"), { className: "alert", textContent: error }));
        job.stop.textContent = "Try again";
        job.stop.onclick = () => { job.li.remove(); enqueue(job.file, job.path, job.description); };
      }
      if (!running && !waiting.length) refresh();
      pump();
    });
  }
}
function send(job) {
  return new Promise((done) => {
    const x = (job.request = new XMLHttpRequest());
    x.open("POST", "/rpc/store_file");
    x.setRequestHeader("Content-Type", "application/octet-stream");
    x.setRequestHeader("File-Path", header(job.path));
    if (job.description) x.setRequestHeader("Description", header(job.description));
    x.upload.onprogress = (e) => { if (e.lengthComputable) job.bar.value = e.loaded / e.total; };
    x.onload = () => {
      if (x.status === 401) location.href = "/?again=1";
      if (x.status < 300) return done("");
      try { done(JSON.parse(x.responseText).message); } catch { done(`the server said ${x.status}`); }
    };
    x.onerror = () => done("the server can't be reached");
    x.onabort = () => done("stopped");
    x.send(job.file);
  });
}
if (form) {
  const path = $("[name=path]", form), files = $("[type=file]", form), folder = path.dataset.folder;
  files.addEventListener("change", () => {
    path.value = folder + (files.files.length === 1 ? files.files[0].name : "");
  });
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const many = files.files.length !== 1;
    for (const f of files.files) {
      let to = path.value || folder + f.name;
      if (many || to.endsWith("/")) to = to.replace(/\/*$/, to ? "/" : "") + f.name;
      enqueue(f, to, $("[name=description]", form).value);
    }
    form.reset();
    path.value = folder;
  });
  // A dropped folder comes with all that is in it.
  async function drop(entry, to) {
    if (entry.isFile) return enqueue(await new Promise((ok, no) => entry.file(ok, no)), to + entry.name, "");
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((ok, no) => reader.readEntries(ok, no));
      if (!some.length) return;
      for (const e of some) await drop(e, to + entry.name + "/");
    }
  }
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (e) => {
    if (e.dataTransfer.types.includes("Files")) { e.preventDefault(); form.classList.add("over"); }
  });
  document.addEventListener("dragleave", (e) => { if (!e.relatedTarget) form.classList.remove("over"); });
  document.addEventListener("drop", (e) => {
    if (!e.dataTransfer.types.includes("Files")) return;
    e.preventDefault();
    form.classList.remove("over");
    for (const item of [...e.dataTransfer.items]) {
      const entry = item.webkitGetAsEntry && item.webkitGetAsEntry();
      if (entry) drop(entry, folder);
      else if (item.kind === "file") { const f = item.getAsFile(); enqueue(f, folder + f.name, ""); }
    }
  });
  window.addEventListener("beforeunload", (e) => { if (running) e.preventDefault(); });
}

// Keys: / filters, arrows walk the list, Backspace goes up.
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape") document.querySelectorAll("details.menu[open]").forEach((d) => { d.open = false; });
  if (e.target.matches("input, textarea, select") || e.ctrlKey || e.metaKey || e.altKey) {
    if (e.target === filter && (e.key === "Escape" || e.key === "ArrowDown")) { if (e.key === "Escape") { filter.value = ""; narrow(); } walk(1); e.preventDefault(); }
    return;
  }
  if (e.key === "/" && filter) { filter.focus(); e.preventDefault(); }
  else if (e.key === "ArrowDown" || e.key === "ArrowUp") { if (walk(e.key === "ArrowDown" ? 1 : -1)) e.preventDefault(); }
  else if (e.key === "Backspace") { const up = [...document.querySelectorAll(".crumbs a")].pop(); if (up) up.click(); }
});
function walk(step) {
  const all = rows().filter((r) => !r.hidden);
  if (!all.length) return false;
  const at = all.indexOf(document.activeElement.closest("tr"));
  $("a", all[Math.min(Math.max(at + step, 0), all.length - 1)]).focus();
  return true;
}

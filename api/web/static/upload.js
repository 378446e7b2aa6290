// Uploads, by tus 1.0 (https://tus.io): files and whole folders, several at a time, with
// progress, pause and resume. How far a file came is the server's to know, so that it goes on
// after a broken network, a restart of the server, or in another tab when the same file is chosen again.
"use strict";
const form = $("#upload");
const folder = $("[name=path]", form).dataset.folder;
const small = 8 << 20;                      // bytes that are sent with the first request
const least = 1 << 20, most = 64 << 20;     // bytes of one request; slow networks have small ones
const atOnce = 3;
const shown = 60;                           // lines; of more files only the count
const jobs = new Set();                     // waiting, running, paused, failed
let done = 0, doneBytes = 0;

const panel = make("section", { id: "transfers", hidden: true });
panel.setAttribute("aria-label", "Uploads");
const sum = make("span", {}), pauseAll = make("button", { type: "button", className: "quiet" }, "Pause all"), lines = make("ul", {});
panel.append(make("h2", {}, sum, pauseAll), lines);
document.body.append(panel);
pauseAll.onclick = () => {
  const stop = [...jobs].some((j) => j.state === "running" || j.state === "waiting");
  for (const j of jobs) if (stop ? j.state === "running" || j.state === "waiting" : j.state === "paused") stop ? pause(j) : go(j);
};

const base64 = (s) => btoa(String.fromCharCode(...new TextEncoder().encode(s)));
const metadata = (job) => [["path", job.path], ["modified", String(job.file.lastModified)], ...(job.description ? [["description", job.description]] : [])]
  .map(([k, v]) => `${k} ${base64(v)}`).join(",");

// request sends bytes; only XMLHttpRequest tells how far it is.
function request(job, method, url, headers, body) {
  return new Promise((answer, broke) => {
    if (job.state !== "running") throw new Error("paused"); // between two requests
    const x = (job.request = new XMLHttpRequest());
    x.open(method, url);
    x.setRequestHeader("Tus-Resumable", "1.0.0");
    for (const [k, v] of Object.entries(headers)) x.setRequestHeader(k, v);
    x.upload.onprogress = (e) => { job.sent = job.offset + e.loaded; draw(job); };
    x.onload = () => answer(x);
    x.onerror = () => broke(new Error("network"));
    x.onabort = () => broke(new Error("paused"));
    x.send(body);
  });
}

class Refused extends Error {}
function check(x) {
  if (x.status < 300) return x;
  if (x.status === 401) { ended(); throw new Error("paused"); }
  if (x.status >= 500 && x.status !== 507 || x.status === 429 || x.status === 409 && /go on from there/.test(x.responseText)) throw new Error(`the server said ${x.status}`);
  let message = `the server said ${x.status}`;
  try { message = JSON.parse(x.responseText).message; } catch { /* no more is known */ }
  throw new Refused(message);
}
const took = (job, x) => { job.offset = job.sent = Number(x.getResponseHeader("Upload-Offset")); };

// send brings a file over, or throws: Refused when it is of no use to try again.
async function send(job) {
  const bytes = { "Content-Type": "application/offset+octet-stream" };
  if (!job.at) job.at = await unfinished(job);
  if (job.at) {
    const x = await request(job, "HEAD", job.at, {});
    if (x.status === 404) job.at = "";
    else took(job, check(x));
  }
  if (!job.at) {
    job.offset = 0;
    const whole = job.file.size <= small;
    const x = check(await request(job, "POST", "/uploads", { "Upload-Length": job.file.size, "Upload-Metadata": metadata(job), ...(whole ? bytes : {}) }, whole ? job.file : null));
    job.at = x.getResponseHeader("Location");
    took(job, x);
  }
  for (let part = small; job.offset < job.file.size;) {
    const begin = performance.now();
    took(job, check(await request(job, "PATCH", job.at, { ...bytes, "Upload-Offset": job.offset }, job.file.slice(job.offset, job.offset + part))));
    job.tries = 0;
    const seconds = (performance.now() - begin) / 1000;
    part = Math.round(Math.min(most, Math.max(least, part * Math.min(2, Math.max(0.5, 8 / seconds)))));
  }
}

// The uploads that an earlier visit began.
let begun = null;
async function unfinished(job) {
  if (!begun || job.tries) begun = fetch("/uploads").then((r) => (r.ok ? r.json() : []), () => []);
  const u = (await begun).find((u) => u.path === job.path && u.size === job.file.size && u.modified === String(job.file.lastModified));
  return u ? "/uploads/" + u.id : "";
}

const wait = (ms, job) => new Promise((then) => { job.wake = then; setTimeout(then, ms); });
addEventListener("online", () => jobs.forEach((j) => j.wake && j.wake()));

function enqueue(file, path, description = "", at = "") {
  const job = { file, path, description, at, state: "waiting", offset: 0, sent: 0, tries: 0, why: "" };
  jobs.add(job);
  pump();
  return job;
}
function pump() {
  let running = [...jobs].filter((j) => j.state === "running").length;
  for (const job of jobs) if (job.state === "waiting" && running < atOnce) { running++; run(job); }
  drawAll();
}
// told says what has come and what could not be read, once all has come: also what is in folders that are still read.
let reading = 0, last = "", unread = [];
function told() {
  if (jobs.size || reading || !done && !unread.length) return;
  const came = !done ? "" : done === 1 ? `Uploaded ${last}. ` : `Uploaded ${done} files. `;
  say(came + (!unread.length ? "" : unread.length === 1 ? `“${unread[0]}” can't be read.` : `${unread.length} can't be read: “${unread.slice(0, 3).join("”, “")}”${unread.length > 3 ? ", …" : ""}`));
  done = doneBytes = 0;
  unread = [];
}
async function run(job) {
  job.state = "running";
  for (;;) {
    try {
      await send(job);
      jobs.delete(job);
      if (job.line) job.line.remove();
      done++; doneBytes += job.file.size;
      refreshSoon();
      last = job.path;
      told();
      break;
    } catch (e) {
      if (job.state !== "running") break; // paused, or given up
      if (e instanceof Refused) { job.state = "failed"; job.why = e.message; break; }
      if (e.name === "NotReadableError" || e.name === "NotFoundError") { job.state = "failed"; job.why = "the file can't be read: it was moved or changed"; break; }
      job.tries++;
      job.why = navigator.onLine ? "The connection broke; trying again" : "Offline; it goes on when the network is back";
      draw(job);
      await wait(Math.min(1000 * 2 ** Math.min(job.tries - 1, 5), 20000), job);
      job.why = "";
      if (job.state !== "running") break;
    }
  }
  pump();
}
function pause(job) { job.state = "paused"; if (job.request) job.request.abort(); if (job.wake) job.wake(); pump(); }
function go(job) { job.state = "waiting"; job.tries = 0; job.why = ""; pump(); }
async function giveUp(job) {
  job.state = "gone";
  if (job.request) job.request.abort();
  if (job.wake) job.wake();
  jobs.delete(job);
  if (job.line) job.line.remove();
  if (job.at) fetch(job.at, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {});
  pump();
}
let soon;
function refreshSoon() { clearTimeout(soon); soon = setTimeout(refresh, jobs.size ? 1000 : 0); }

function draw(job) {
  if (!job.line) return;
  const name = job.path.slice(folder.length);
  job.label.textContent = name;
  job.bar.max = job.file.size || 1;
  job.bar.value = job.sent;
  job.bar.setAttribute("aria-label", name);
  job.bar.hidden = job.state === "failed";
  job.line.className = job.state === "failed" ? "failed" : "";
  const part = `${size(job.sent)} of ${size(job.file.size)}`;
  job.text.textContent = job.why || { waiting: "Waiting", paused: `Paused at ${part}`, running: part }[job.state] || "";
  job.toggle.textContent = { failed: "Try again", paused: "Resume" }[job.state] || "Pause";
  count();
}
function drawAll() {
  panel.hidden = !jobs.size && !$("li.begun", lines);
  let n = $$("li", lines).length;
  for (const job of jobs) {
    if (!job.line && (n < shown || job.state === "failed")) {
      n++;
      job.label = make("span", {}); job.bar = make("progress", {}); job.text = make("span", { className: "state" });
      job.toggle = make("button", { type: "button", className: "quiet", onclick: () => (job.state === "paused" || job.state === "failed" ? go(job) : pause(job)) });
      const cancel = make("button", { type: "button", className: "quiet", onclick: () => giveUp(job) }, "Cancel");
      job.line = make("li", {}, job.label, job.toggle, cancel, job.bar, job.text);
      lines.append(job.line);
    }
    draw(job);
  }
  count();
}
function count() {
  const all = [...jobs], bytes = all.reduce((n, j) => n + j.file.size, doneBytes), sent = all.reduce((n, j) => n + j.sent, doneBytes);
  sum.textContent = all.length ? `${done + all.length} ${done + all.length === 1 ? "upload" : "uploads"}, ${bytes ? Math.floor((100 * sent) / bytes) : 0} %` : "Not finished";
  pauseAll.hidden = all.length < 2;
  pauseAll.textContent = all.some((j) => j.state === "running" || j.state === "waiting") ? "Pause all" : "Resume all";
}

// What an earlier visit left: the file has to be chosen again, since a page can't keep it.
async function showBegun() {
  const all = await fetch("/uploads").then((r) => (r.ok ? r.json() : []), () => []);
  for (const u of all) {
    if ([...jobs].some((j) => j.at === "/uploads/" + u.id)) continue;
    const pick = make("input", { type: "file", hidden: true });
    pick.setAttribute("aria-label", `The file for ${u.path}`);
    const line = make("li", { className: "begun" }, make("span", {}, u.path),
      make("button", { type: "button", className: "quiet", onclick: () => pick.click() }, "Choose it again"),
      make("button", { type: "button", className: "quiet", onclick: async () => {
        await fetch("/uploads/" + u.id, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } }).catch(() => {});
        line.remove(); drawAll();
      } }, "Discard"),
      make("span", { className: "state" }, `${size(u.offset)} of ${size(u.size)} came; choose the same file and it goes on`), pick);
    pick.onchange = () => {
      const f = pick.files[0];
      if (!f) return;
      if (f.size !== u.size) { say(`This is another file: it has ${size(f.size)}, and not ${size(u.size)}.`); return; }
      line.remove();
      enqueue(f, u.path, "", "/uploads/" + u.id);
    };
    lines.append(line);
  }
  drawAll();
}
showBegun();

// The form.
const path = $("[name=path]", form), files = $("[type=file]", form);
files.addEventListener("change", () => { path.value = folder + (files.files.length === 1 ? files.files[0].name : ""); });
form.addEventListener("submit", (e) => {
  e.preventDefault();
  const many = files.files.length !== 1;
  for (const f of files.files) {
    let to = path.value || folder;
    if (many || !to || to.endsWith("/")) to = to.replace(/\/*$/, to ? "/" : "") + f.name;
    enqueue(f, to, $("[name=description]", form).value);
  }
  form.reset();
  path.value = folder;
  $("#uploading").open = false;
});
const whole = make("input", { type: "file", webkitdirectory: true, hidden: true, id: "wholefolder" });
whole.setAttribute("aria-label", "A whole folder");
form.after(whole);
$("#whole").addEventListener("click", () => whole.click());
whole.addEventListener("change", () => {
  for (const f of whole.files) enqueue(f, folder + f.webkitRelativePath);
  whole.value = "";
  $("#uploading").open = false;
});

// Dropped files; a folder comes with all that is in it, but for what can't be read.
const drop = (entry, to) => dropped(entry, to).catch(() => { unread.push(to.slice(folder.length) + entry.name); });
async function dropped(entry, to) {
  if (entry.isFile) { enqueue(await new Promise((ok, no) => entry.file(ok, no)), to + entry.name); return; }
  const reader = entry.createReader();
  for (let n = 0; ;) {
    const some = await new Promise((ok, no) => reader.readEntries(ok, no));
    if (!some.length) { if (!n) await post("/do/mkdir", { in: to, name: entry.name }); return; }
    n += some.length;
    for (const e of some) await drop(e, to + entry.name + "/");
  }
}
const fromOutside = (e) => !dragged && e.dataTransfer && e.dataTransfer.types.includes("Files");
for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (e) => {
  if (fromOutside(e)) { e.preventDefault(); document.body.classList.add("over"); }
});
document.addEventListener("dragleave", (e) => { if (!e.relatedTarget) document.body.classList.remove("over"); });
document.addEventListener("drop", (e) => {
  if (!fromOutside(e)) return;
  e.preventDefault();
  document.body.classList.remove("over");
  for (const item of [...e.dataTransfer.items]) {
    const entry = item.webkitGetAsEntry && item.webkitGetAsEntry();
    if (entry) {
      reading++;
      drop(entry, folder).finally(() => { reading--; told(); });
    }
    else if (item.kind === "file") { const f = item.getAsFile(); enqueue(f, folder + f.name); }
  }
});
addEventListener("beforeunload", (e) => { if ([...jobs].some((j) => j.state === "running" || j.state === "waiting")) e.preventDefault(); });

// The queue of uploads, and the panel that shows it. A job is in one state, which only move
// changes, and which is counted there:
//
//   queued   its turn comes
//   running  one of atOnce
//   waiting  had trouble: its turn comes again, behind the others
//   paused   by hand
//   failed   of no use to try again, unless somebody says so
//   done     over: sent, or given up
"use strict";
const atOnce = 3;
const shown = 60; // lines; of more jobs only the count, but for those that run or failed
const jobs = new Set(); // all that are not done, in the order of their turns
const count = { queued: 0, running: 0, waiting: 0, paused: 0, failed: 0, done: 0 };
const sum = { jobs: 0, files: 0, bytes: 0, sent: 0 }; // of the jobs, and of what was sent since there were none

function move(job, state, why = "") {
  count[job.state]--;
  count[state]++;
  Object.assign(job, { state, why });
  drawSoon(job);
}
// came tells how many bytes of a job have come so far. That it is more than ever is use of the session; nobody needs to be there
// for an upload that stands still, or is tried again and again.
function came(job, bytes) {
  sum.sent += bytes - job.sent;
  job.sent = bytes;
  if (bytes > job.most) {
    job.most = bytes;
    used = true;
  }
  drawSoon(job);
}

// add puts a file at the end of the queue, and pump begins what has its turn. `id` is what its upload will have; `at` is the address
// of the upload that the server may have, which may be one that another visit began; `sends` says that the job sent something of
// it. A folder with nothing in it is an empty file whose path ends with a slash.
function add(file, path, description = "", at = "") {
  const job = { file, path, description, id: newID(), at, sends: false, state: "queued", why: "", offset: 0, sent: 0, most: 0 };
  jobs.add(job);
  count.queued++;
  sum.jobs++;
  if (!isFolder(job)) sum.files++;
  sum.bytes += file.size;
  used = true;
  drawSoon(job);
  return job;
}
const isFolder = (job) => job.path.endsWith("/");
let resting = 0, misses = 0, held = false;
function pump() {
  if (held || resting || !count.queued && !count.waiting) return;
  for (const job of jobs) {
    if (count.running >= atOnce) return;
    if (job.state === "queued" || job.state === "waiting") run(job);
  }
}
async function run(job) {
  const stop = (job.stop = new AbortController());
  move(job, "running");
  try {
    await (isFolder(job) ? makeFolder : send)(job, stop.signal);
    finish(job);
    sentOne(job);
  } catch (e) {
    if (!stop.signal.aborted) await trouble(job, e);
  }
  pump();
}

// trouble decides what becomes of a job that could not be sent. A file that was changed, moved or deleted after it was
// chosen is a broken connection to a request; only reading it tells, and no part of an empty one is ever read.
async function trouble(job, e) {
  if (e instanceof Refused) { move(job, "failed", e.message); return; }
  const { signal } = job.stop;
  const readable = await (job.file.size ? job.file.slice(0, 1) : job.file).arrayBuffer().then(() => true, () => false);
  if (signal.aborted) return;
  if (!readable) { move(job, "failed", "It can't be read: it was changed, moved or deleted after it was chosen"); return; }
  jobs.delete(job);
  jobs.add(job);
  move(job, "waiting", navigator.onLine ? "The connection broke; trying again" : "Offline; it goes on when the network is back");
  rest();
}
// rest begins nothing for a while, and for longer each time as long as nothing comes.
function rest() { resting = resting || setTimeout(rested, Math.min(1000 * 2 ** misses++, 20000)); }
function rested() { clearTimeout(resting); resting = 0; pump(); }
addEventListener("online", rested);

function finish(job, sent = true) {
  if (sent) {
    came(job, job.file.size);
    used = true;
  } else {
    sum.jobs--;
    if (!isFolder(job)) sum.files--;
    sum.bytes -= job.file.size;
    sum.sent -= job.sent;
  }
  move(job, "done");
  jobs.delete(job);
}
function pause(job) { move(job, "paused"); job.stop?.abort(); pump(); }
function go(job) { move(job, "queued"); pump(); }
function giveUp(job) {
  finish(job, false);
  job.stop?.abort();
  if (job.at) discard(job.at);
  told();
  pump();
}
// The queue outlives the session, and so does what is still read: nothing is sent until the same person is there again.
addEventListener("sessionend", (e) => {
  if (!jobs.size && !reading) return;
  e.preventDefault();
  held = true;
  for (const job of jobs) if (job.state === "running" || job.state === "waiting") { move(job, "queued"); job.stop.abort(); }
  ended().then(() => { held = false; pump(); });
});
addEventListener("beforeunload", (e) => { if (jobs.size > count.failed || reading) e.preventDefault(); });

// The panel. What changed is drawn once, after all that changed it.
const panel = make("section", { id: "transfers", hidden: true });
panel.setAttribute("aria-label", "Uploads");
const heading = make("span", {}), pauseAll = make("button", { type: "button", className: "quiet" }, "Pause all"), lines = make("ul", {});
panel.append(make("h2", {}, heading, pauseAll), lines);
document.body.append(panel);
panel.addEventListener("click", () => { used = true; }, true);
const stoppable = (job) => job.state === "queued" || job.state === "running" || job.state === "waiting";
pauseAll.onclick = () => {
  const all = [...jobs], some = all.filter(stoppable);
  if (some.length) for (const job of some) { move(job, "paused"); job.stop?.abort(); }
  else for (const job of all) if (job.state === "paused") move(job, "queued");
  pump();
};

const changed = new Set();
function drawSoon(job) {
  if (!changed.size) queueMicrotask(drawChanged);
  changed.add(job);
}
const room = () => lines.children.length - count.failed < shown;
function drawChanged() {
  for (const job of changed) draw(job);
  changed.clear();
  for (const job of jobs) {
    if (!room()) break;
    if (!job.line) draw(job);
  }
  drawSum();
}
function draw(job) {
  if (job.state === "done") { job.line?.remove(); return; }
  if (!job.line) {
    if (job.state !== "running" && job.state !== "failed" && !room()) return;
    job.line = newLine(job);
  }
  const part = `${size(job.sent)} of ${size(job.file.size)}`;
  job.bar.value = job.sent;
  job.bar.hidden = job.state === "failed";
  job.line.className = job.state === "failed" ? "failed" : "";
  job.text.textContent = job.why || { queued: "Waiting", paused: `Paused at ${part}`, running: part }[job.state];
  job.toggle.textContent = { failed: "Try again", paused: "Resume" }[job.state] || "Pause";
}
function newLine(job) {
  const name = job.path.slice(folder.length);
  job.bar = make("progress", { max: job.file.size || 1 });
  job.bar.setAttribute("aria-label", name);
  job.text = make("span", { className: "state" });
  job.toggle = make("button", { type: "button", className: "quiet", onclick: () => (stoppable(job) ? pause(job) : go(job)) });
  const cancel = make("button", { type: "button", className: "quiet", onclick: () => giveUp(job) }, "Cancel");
  const line = make("li", {}, make("span", {}, name), job.toggle, cancel, job.bar, job.text);
  lines.append(line);
  return line;
}
function drawSum() {
  panel.hidden = !lines.children.length;
  heading.textContent = jobs.size ? `${sum.jobs} ${sum.jobs === 1 ? "upload" : "uploads"}, ${sum.bytes ? Math.floor((100 * sum.sent) / sum.bytes) : 0} %` : "Not finished";
  pauseAll.hidden = jobs.size < 2;
  pauseAll.textContent = count.queued + count.running + count.waiting ? "Pause all" : "Resume all";
}

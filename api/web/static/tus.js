// One upload by tus 1.0 (https://tus.io). How far a file came is the server's to know, so that it goes on
// after a broken network, a restart of the server, or in another tab when the same file is chosen again.
"use strict";
const small = 8 << 20;                      // bytes that are sent with the first request
const least = 1 << 20, most = 64 << 20;     // bytes of one request; slow networks have small ones

const tus = { "Tus-Resumable": "1.0.0" };
const base64 = (s) => btoa(String.fromCharCode(...new TextEncoder().encode(s)));
const metadata = (job) => [["path", job.path], ["modified", String(job.file.lastModified)], ["upload", job.id], ...(job.description ? [["description", job.description]] : [])]
  .map(([k, v]) => `${k} ${base64(v)}`).join(",");

// request sends bytes, unless the job was stopped; only XMLHttpRequest tells how far it is.
function request(job, stop, method, url, headers, body) {
  return new Promise((answer, broke) => {
    stop.throwIfAborted();
    const x = new XMLHttpRequest(), abort = () => x.abort();
    stop.addEventListener("abort", abort);
    x.open(method, url);
    for (const [k, v] of Object.entries({ ...tus, ...byItself(), ...headers })) x.setRequestHeader(k, v);
    x.upload.onprogress = (e) => { if (!stop.aborted) came(job, job.offset + e.loaded); };
    x.onload = () => answer(x);
    x.onerror = () => broke(new Error("network"));
    x.onabort = () => broke(stop.reason);
    x.onloadend = () => stop.removeEventListener("abort", abort);
    x.send(body);
  });
}

// Refused is an answer after which it is of no use to try again.
class Refused extends Error {}
function check(x) {
  if (x.status < 300) return x;
  if (x.status === 401) ended();
  if (x.status === 401 || x.status >= 500 && x.status !== 507 || x.status === 429 || x.status === 409 && /go on from there/.test(x.responseText)) throw new Error(`the server said ${x.status}`);
  let message = `the server said ${x.status}`;
  try { message = JSON.parse(x.responseText).message; } catch { /* no more is known */ }
  throw new Refused(message);
}
function took(job, x) {
  job.offset = Number(x.getResponseHeader("Upload-Offset"));
  came(job, job.offset);
}

// send brings a file over, or throws.
async function send(job, stop) {
  const bytes = { "Content-Type": "application/offset+octet-stream" };
  const append = async (to) => took(job, check(await request(job, stop, "PATCH", job.at, { ...bytes, "Upload-Offset": job.offset }, job.file.slice(job.offset, to))));
  let part = small;
  await listed;
  stop.throwIfAborted(); // the job may have begun again meanwhile
  if (!job.at) takeOver(job);
  if (job.at) {
    part = least; // the server may still read a request that was broken off, and refuses at its end what came meanwhile
    const x = await request(job, stop, "HEAD", job.at, {});
    // What was complete before this job sent any of it became a file at another time, which may be gone by now.
    const over = x.status === 404 || Number(check(x).getResponseHeader("Upload-Offset")) === job.file.size && !job.sends;
    if (over) job.at = "";
    else {
      took(job, x);
      if (!job.file.size) await append(0); // it lacks no byte, but may lack the request that makes the file
    }
  }
  job.sends = true;
  if (!job.at) {
    job.at = address(job);
    job.offset = 0;
    const whole = job.file.size <= small;
    const x = check(await request(job, stop, "POST", "/uploads", { "Upload-Length": job.file.size, "Upload-Metadata": metadata(job), ...(whole ? bytes : {}) }, whole ? job.file : null));
    job.at = x.getResponseHeader("Location"); // another one only of a server of an earlier version
    took(job, x);
  }
  while (job.offset < job.file.size) {
    const begin = performance.now();
    await append(job.offset + part);
    misses = 0;
    const seconds = (performance.now() - begin) / 1000;
    part = Math.round(Math.min(most, Math.max(least, part * Math.min(2, Math.max(0.5, 8 / seconds)))));
  }
  misses = 0;
}

// A job gives its upload the id, and so knows the address whatever answer is lost, and never takes another's for its own.
const address = ({ id }) => "/uploads/" + id;
const newID = () => "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) => (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16)); // crypto.randomUUID is not there over plain http
// begun is what other visits began. Nothing is begun here before the list of it is there, so nothing of this page is in it. What
// a job takes over leaves it.
const begun = new Set();
const listed = insist("/uploads", { headers: byItself() }).then((r) => (r.ok ? r.json() : [])).then((all) => all.forEach((u) => begun.add(u))).catch(() => {});
function takeOver(job) {
  for (const u of begun) {
    if (u.path !== job.path || u.size !== job.file.size || u.modified !== String(job.file.lastModified)) continue;
    leave(u);
    job.at = address(u);
    return;
  }
}
// discard gives an upload up, and tells whether the server has nothing of it any more.
const discard = (at) => insist(at, { method: "DELETE", headers: tus }).then((r) => r.ok || r.status === 404, () => false);

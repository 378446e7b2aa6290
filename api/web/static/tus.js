// One upload by tus 1.0 (https://tus.io). How far a file came is the server's to know, so that it goes on
// after a broken network, a restart of the server, or in another tab when the same file is chosen again.
"use strict";
const small = 8 << 20;                      // bytes that are sent with the first request
const least = 1 << 20, most = 64 << 20;     // bytes of one request; slow networks have small ones

const tus = { "Tus-Resumable": "1.0.0" };
const base64 = (s) => btoa(String.fromCharCode(...new TextEncoder().encode(s)));
const metadata = (job) => [["path", job.path], ["modified", String(job.file.lastModified)], ...(job.description ? [["description", job.description]] : [])]
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
  let part = small;
  const at = job.at || (await unfinished(job));
  stop.throwIfAborted(); // the job may have begun again meanwhile
  job.at = at;
  if (job.at) {
    part = least; // the server may still read a request that was broken off, and refuses at its end what came meanwhile
    const x = await request(job, stop, "HEAD", job.at, {});
    if (x.status === 404) job.at = "";
    else took(job, check(x));
  }
  if (!job.at) {
    job.offset = 0;
    job.asked = true;
    const whole = job.file.size <= small;
    const x = check(await request(job, stop, "POST", "/uploads", { "Upload-Length": job.file.size, "Upload-Metadata": metadata(job), ...(whole ? bytes : {}) }, whole ? job.file : null));
    job.at = x.getResponseHeader("Location");
    took(job, x);
  }
  while (job.offset < job.file.size) {
    const begin = performance.now();
    took(job, check(await request(job, stop, "PATCH", job.at, { ...bytes, "Upload-Offset": job.offset }, job.file.slice(job.offset, job.offset + part))));
    misses = 0;
    const seconds = (performance.now() - begin) / 1000;
    part = Math.round(Math.min(most, Math.max(least, part * Math.min(2, Math.max(0.5, 8 / seconds)))));
  }
  misses = 0;
}

// The uploads that an earlier visit began, or a request whose answer was lost.
let begun;
const listBegun = () => (begun = insist("/uploads", { headers: byItself() }).then((r) => (r.ok ? r.json() : []), () => []));
async function unfinished(job) {
  const u = (await (job.asked ? listBegun() : begun)).find((u) => u.path === job.path && u.size === job.file.size && u.modified === String(job.file.lastModified));
  return u ? "/uploads/" + u.id : "";
}
// discard gives an upload up, and tells whether the server has nothing of it any more; forget does that to what came of a job.
const discard = (at) => insist(at, { method: "DELETE", headers: tus }).then((r) => r.ok || r.status === 404, () => false);
async function forget(job) {
  const at = job.at || (job.asked && await unfinished(job));
  if (at) await discard(at);
}

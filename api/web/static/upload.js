// What is uploaded: files and whole folders, chosen or dropped, and what an earlier visit left.
"use strict";
const form = $("#upload");
const folder = $("[name=path]", form).dataset.folder;

// sentOne shows what has come, and told says it, with what could not be read, once all has come: also what is in
// folders that are still read.
let reading = 0, last = "", unread = [], soon;
function sentOne(job) {
  if (!isFolder(job)) last = job.path;
  clearTimeout(soon);
  soon = setTimeout(refresh, jobs.size ? 1000 : 0);
  told();
}
function told() {
  if (jobs.size || reading || !sum.jobs && !unread.length) return;
  const all = !sum.files ? "" : sum.files === 1 ? `Uploaded ${last}. ` : `Uploaded ${sum.files} files. `;
  if (all || unread.length) say(all + (!unread.length ? "" : unread.length === 1 ? `“${unread[0]}” can't be read.` : `${unread.length} can't be read: “${unread.slice(0, 3).join("”, “")}”${unread.length > 3 ? ", …" : ""}`));
  sum.jobs = sum.files = sum.bytes = sum.sent = 0;
  unread = [];
}

// What an earlier visit left: the file has to be chosen again, since a page can't keep it.
listed.then(() => {
  for (const u of begun) lines.append((u.line = begunLine(u)));
  drawSum();
});
function leave(u) {
  begun.delete(u);
  u.line.remove();
  drawSum();
}
function begunLine(u) {
  const button = (text, onclick, more) => make("button", { type: "button", className: "quiet", onclick, ...more }, text);
  const gone = async () => {
    begun.delete(u);
    const is = await discard(address(u));
    if (is) leave(u);
    else {
      begun.add(u);
      text.textContent = "It could not be discarded: try again";
    }
    return is;
  };
  const begin = (f, at) => { add(f, u.path, "", at); pump(); };
  const pick = make("input", { type: "file", hidden: true });
  pick.setAttribute("aria-label", `The file for ${u.path}`);
  const text = make("span", { className: "state" }, `${size(u.offset)} of ${size(u.size)} came; choose the same file and it goes on`);
  text.setAttribute("role", "status");
  const anew = button("Send this one from its beginning", null, { hidden: true });
  const line = make("li", { className: "begun" }, make("span", {}, u.path), button("Choose it again", () => pick.click()),
    button("Discard", gone), text, anew, pick);
  // The end of one file behind the beginning of another would be neither.
  pick.onchange = () => {
    const f = pick.files[0];
    if (!f) return;
    const other = f.size !== u.size ? `it has ${size(f.size)}, and not ${size(u.size)}` : u.modified && u.modified !== String(f.lastModified) ? "it was changed since" : "";
    if (!other) { leave(u); begin(f, address(u)); return; }
    text.textContent = `This is another file: ${other}.`;
    anew.onclick = async () => { if (await gone()) begin(f); };
    anew.hidden = false;
  };
  return line;
}

// The form.
const path = $("[name=path]", form), files = $("[type=file]", form);
files.addEventListener("change", () => { path.value = folder + (files.files.length === 1 ? files.files[0].name : ""); });
form.addEventListener("submit", (e) => {
  e.preventDefault();
  const many = files.files.length !== 1;
  for (const f of files.files) {
    let to = path.value || folder;
    if (many || !to || to.endsWith("/")) to = to.replace(/\/*$/, to ? "/" : "") + f.name;
    add(f, to, $("[name=description]", form).value);
  }
  pump();
  form.reset();
  path.value = folder;
  $("#uploading").open = false;
});
const whole = make("input", { type: "file", webkitdirectory: true, hidden: true, id: "wholefolder" });
whole.setAttribute("aria-label", "A whole folder");
form.after(whole);
$("#whole").addEventListener("click", () => whole.click());
whole.addEventListener("change", () => {
  for (const f of whole.files) add(f, folder + f.webkitRelativePath);
  pump();
  whole.value = "";
  $("#uploading").open = false;
});

// Dropped files; a folder comes with all that is in it, but for what can't be read.
const drop = (entry, to) => dropped(entry, to).catch(() => { unread.push(to.slice(folder.length) + entry.name); });
async function dropped(entry, to) {
  if (entry.isFile) {
    add(await new Promise((ok, no) => entry.file(ok, no)), to + entry.name);
    pump();
    return;
  }
  const reader = entry.createReader();
  for (let n = 0; ;) {
    const some = await new Promise((ok, no) => reader.readEntries(ok, no));
    if (!some.length && !n) {
      add(new File([], entry.name), to + entry.name + "/");
      pump();
    }
    if (!some.length) return;
    n += some.length;
    for (const e of some) await drop(e, to + entry.name + "/");
  }
}
// makeFolder makes a folder with nothing in it, unless it is there.
async function makeFolder(job, stop) {
  const r = await fetch("/do/mkdir", { method: "POST", redirect: "manual", signal: stop, headers: { Accept: "application/json", ...byItself() },
    body: new URLSearchParams({ name: job.path.slice(0, -1), ensure: "1" }) });
  check({ status: r.status, responseText: await r.text() });
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
    else if (item.kind === "file") { const f = item.getAsFile(); add(f, folder + f.name); }
  }
  pump();
});

// What every page has: times as the reader's own, questions before what can't be
// undone, menus, and short messages. Every page works without it.
"use strict";
document.documentElement.classList.add("script");
const $ = (s, from = document) => from.querySelector(s);
const $$ = (s, from = document) => [...from.querySelectorAll(s)];

// make is a new element.
function make(tag, attributes = {}, ...children) {
  const e = Object.assign(document.createElement(tag), attributes);
  e.append(...children);
  return e;
}

// Times are the server's; here they are shown as the reader's own.
function localise(within = document) {
  for (const t of $$("time[datetime]", within)) {
    const d = new Date(t.dateTime);
    t.title = t.dateTime;
    t.textContent = new Date(d - d.getTimezoneOffset() * 60000).toISOString().slice(0, "seconds" in t.dataset ? 19 : 16).replace("T", " ");
  }
}
localise();

function size(n) {
  if (n < 1000) return `${n} B`;
  let i = -1;
  do { n /= 1000; i++; } while (n >= 999.5);
  return `${n < 10 ? n.toFixed(1) : n.toFixed(0)} ${"KMGTPE"[i]}B`;
}

// say shows a message for a while, and reads it out.
let saying;
function say(...what) {
  const toast = $("#toast");
  toast.replaceChildren(...what);
  clearTimeout(saying);
  saying = setTimeout(() => toast.replaceChildren(), 7000);
}

// unasked are headers of what a page asks for by itself, which is no use of the session. What it sends meanwhile is, but the server
// notes a use only where a request begins: so the next one after that, whose headers are byItself, is without them.
const unasked = { "Satchel-Unasked": "1" };
let used = false;
function byItself() {
  const headers = used ? {} : unasked;
  used = false;
  return headers;
}

// ended is for a page that hears that its session is over. It goes to where one signs in. A page that would lose something by
// that prevents "sessionend", and stays: it shows no more than this, and goes on when the same person has signed in again in
// another tab, which the promise tells. All pages tell each other whose they are, for this, and since none may
// go on when somebody else has signed in.
const me = document.body.dataset.user, tabs = new BroadcastChannel("satchel");
let leaving = false, over = null, back;
addEventListener("submit", (e) => { if (e.target.getAttribute("action") === "/signout") leaving = true; });
function ended() {
  if (!over) {
    over = new Promise((then) => { back = then; });
    if (!dispatchEvent(new Event("sessionend", { cancelable: true }))) stay();
    else if (!leaving) location.href = "/?again=1"; // its own sign-out leads there, too
  }
  return over;
}
// insist is a fetch that waits, where the session has ended and the page stays, until it goes on.
async function insist(url, options) {
  for (;;) {
    const r = await fetch(url, options);
    if (r.status !== 401) return r;
    await ended();
  }
}
function stay() {
  const hidden = $$("body > header, #main"), { title } = document, y = scrollY;
  const card = make("div", { className: "card" }, make("h1", {}, "Your session has ended"),
    make("p", {}, `What is not sent yet waits on this page. Sign in again as ${$(".who").textContent} in another tab, and it goes on.`),
    make("p", {}, make("a", { className: "button", href: "/?again=1", target: "_blank" }, "Sign in again")));
  card.setAttribute("role", "alert");
  const note = make("main", { id: "ended", className: "narrow" }, card);
  $$("dialog[open]").forEach((d) => d.close());
  hidden.forEach((e) => { e.hidden = true; });
  document.body.prepend(note);
  document.title = "Your session has ended · Satchel";
  $("a", note).focus();
  over.then(() => {
    note.remove();
    hidden.forEach((e) => { e.hidden = false; });
    document.title = title;
    scrollTo(0, y);
  });
}
if (me) {
  tabs.onmessage = ({ data }) => {
    if (data !== me) ended();
    else if (over) { over = null; back(); }
  };
  tabs.postMessage(me);
}

// post sends a form's fields as a form would; the answer's page is not loaded. It is true, or
// says what is wrong.
async function post(action, fields) {
  try {
    const r = await fetch(action, { method: "POST", redirect: "manual", headers: { Accept: "application/json" }, body: new URLSearchParams(fields) });
    if (r.type === "opaqueredirect" || r.ok) return true;
    if (r.status === 401) { ended(); return false; }
    const message = await r.json().then((e) => e.message, () => `the server said ${r.status}`);
    say(message[0].toUpperCase() + message.slice(1) + ".");
  } catch { say("The server can't be reached."); }
  return false;
}

// ask is a question with a field, in a dialog: what was typed, or null.
function ask(title, label, value, button, select) {
  return new Promise((done) => {
    const input = make("input", { value, required: true, autocomplete: "off" });
    const cancel = make("button", { type: "button", className: "quiet" }, "Cancel");
    const form = make("form", { method: "dialog" }, make("h2", {}, title), make("label", {}, label, " ", input),
      make("p", { className: "buttons" }, cancel, make("button", {}, button)));
    const d = make("dialog", {}, form);
    d.setAttribute("aria-label", title);
    cancel.onclick = () => d.close();
    let answer = null;
    form.onsubmit = () => { answer = input.value; };
    d.onclose = () => { d.remove(); done(answer); };
    document.body.append(d);
    d.showModal();
    input.focus();
    input.setSelectionRange(...(select || [0, value.length]));
  });
}

document.addEventListener("submit", (e) => {
  const b = e.submitter;
  if (b && b.dataset.confirm && !confirm(b.dataset.confirm)) e.preventDefault();
});

// One menu at a time; Escape closes it and gives the focus back; so does a press elsewhere.
const openMenus = () => $$("details.menu[open]");
document.addEventListener("toggle", (e) => {
  if (e.target.matches && e.target.matches("details.menu") && e.target.open) {
    openMenus().forEach((d) => { if (d !== e.target) d.open = false; });
    const first = $("input:not([type=hidden]):not([type=file]), a", e.target);
    if (first) first.focus();
  }
}, true);
document.addEventListener("click", (e) => openMenus().forEach((d) => { if (!d.contains(e.target)) d.open = false; }));
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape") openMenus().forEach((d) => { d.open = false; $("summary", d).focus(); });
});

// Copy what a button stands beside.
document.addEventListener("click", async (e) => {
  const b = e.target.closest("[data-copy]");
  if (!b) return;
  const field = b.parentElement.querySelector("input");
  field.select();
  try { await navigator.clipboard.writeText(field.value); say("Copied."); } catch { say("Press Ctrl+C to copy it."); }
});

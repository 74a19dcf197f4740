// Who is here, what is asked and done, and which page is shown.

import { $, clock, h } from "./elements.js";
import { errors, job, jobs, overview, schedules } from "./pages.js";

const PAGES = [
  [/^\/$/, overview, "Overview"],
  [/^\/jobs$/, jobs, "Jobs"],
  [/^\/jobs\/(\d{1,18})$/, job, "Job"],
  [/^\/errors$/, errors, "Errors"],
  [/^\/schedules$/, schedules, "Schedules"],
];
const PAUSE = 5000; // milliseconds before another try
let session = { reads: false, acts: false, can_enter: false, word: null };
let newest = null; // the last look at the file

// --- asking ---

/** The JSON at an address; with a body it is sent there. Throws what the server says is wrong. */
async function ask(address, body) {
  const headers = { "Content-Type": "application/json", "X-Word": session.word ?? "" };
  const answer = await fetch(address, body && { method: "POST", body: JSON.stringify(body), headers });
  const found = await answer.json();
  if (answer.ok) return found;
  if (answer.status === 401) await meet(); // the token may be another one by now
  throw new Error(found.error);
}

const look = async () => (newest ??= await ask("data/overview"));

/** Tell what happened, aloud to who can not see it. */
function say(text, isWrong = false) {
  $("said").textContent = text;
  $("said").classList.toggle("wrong", isWrong);
}

/** What a dialog was closed with. */
function answerOf(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

// --- signing in ---

async function meet() {
  session = await ask("session");
  $("enter").hidden = session.acts || !session.can_enter;
  $("leave").hidden = !session.acts;
}

async function enter(token) {
  await ask("session", { token });
  await meet();
}

/** Ask for the token until it is right; whether it was given. */
async function signIn() {
  $("wrong").textContent = "";
  for (;;) {
    $("token").value = "";
    if ((await answerOf($("signing"))) !== "enter") return false;
    try {
      await enter($("token").value.trim());
      return true;
    } catch (error) {
      $("wrong").textContent = error.message;
    }
  }
}

// --- acting ---

/** A button that does something to a job, a queue, a schedule, or all that failed with an error. */
function button(verb, kind, target, question) {
  const label = verb === "run" ? "Run now" : verb[0].toUpperCase() + verb.slice(1);
  const place = verb === "resume" ? "pause" : verb; // one takes the other's place, and its focus
  const about = { id: `${place}-${kind}-${target}`, "aria-label": `${label} ${kind} ${target}` };
  const act = () => doIt(verb, kind, target, label, question).catch((error) => say(error.message, true));
  return h("button", { type: "button", ...about, onclick: act }, label);
}

async function doIt(verb, kind, target, label, question) {
  if (!session.acts && !(await signIn())) return;
  if (question && !(await agreed(question, label))) return;
  const done = await ask("actions", { verb, [kind]: target });
  say(`${label}, ${kind} ${target}: ${done.told}`);
  if (verb === "delete") location.hash = "#/jobs";
  else await show();
}

async function agreed(question, label) {
  $("question").textContent = question;
  $("yes").textContent = label;
  return (await answerOf($("asking"))) === "yes";
}

// --- showing ---

let turn = 0, pending = 0, shown = null; // of the pages asked for: the last, how many are on their way, the one there

/** Show the page that the address names; on the same page the focus, and what was typed, stay. */
async function show() {
  const address = location.hash, mine = ++turn;
  const [path, query] = (address.slice(1) || "/").split("?");
  const [pattern, page, title] = PAGES.find(([each]) => each.test(path)) ?? PAGES[0];
  pending++;
  const content = await page({ ask, button, look }, new URLSearchParams(query), ...(path.match(pattern) ?? []).slice(1))
    .catch((error) => [h("h1", {}, title), h("p", { class: "wrong" }, error.message)])
    .finally(() => pending--);
  if (mine !== turn || (address === shown && isBusy())) return;
  put(content.filter(Boolean), address, path);
  document.title = `${title}${path.match(/\/\d+/)?.[0].replace("/", " ") ?? ""} · litequeue`;
}

function put(content, address, path) {
  const isMoved = shown !== null && address !== shown, back = keeper();
  shown = address;
  $("main").replaceChildren(...content);
  for (const link of document.querySelectorAll("header nav a")) {
    const isHere = link.hash === `#/${path.split("/")[1]}`;
    link.toggleAttribute("aria-current", false);
    if (isHere) link.setAttribute("aria-current", "page");
  }
  if (isMoved) $("main").focus();
  else back();
}

/** What gives the new elements the focus and the scroll positions that those before them had. */
function keeper() {
  const main = $("main"), focused = document.activeElement, had = main.contains(focused) && focused !== main;
  const scrolled = [...main.querySelectorAll("[tabindex]")].map((each) => [each.id, each.scrollLeft, each.scrollTop]);
  return () => {
    if (had) ($(focused.id) ?? main).focus({ preventScroll: true });
    for (const [id, left, top] of scrolled) $(id)?.scrollTo(left, top);
  };
}

/** Whether somebody types, chooses, is asked something, or has marked text. */
const isBusy = () => document.activeElement.closest("form") || document.querySelector("dialog[open]") ||
  !getSelection().isCollapsed;

// --- following ---

let events = null;

/** Follow the file while the page is looked at; a browser has few connections to one host. */
function follow() {
  events?.close();
  if (document.hidden) return;
  events = new EventSource("events");
  events.addEventListener("look", (event) => hear(JSON.parse(event.data)));
  events.addEventListener("trouble", (event) => {
    pulse("trouble", false);
    say(JSON.parse(event.data).error, true);
  });
  events.addEventListener("error", () => {
    pulse("not connected", false);
    if (events.readyState === EventSource.CLOSED) setTimeout(again, PAUSE); // it does not come back by itself
  });
}

/** Where no stream is to be had, a look now and then. */
async function again() {
  await ask("data/overview").then(hear).catch((error) => say(error.message, true));
  follow();
}

function hear(found) {
  const key = (alarm) => `${alarm.kind} ${alarm.about}`, known = (newest ?? found).alarms.map(key);
  const news = found.alarms.find((alarm) => !known.includes(key(alarm)));
  if (news) say(news.text, true);
  newest = found;
  clock.ahead = Date.parse(found.now) - Date.now();
  pulse("live", true);
  if (!pending) show();
}

function pulse(text, isLive) {
  $("pulse").textContent = text;
  $("pulse").classList.toggle("live", isLive);
}

// --- beginning ---

/** The token behind # in the address that was printed; it is taken out of the address at once. */
function givenToken() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (found) history.replaceState(null, "", `${location.pathname}#/`);
  return found && decodeURIComponent(found[1]);
}

async function begin() {
  const token = givenToken();
  await meet();
  if (token && !session.acts) await enter(token).catch((error) => say(error.message, true));
  while (!session.reads) await signIn();
  await show();
  follow();
}

addEventListener("hashchange", () => { say(""); show(); });
addEventListener("resize", () => show());
document.addEventListener("visibilitychange", follow);
$("enter").addEventListener("click", async () => { await signIn(); await show(); });
$("leave").addEventListener("click", async () => { await ask("leave", {}); location.reload(); });
$("never").addEventListener("click", () => $("signing").close());
begin().catch((error) => say(error.message, true));

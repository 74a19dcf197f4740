// One page. What comes from the file is only ever text: `h` appends strings, and nothing here parses HTML.

const $ = (id) => document.getElementById(id);
const STATES = ["ready", "scheduled", "blocked", "running", "failed", "completed", "cancelled"];
let session = { reads: false, acts: false, can_enter: false, word: null };
let look = null; // the newest overview
let skew = 0; // milliseconds that the server's clock is ahead of this one

// --- elements ---

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "onclick" || name === "onsubmit") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** A table whose columns are [heading, class, cell of a row]; the first cell heads its row. */
function table(caption, columns, rows, empty) {
  if (!rows.length) return h("section", {}, h("h2", {}, caption), h("p", { class: "quiet" }, empty));
  const cells = (row) => columns.map(([, kind, cell], place) =>
    h(place ? "td" : "th", { class: kind, scope: place ? null : "row" }, cell(row)));
  return h("section", {}, h("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    h("table", {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, cells(row)))))));
}
const section = (title, ...content) => h("section", {}, h("h2", {}, title), content);
const state = (name) => h("span", { class: `state ${name}` }, name);
const jobLink = (id) => h("a", { href: `#/jobs/${id}`, id: `job-${id}` }, String(id));
const count = (value, kind) =>
  h("span", { class: value ? (kind === "failed" ? "failed" : "") : "zero" }, value.toLocaleString("en"));

// --- words ---

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return seconds < 0.001 ? "<1 ms" : `${Math.round(seconds * 1000)} ms`;
  for (const [limit, unit, name] of [[100, 1, "s"], [6000, 60, "min"], [172800, 3600, "h"]])
    if (seconds < limit) return unit === 1 && seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / unit)} ${name}`;
  return `${Math.round(seconds / 86400).toLocaleString("en")} d`;
}
const age = (iso) => (Date.now() + skew - Date.parse(iso)) / 1000;
function when(iso) {
  if (!iso) return "–";
  const seconds = age(iso);
  const text = Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `${span(seconds).replace(".0", "")} ago` : `in ${span(-seconds).replace(".0", "")}`;
  return h("time", { datetime: iso, title: iso }, text);
}
const rate = (job) => (job.state === "running" ? job.started_at : job.finished_at || job.run_at);

// --- asking and acting ---

async function ask(path, body) {
  const given = body && { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-Word": session.word || "" } };
  const answer = await fetch(path, given);
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.error), { status: answer.status });
  return found;
}
function say(text, isWrong) {
  $("said").textContent = text;
  $("said").classList.toggle("wrong", Boolean(isWrong));
}
function answerOf(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}
async function agreed(question, verb) {
  $("question").textContent = question;
  $("yes").textContent = verb;
  return (await answerOf($("asking"))) === "yes";
}
/** A button that does `verb` to a job, queue or schedule. */
function button(verb, target, question) {
  const [[kind, name]] = Object.entries(target);
  const label = verb === "run" ? "Run now" : verb[0].toUpperCase() + verb.slice(1);
  const act = async () => {
    if (!session.acts && !(await enter())) return;
    if (question && !(await agreed(question, label))) return;
    try {
      const done = await ask("actions", { verb, ...target });
      say(`${label}: ${kind} ${name}` + (verb === "run" ? ` is job ${done.job}` : ""));
      if (verb === "delete") location.hash = "#/jobs";
      else await show();
    } catch (error) { say(error.message, true); }
  };
  return h("button", { type: "button", id: `${verb}-${kind}-${name}`, "aria-label": `${label} ${kind} ${name}`, onclick: act }, label);
}
async function enter(token) {
  for (;;) {
    if (token === undefined) {
      $("token").value = "";
      if ((await answerOf($("signing"))) !== "enter") return false;
    }
    try {
      await ask("session", { token: token ?? $("token").value.trim() });
      $("wrong").textContent = "";
      await meet();
      return true;
    } catch (error) { $("wrong").textContent = error.message; }
    token = undefined;
  }
}
async function meet() {
  session = await ask("session");
  $("enter").hidden = session.acts || !session.can_enter;
  $("leave").hidden = !session.acts;
}

// --- plots ---

const HEIGHT = 150, LEFT = 52, BELOW = 18;
function frame(label, width, ticks, minutes, content) {
  const x = (place) => LEFT + (place * (width - LEFT)) / 60;
  const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return s("svg", { viewBox: `0 0 ${width} ${HEIGHT + BELOW}`, width, height: HEIGHT + BELOW, role: "img", "aria-label": label },
    ticks.map(([y, text]) => [s("line", { class: "grid", x1: LEFT, x2: width, y1: y, y2: y }), s("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, text)]),
    [0, 15, 30, 45].map((place) => s("text", { x: x(place), y: HEIGHT + 14 }, clock(minutes[place].at))), content);
}
function plot(title, draw, key, width) {
  return section(title, draw(width), h("ul", { class: "key" }, key.map(([kind, text]) => h("li", {}, h("i", { class: kind, "aria-hidden": "true" }), text))));
}
function throughput(minutes, width) {
  const kinds = ["completed", "retried", "failed"];
  const most = Math.max(4, ...minutes.map((minute) => kinds.reduce((sum, kind) => sum + minute[kind], 0)));
  const power = 10 ** Math.floor(Math.log10(most / 2)), step = power * [5, 2, 1].find((times) => times * power <= most / 2);
  const y = (value) => HEIGHT - (value / most) * (HEIGHT - 12);
  const ticks = [0, 1, 2, 3, 4].map((n) => n * step).filter((value) => value <= most).map((value) => [y(value), value.toLocaleString("en")]);
  const wide = (width - LEFT) / 60;
  const bars = minutes.map((minute, place) => {
    let below = 0;
    const parts = kinds.map((kind) => {
      const from = below;
      below += minute[kind];
      return minute[kind] && s("rect", { class: kind, x: LEFT + place * wide + 0.75, width: Math.max(1, wide - 1.5), y: y(below), height: Math.max(1, y(from) - y(below)) });
    });
    const title = `${new Date(minute.at).toLocaleTimeString()}: ${kinds.map((kind) => `${minute[kind]} ${kind}`).join(", ")}`;
    return [parts.filter(Boolean), s("rect", { class: "hit", x: LEFT + place * wide, width: wide, y: 0, height: HEIGHT }, s("title", {}, title))];
  });
  const total = (kind) => minutes.reduce((sum, minute) => sum + minute[kind], 0).toLocaleString("en");
  return frame(`Attempts that ended per minute of the last hour: ${kinds.map((kind) => `${total(kind)} ${kind}`).join(", ")}`, width, ticks, minutes, bars);
}
function latency(minutes, width) {
  const lines = [["wait_p95", "wait"], ["wait_p50", "wait half"], ["run_p95", "run"], ["run_p50", "run half"]];
  const values = lines.flatMap(([name]) => minutes.map((minute) => minute[name])).filter((value) => value !== null);
  const low = Math.floor(Math.log10(Math.max(1e-4, Math.min(1e-3, ...values)))), high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(1e-3, ...values))));
  const y = (value) => HEIGHT - ((Math.log10(Math.max(10 ** low, value)) - low) / (high - low)) * (HEIGHT - 12);
  const x = (place) => LEFT + ((place + 0.5) * (width - LEFT)) / 60;
  const skip = Math.ceil((high - low) / 4);
  const ticks = Array.from({ length: high - low + 1 }, (_, n) => low + n).filter((n) => (n - low) % skip === 0).map((n) => [y(10 ** n), span(10 ** n).replace(".0", "")]);
  const drawn = lines.map(([name, kind]) => {
    let path = "";
    minutes.forEach((minute, place) => {
      if (minute[name] !== null) path += `${place && minutes[place - 1][name] !== null ? "L" : "M"}${x(place).toFixed(1)} ${y(minute[name]).toFixed(1)}h.01`;
    });
    return s("path", { class: kind, d: path || "M0 0" });
  });
  const hits = minutes.map((minute, place) => s("rect", { class: "hit", x: LEFT + (place * (width - LEFT)) / 60, width: (width - LEFT) / 60, y: 0, height: HEIGHT },
    s("title", {}, `${new Date(minute.at).toLocaleTimeString()}: wait ${span(minute.wait_p50)}, p95 ${span(minute.wait_p95)}; run ${span(minute.run_p50)}, p95 ${span(minute.run_p95)}`)));
  return frame("How long jobs waited and ran in each minute of the last hour, half and 95 of 100 of them", width, ticks, minutes, [drawn, hits]);
}
function spark(values) {
  const most = Math.max(1, ...values);
  return s("svg", { class: "spark", width: 120, height: 18, role: "img", "aria-label": `${values.reduce((a, b) => a + b, 0)} ended in the last hour` },
    values.map((value, place) => value && s("rect", { x: place * 2, width: 1.5, y: 18 - (value / most) * 18, height: (value / most) * 18 })).filter(Boolean));
}
/** The jobs around one, in columns: each stands right of all that it waits for. */
function graph(found, here) {
  const column = new Map(found.jobs.map((job) => [job.id, 0]));
  for (let round = 0, moved = true; moved && round < found.jobs.length; round++) {
    moved = false;
    for (const [above, below] of found.edges)
      if (column.get(below) <= column.get(above)) { column.set(below, column.get(above) + 1); moved = true; }
  }
  const rows = [], place = new Map();
  for (const job of found.jobs) {
    const at = column.get(job.id);
    rows[at] = (rows[at] || 0) + 1;
    place.set(job.id, [at * 210 + 2, (rows[at] - 1) * 50 + 2]);
  }
  const width = rows.length * 210 - 36, height = Math.max(...rows) * 50 - 8;
  const edges = found.edges.map(([above, below]) => {
    const [[x1, y1], [x2, y2]] = [place.get(above), place.get(below)];
    return s("path", { class: "edge", d: `M${x1 + 170} ${y1 + 19}C${x1 + 190} ${y1 + 19} ${x2 - 20} ${y2 + 19} ${x2} ${y2 + 19}` });
  });
  const nodes = found.jobs.map((job) => {
    const [x, y] = place.get(job.id), task = job.task.length > 24 ? `…${job.task.slice(-23)}` : job.task;
    return s("a", { href: `#/jobs/${job.id}`, id: `node-${job.id}`, "aria-label": `Job ${job.id}, ${job.task}, ${job.state}` },
      s("g", { class: `node ${job.state}${job.id === here ? " here" : ""}`, transform: `translate(${x} ${y})` },
        s("rect", { width: 170, height: 38, rx: 7 }), s("text", { x: 10, y: 16 }, task), s("text", { x: 10, y: 31 }, `${job.id} · ${job.state}`)));
  });
  return h("div", { class: "scroll", role: "region", "aria-label": "Workflow", tabindex: "0" },
    s("svg", { width: width + 4, height: height + 4, role: "group", "aria-label": "Jobs that wait for each other" }, edges, nodes));
}

// --- pages ---

async function overviewPage() {
  look = look || (await ask("data/overview"));
  const sum = (name) => look.queues.reduce((total, queue) => total + queue.counts[name], 0);
  const width = Math.max(280, Math.min(560, (innerWidth > 930 ? Math.min(innerWidth, 1240) / 2 - 34 : innerWidth) - (innerWidth > 700 ? 50 : 56)));
  const figures = STATES.map((name) => h("div", {}, h("dt", {}, h("a", { href: `#/jobs?state=${name}`, id: `all-${name}` }, name)), h("dd", { class: name === "failed" && sum(name) ? "failed" : "" }, sum(name).toLocaleString("en"))));
  return [
    h("h1", {}, look.file, h("span", { class: "quiet" }, `${look.workers_alive} ${look.workers_alive === 1 ? "worker" : "workers"} alive`)),
    look.alarms.length ? h("ul", { class: "alarms", "aria-label": "What is unhealthy" }, look.alarms.map((alarm) => h("li", {}, alarm.text))) : null,
    h("dl", { class: "figures" }, figures),
    h("div", { class: "pair" },
      plot("Ended per minute", (wide) => throughput(look.minutes, wide), [["completed", "completed"], ["retried", "failed, tried again"], ["failed", "failed"]], width),
      plot("Wait and run time", (wide) => latency(look.minutes, wide), [["wait", "wait p95"], ["wait half", "wait p50"], ["run", "run p95"], ["run half", "run p50"]], width)),
    table("Queues", [
      ["queue", "break", (queue) => [h("a", { href: `#/jobs?queue=${encodeURIComponent(queue.queue)}`, id: `queue-${queue.queue}` }, queue.queue), queue.paused ? h("span", { class: "mark cancelled" }, "paused") : null]],
      ...["ready", "scheduled", "blocked", "running", "failed"].map((name) => [name, `n${name === "scheduled" || name === "blocked" ? " wide" : ""}`, (queue) => count(queue.counts[name], name)]),
      ["oldest ready", "n wide", (queue) => span(queue.oldest_ready_seconds)],
      ["wait p95", "n wide", (queue) => span(queue.last_hour.wait_p95_seconds)],
      ["run p95", "n wide", (queue) => span(queue.last_hour.run_p95_seconds)],
      ["last hour", "wide", (queue) => spark(queue.ended_by_minute)],
      ["", "act", (queue) => button(queue.paused ? "resume" : "pause", { queue: queue.queue })],
    ], look.queues, "There is no job yet."),
    look.more_queues ? h("p", { class: "quiet" }, `and ${look.more_queues} more queues`) : null,
    table("Workers", [
      ["name", "break", (worker) => worker.name],
      ["state", "", (worker) => h("span", { class: `state ${!worker.alive ? "failed" : worker.stopping ? "cancelled" : "completed"}` }, !worker.alive ? "dead" : worker.stopping ? "stopping" : "alive")],
      ["queues", "cut wide", (worker) => worker.queues.join(", ")],
      ["busy", "n", (worker) => `${worker.running} of ${worker.threads}`],
      ["runs", "break", (worker) => worker.jobs.slice(0, 8).map((job, place) => [place ? ", " : "", h("a", { href: `#/jobs/${job.id}`, id: `runs-${job.id}` }, `${job.id} ${job.task}`), job.started_at ? ` ${span(Math.max(0, age(job.started_at)))}` : ""])],
      ["seen", "when wide", (worker) => when(worker.seen_at)],
    ], look.workers, "No worker has signed on."),
  ];
}
function filters(query) {
  const field = (name) => h("label", {}, name, h("input", { name, id: `filter-${name}`, value: query.get(name) || "", class: name, autocomplete: "off" }));
  const submit = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].filter(([, value]) => value.trim());
    location.hash = `#/jobs?${new URLSearchParams(given)}`;
  };
  return h("form", { class: "filters", role: "search", "aria-label": "Jobs", onsubmit: submit },
    h("label", {}, "state", h("select", { name: "state", id: "filter-state" }, h("option", { value: "" }, "any"), STATES.map((name) => h("option", { selected: query.get("state") === name }, name)))),
    ["queue", "task", "tag"].map(field), h("button", { class: "main", id: "filter" }, "Show"));
}
async function jobsPage(query) {
  const found = await ask(`data/jobs?${query}`);
  const older = new URLSearchParams(query), newest = new URLSearchParams(query);
  older.set("after", found.next);
  newest.delete("after");
  return [
    h("h1", {}, "Jobs"), filters(query),
    table("Newest first", [
      ["id", "n", (job) => jobLink(job.id)],
      ["state", "", (job) => state(job.state)],
      ["task", "break", (job) => job.task],
      ["arguments", "cut code wide", (job) => h("span", { title: job.arguments }, job.arguments)],
      ["queue", "cut wide", (job) => job.queue],
      ["when", "when", (job) => when(rate(job))],
      ["tags", "cut wide", (job) => job.tags.join(", ")],
      ["note", "cut wide", (job) => h("span", { title: job.note }, job.note)],
    ], found.jobs, "No job matches."),
    h("nav", { class: "buttons", "aria-label": "Pages of jobs" },
      query.has("after") ? h("a", { href: `#/jobs?${newest}`, id: "newest" }, "Newest") : null,
      found.next ? h("a", { href: `#/jobs?${older}`, id: "older" }, "Older") : null),
  ];
}
async function jobPage(query, id) {
  const job = await ask(`data/jobs/${id}`), isFinal = ["completed", "failed", "cancelled"].includes(job.state);
  const facts = [
    ["queue", h("a", { href: `#/jobs?queue=${encodeURIComponent(job.queue)}`, id: "its-queue" }, job.queue)], ["priority", job.priority || null], ["tags", job.tags.join(", ")], ["meta", job.meta], ["options", job.options],
    ["unique", job.unique_key], ["limit", job.limit_key], ["schedule", job.schedule], ["created", when(job.created_at)],
    ["due", job.run_at === job.created_at ? null : when(job.run_at)], ["started", job.started_at && when(job.started_at)],
    ["finished", job.finished_at && when(job.finished_at)], ["took", job.finished_at && job.started_at && span((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000)],
    ["expires", job.expires_at && when(job.expires_at)], ["worker", job.worker],
    ["attempts", job.attempt ? `${job.attempt}${job.failures ? `, ${job.failures} failed` : ""}${job.crashes ? `, ${job.crashes} crashed` : ""}` : null],
    ["progress", job.progress === null ? job.progress_text : [h("progress", { value: job.progress, max: 1, "aria-label": "progress" }), ` ${Math.round(job.progress * 100)} % ${job.progress_text || ""}`]],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  return [
    h("h1", {}, `Job ${job.id} `, state(job.state), h("span", { class: "quiet" }, job.task)),
    h("div", { class: "buttons" },
      ["failed", "cancelled"].includes(job.state) ? button("retry", { job: job.id }) : null,
      isFinal ? null : button("cancel", { job: job.id }, `Cancel job ${job.id}?`),
      job.state === "running" ? null : button("delete", { job: job.id }, `Delete job ${job.id} and all that is stored about it?`)),
    h("div", { class: "pair" },
      h("div", {}, section("Now", h("p", {}, job.explanation[0].toUpperCase() + job.explanation.slice(1)), h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])))),
      h("div", {}, section("Arguments", h("pre", { tabindex: "0", "aria-label": "Arguments" }, job.arguments)), job.result === null ? null : section("Result", h("pre", { tabindex: "0", "aria-label": "Result" }, job.result)))),
    job.failed_attempts.length ? section("Failed attempts", job.failed_attempts.map((one) => h("div", { class: "attempt" },
      h("h3", {}, `Attempt ${one.attempt}: ${[one.type, one.message].filter(Boolean).join(": ")} `, h("span", { class: "quiet" }, `(${one.reason}, `, when(one.failed_at), ")")),
      one.traceback ? h("pre", { tabindex: "0", "aria-label": `Traceback of attempt ${one.attempt}` }, one.traceback) : null))) : null,
    job.graph ? section("Workflow", graph(job.graph, job.id), job.graph.is_cut ? h("p", { class: "quiet" }, "There are more; those nearest are drawn.") : null) : null,
    job.steps.length ? table("Finished steps", [["step", "break", (step) => step.name], ["attempt", "n", (step) => step.attempt], ["finished", "when", (step) => when(step.at)], ["result", "code break", (step) => step.result]], job.steps, "") : null,
    job.log.length ? table("Log", [["at", "when", (line) => when(line.at)], ["attempt", "n", (line) => line.attempt], ["text", "code break", (line) => line.text]], job.log, "") : null,
  ];
}
async function schedulesPage() {
  const found = await ask("data/schedules");
  return [h("h1", {}, "Schedules"), table("All schedules", [
    ["name", "break", (one) => one.name],
    ["task", "break wide", (one) => one.task],
    ["fires", "code", (one) => one.fires],
    ["next", "when", (one) => (one.paused_at ? h("span", { class: "cancelled" }, "paused") : one.lost_at ? h("span", { class: "failed" }, "no task declares it any more") : when(one.next_at))],
    ["last", "when wide", (one) => when(one.last_at)],
    ["last job", "n wide", (one) => (one.last_job ? jobLink(one.last_job) : "–")],
    ["", "act", (one) => [button("run", { schedule: one.name }), " ", button(one.paused_at ? "resume" : "pause", { schedule: one.name })]],
  ], found.schedules, "There are no schedules.")];
}

// --- showing ---

const PAGES = [[/^\/$/, overviewPage, "Overview"], [/^\/jobs$/, jobsPage, "Jobs"], [/^\/jobs\/(\d{1,18})$/, jobPage, "Job"], [/^\/schedules$/, schedulesPage, "Schedules"]];
let turn = 0, shown = null; // which page is there

/** Show the page that the address names; on the same page the focus, and what was typed, stay. */
async function show() {
  const address = location.hash, mine = ++turn, [path, query] = (address.slice(1) || "/").split("?");
  const [pattern, page, title] = PAGES.find(([each]) => each.test(path)) || PAGES[0];
  if (!session.reads) return;
  let content;
  try {
    content = await page(new URLSearchParams(query || ""), ...(path.match(pattern) || []).slice(1));
  } catch (error) {
    content = [h("h1", {}, title), h("p", { class: "wrong" }, error.message)];
  }
  if (mine !== turn) return; // a newer one is on its way
  const isFirst = shown === null, isNew = address !== shown;
  shown = address;
  if (!isNew && (isBusy() || !getSelection().isCollapsed)) return;
  const focused = document.activeElement.id;
  $("main").replaceChildren(...content.flat().filter(Boolean));
  document.title = `${path === "/" ? "litequeue" : title + (path.match(/\d+/) ? ` ${path.match(/\d+/)[0]}` : "")} · litequeue`;
  for (const link of document.querySelectorAll("header nav a"))
    if (link.hash === (path.startsWith("/jobs") ? "#/jobs" : `#${path}`)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  if (isNew && !isFirst) $("main").focus();
  else if (focused) $(focused)?.focus();
}
/** Whether somebody is typing a filter, or is asked something. */
const isBusy = () => document.activeElement.closest("form") !== null || document.querySelector("dialog[open]") !== null;

function watch() {
  const events = new EventSource("events");
  const pulse = (text, isLive) => { $("pulse").textContent = text; $("pulse").classList.toggle("live", isLive); };
  events.addEventListener("look", (event) => {
    look = JSON.parse(event.data);
    skew = Date.parse(look.now) - Date.now();
    pulse("live", true);
    show();
  });
  events.addEventListener("trouble", (event) => { pulse("trouble", false); say(JSON.parse(event.data).error, true); });
  events.addEventListener("error", () => {
    pulse("not connected", false);
    if (events.readyState === EventSource.CLOSED) setTimeout(() => poll().finally(watch), 5000); // it does not come back by itself
  });
}
/** Where no stream is to be had, a look now and then. */
async function poll() {
  look = await ask("data/overview");
  await show();
}
async function begin() {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(null, "", location.pathname + "#/");
  await meet();
  if (token && !session.acts) await enter(decodeURIComponent(token));
  while (!session.reads) await enter();
  await show();
  watch();
}
addEventListener("hashchange", () => { say(""); show(); });
addEventListener("resize", () => show());
$("enter").addEventListener("click", () => enter().then(() => show()));
$("leave").addEventListener("click", async () => { await ask("leave", {}); location.reload(); });
$("never").addEventListener("click", () => $("signing").close());
begin();

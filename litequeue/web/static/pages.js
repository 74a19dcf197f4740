// The pages: each asks for what it shows and returns elements. `tools` are what acts and asks.

import { age, code, count, h, link, name, number, section, span, state, table, when } from "./elements.js";
import { graph, latency, spark, throughput } from "./plots.js";

const STATES = ["ready", "scheduled", "blocked", "running", "failed", "completed", "cancelled"];
const FINAL = ["completed", "failed", "cancelled"];
const ROOMY = 930; // pixels, above which two things stand side by side

const jobLink = (id) => link(`/jobs/${id}`, `job-${id}`, String(id));
const jobsOf = (kind, value, id, ...content) => link(`/jobs?${new URLSearchParams({ [kind]: value })}`, id, content);

// --- the file ---

export async function overview({ button, look }) {
  const found = await look();
  const page = Math.min(innerWidth, 1240) - (innerWidth > 700 ? 48 : 28);
  const width = Math.max(260, (innerWidth > ROOMY ? (page - 16) / 2 : page) - 36);
  const workers = `${number(found.workers_alive)} ${found.workers_alive === 1 ? "worker" : "workers"} alive`;
  return [
    h("h1", {}, name(found.file), h("span", { class: "quiet" }, workers)),
    found.alarms.length > 0 && h("ul", { class: "alarms", "aria-label": "What is unhealthy" },
      found.alarms.map((alarm) => h("li", {}, alarm.text))),
    h("dl", { class: "figures" }, STATES.map((each) => figure(each, found.queues))),
    h("div", { class: "pair" }, throughput(found.minutes, width), latency(found.minutes, width)),
    queues(found.queues, button),
    found.more_queues > 0 && h("p", { class: "quiet" }, `and ${number(found.more_queues)} more queues`),
    workersTable(found.workers),
  ];
}

function figure(each, queues) {
  const many = queues.reduce((total, queue) => total + queue.counts[each], 0);
  return h("div", {},
    h("dt", {}, jobsOf("state", each, `all-${each}`, each)),
    h("dd", { class: each === "failed" && many > 0 && "failed" }, number(many)));
}

function queues(found, button) {
  const counted = (each, kind) => [each, `n ${kind}`, (queue) => count(queue.counts[each], each === "failed" && each)];
  return table("Queues", [
    ["queue", "break", (queue) => [
      jobsOf("queue", queue.queue, `queue-${queue.queue}`, name(queue.queue)),
      queue.paused && h("span", { class: "mark cancelled" }, " paused")]],
    counted("ready", ""), counted("scheduled", "wide"), counted("blocked", "wide"), counted("running", ""),
    counted("failed", ""),
    ["oldest ready", "n wide", (queue) => span(queue.oldest_ready_seconds)],
    ["wait p95", "n wide", (queue) => span(queue.last_hour.wait_p95_seconds)],
    ["run p95", "n wide", (queue) => span(queue.last_hour.run_p95_seconds)],
    ["last hour", "wide", (queue) => spark(queue.ended_by_minute)],
    ["", "act", (queue) => button(queue.paused ? "resume" : "pause", "queue", queue.queue)],
  ], found, "There is no job yet.");
}

function workersTable(found) {
  const runs = (job, place) => [
    place > 0 && ", ",
    link(`/jobs/${job.id}`, `runs-${job.id}`, `${job.id} `, name(job.task)),
    job.started_at && ` ${span(Math.max(0, age(job.started_at)))}`];
  const condition = (worker) => !worker.alive ? state("dead", "failed")
    : worker.stopping ? state("stopping", "cancelled") : state("alive", "completed");
  return table("Workers", [
    ["name", "break", (worker) => name(worker.name)],
    ["state", "", condition],
    ["queues", "cut wide", (worker) => worker.queues.join(", ")],
    ["busy", "n", (worker) => `${worker.running} of ${worker.threads}`],
    ["runs", "break", (worker) => worker.jobs.slice(0, 8).map(runs)],
    ["seen", "when wide", (worker) => when(worker.seen_at)],
  ], found, "No worker has signed on.");
}

// --- jobs ---

export async function jobs({ ask }, query) {
  const found = await ask(`data/jobs?${query}`);
  const older = new URLSearchParams(query), newest = new URLSearchParams(query);
  older.set("after", found.next);
  newest.delete("after");
  const whole = (text) => h("span", { title: text }, text);
  return [
    h("h1", {}, "Jobs"),
    filters(query),
    table("Newest first", [
      ["id", "n", (job) => jobLink(job.id)],
      ["state", "", (job) => state(job.state)],
      ["task", "break", (job) => name(job.task)],
      ["arguments", "cut code wide", (job) => whole(job.arguments)],
      ["queue", "cut wide", (job) => job.queue],
      ["when", "when", (job) => when(job.state === "running" ? job.started_at : job.finished_at ?? job.run_at)],
      ["tags", "cut wide", (job) => job.tags.join(", ")],
      ["note", "cut wide", (job) => whole(job.note)],
    ], found.jobs, "No job matches."),
    h("nav", { class: "buttons", "aria-label": "Pages of jobs" },
      query.has("after") && link(`/jobs?${newest}`, "newest", "Newest"),
      found.next && link(`/jobs?${older}`, "older", "Older")),
  ];
}

function filters(query) {
  const value = (key) => query.get(key) ?? "";
  const field = (key) => h("label", {}, key,
    h("input", { name: key, id: `filter-${key}`, value: value(key), class: key, autocomplete: "off" }));
  const submit = (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].filter(([, text]) => text.trim());
    document.activeElement.blur();
    location.hash = `#/jobs?${new URLSearchParams(given)}`;
  };
  return h("form", { class: "filters", role: "search", "aria-label": "Jobs", onsubmit: submit },
    h("label", {}, "state", h("select", { name: "state", id: "filter-state" },
      h("option", { value: "" }, "any"),
      STATES.map((each) => h("option", { selected: value("state") === each }, each)))),
    ["queue", "task", "tag", "error"].map(field),
    h("button", { class: "main", id: "filter" }, "Show"));
}

export async function job({ ask, button }, query, id) {
  const found = await ask(`data/jobs/${id}`);
  return [
    h("h1", {}, `Job ${found.id} `, state(found.state), h("span", { class: "quiet" }, name(found.task))),
    h("div", { class: "buttons" },
      ["failed", "cancelled"].includes(found.state) && button("retry", "job", found.id),
      !FINAL.includes(found.state) && button("cancel", "job", found.id, `Cancel job ${found.id}?`),
      found.state !== "running" &&
        button("delete", "job", found.id, `Delete job ${found.id} and all that is stored about it?`)),
    h("div", { class: "pair" },
      section("Now", h("p", {}, found.explanation[0].toUpperCase(), found.explanation.slice(1)), facts(found)),
      h("div", {},
        section("Arguments", code("Arguments", found.arguments)),
        found.result !== null && section("Result", code("Result", found.result)))),
    found.failed_attempts.length > 0 && section("Failed attempts", found.failed_attempts.map(attempt)),
    found.graph && graph(found.graph, found.id),
    found.steps.length > 0 && table("Finished steps", [
      ["step", "break", (step) => step.name],
      ["attempt", "n", (step) => step.attempt],
      ["finished", "when wide", (step) => when(step.at)],
      ["result", "code break", (step) => step.result]], found.steps),
    found.log.length > 0 && table("Log", [
      ["at", "when", (line) => when(line.at)],
      ["attempt", "n wide", (line) => line.attempt],
      ["text", "code break", (line) => line.text]], found.log),
  ];
}

/** What there is to say of a job in a word or two each. */
function facts(job) {
  const seconds = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;
  const attempts = [job.attempt, job.failures && `${job.failures} failed`, job.crashes && `${job.crashes} crashed`];
  const share = job.progress !== null && [
    h("progress", { value: job.progress, max: 1, "aria-label": "progress" }), ` ${Math.round(job.progress * 100)} % `];
  const said = [
    ["queue", jobsOf("queue", job.queue, "its-queue", name(job.queue))],
    ["priority", job.priority], ["tags", job.tags.join(", ")], ["meta", job.meta], ["options", job.options],
    ["unique", job.unique_key], ["limit", job.limit_key], ["schedule", job.schedule],
    ["created", when(job.created_at)],
    ["due", job.run_at !== job.created_at && when(job.run_at)],
    ["started", job.started_at && when(job.started_at)],
    ["finished", job.finished_at && when(job.finished_at)],
    ["took", job.started_at && job.finished_at && span(Math.max(0, seconds(job.started_at, job.finished_at)))],
    ["expires", job.expires_at && when(job.expires_at)],
    ["worker", job.worker],
    ["attempts", job.attempt && attempts.filter(Boolean).join(", ")],
    ["progress", (share || job.progress_text) && [share, job.progress_text]],
  ];
  return h("dl", { class: "facts" },
    said.filter(([, value]) => value).map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

function attempt(failed) {
  const what = [failed.type, failed.message].filter(Boolean).join(": ");
  return h("div", { class: "attempt" },
    h("h3", {}, `Attempt ${failed.attempt}: ${what} `,
      h("span", { class: "quiet" }, `(${failed.reason}, `, when(failed.failed_at), ")")),
    failed.traceback && code(`Traceback of attempt ${failed.attempt}`, failed.traceback));
}

// --- errors and schedules ---

export async function errors({ ask, button }) {
  const found = await ask("data/errors");
  return [h("h1", {}, "Errors"), table("By what was raised and where", [
    ["error", "break", (one) => one.type ? jobsOf("error", one.error, `error-${one.error}`, name(one.type)) : name("unknown")],
    ["place", "break", (one) => name(one.place)],
    ["attempts", "n", (one) => number(one.attempts)],
    ["jobs failed", "n wide", (one) => count(one.jobs_failed, "failed")],
    ["last", "when wide", (one) => when(one.last_at)],
    ["last message", "cut wide", (one) => h("span", { title: one.message }, one.message)],
    ["", "act", (one) => one.type && one.jobs_failed > 0 &&
      button("retry", "error", one.error, `Retry all ${number(one.jobs_failed)} that failed so?`)],
  ], found.errors, "No attempt has failed.")];
}

export async function schedules({ ask, button }) {
  const found = await ask("data/schedules");
  const next = (one) => one.paused_at ? h("span", { class: "cancelled" }, "paused")
    : one.lost_at ? h("span", { class: "failed" }, "no task declares it any more") : when(one.next_at);
  return [h("h1", {}, "Schedules"), table("All schedules", [
    ["name", "break", (one) => name(one.name)],
    ["task", "break wide", (one) => name(one.task)],
    ["fires", "code", (one) => one.fires],
    ["next", "when", next],
    ["last", "when wide", (one) => when(one.last_at)],
    ["last job", "n wide", (one) => one.last_job ? jobLink(one.last_job) : "–"],
    ["", "act", (one) => [
      button("run", "schedule", one.name), " ",
      button(one.paused_at ? "resume" : "pause", "schedule", one.name)]],
  ], found.schedules, "There are no schedules.")];
}

// What is drawn: the last hour, minute by minute, and the jobs that wait for each other.

import { h, number, s, section, span, wide } from "./elements.js";

const HEIGHT = 150, TOP = 12, LEFT = 52, BELOW = 18, MINUTES = 60;
const ENDS = ["completed", "retried", "failed"];
const LINES = [["wait_p95", "wait"], ["wait_p50", "wait half"], ["run_p95", "run"], ["run_p50", "run half"]];

const at = (instant) =>
  new Date(instant).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** A plot of 60 minutes: ticks are [y, words], `title` says what a minute holds. */
function plot(heading, about, keys, minutes, width, ticks, title, drawn) {
  const each = (width - LEFT) / MINUTES;
  const x = (place) => LEFT + place * each;
  const lines = ticks.map(([y, words]) => [
    s("line", { class: "grid", x1: LEFT, x2: width, y1: y, y2: y }),
    s("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, words)]);
  const times = [0, 15, 30, 45].map((place) => s("text", { x: x(place), y: HEIGHT + 14 }, at(minutes[place].at)));
  const hits = minutes.map((minute, place) =>
    s("rect", { class: "hit", x: x(place), y: 0, width: each, height: HEIGHT },
      s("title", {}, `${at(minute.at)}: ${title(minute)}`)));
  const size = { viewBox: `0 0 ${width} ${HEIGHT + BELOW}`, width, height: HEIGHT + BELOW };
  return section(heading,
    s("svg", { ...size, role: "img", "aria-label": about }, lines, times, drawn(x, each), hits),
    h("ul", { class: "key" }, keys.map(([kind, words]) =>
      h("li", {}, h("i", { class: kind, "aria-hidden": "true" }), words))));
}

/** How many attempts ended in each minute, and as what. */
export function throughput(minutes, width) {
  const most = Math.max(4, ...minutes.map((minute) => sum(ENDS.map((end) => minute[end]))));
  const power = 10 ** Math.floor(Math.log10(most / 2));
  const step = power * [5, 2, 1].find((times) => times * power <= most / 2);
  const y = (value) => HEIGHT - (value / most) * (HEIGHT - TOP);
  const ticks = [0, 1, 2, 3, 4].map((times) => times * step).filter((value) => value <= most)
    .map((value) => [y(value), number(value)]);
  const words = (many) => ENDS.map((end) => `${number(many(end))} ${end}`).join(", ");
  const bar = (x, each) => (minute, place) => {
    let low = 0;
    return ENDS.filter((end) => minute[end]).map((end) => {
      const bottom = y(low), top = y(low += minute[end]);
      const size = { y: top, width: Math.max(1, each - 1.5), height: Math.max(1, bottom - top) };
      return s("rect", { class: end, x: x(place) + 0.75, ...size });
    });
  };
  return plot("Ended per minute", `Ended in the last hour: ${words((end) => sum(minutes.map((one) => one[end])))}`,
    [["completed", "completed"], ["retried", "failed, tried again"], ["failed", "failed"]],
    minutes, width, ticks, (minute) => words((end) => minute[end]), (x, each) => minutes.map(bar(x, each)));
}

/** How long half, and 95 of 100, of the jobs of each minute waited and ran; ten times as long is one step up. */
export function latency(minutes, width) {
  const known = LINES.flatMap(([name]) => minutes.map((minute) => minute[name])).filter((value) => value !== null);
  const low = Math.floor(Math.log10(Math.max(1e-4, Math.min(1e-3, ...known))));
  const high = Math.max(low + 3, Math.ceil(Math.log10(Math.max(1e-3, ...known))));
  const y = (value) => HEIGHT - ((Math.log10(Math.max(10 ** low, value)) - low) / (high - low)) * (HEIGHT - TOP);
  const skip = Math.ceil((high - low) / 4);
  const ticks = Array.from({ length: high - low + 1 }, (_, n) => n).filter((n) => n % skip === 0)
    .map((n) => [y(10 ** (low + n)), span(10 ** (low + n))]);
  const line = (x, each) => ([name, kind]) => {
    const point = (minute, place) => minute[name] === null ? "" :
      `${place && minutes[place - 1][name] !== null ? "L" : "M"}${x(place) + each / 2} ${y(minute[name])}h.01`;
    return s("path", { class: kind, d: minutes.map(point).join("") || "M0 0" });
  };
  const title = (minute) => `wait ${span(minute.wait_p50)}, p95 ${span(minute.wait_p95)}; ` +
    `run ${span(minute.run_p50)}, p95 ${span(minute.run_p95)}`;
  return plot("Wait and run time", "How long jobs waited and ran in each minute of the last hour",
    [["wait", "wait p95"], ["wait half", "wait p50"], ["run", "run p95"], ["run half", "run p50"]],
    minutes, width, ticks, title, (x, each) => LINES.map(line(x, each)));
}

/** The same hour within a table. */
export function spark(values) {
  const most = Math.max(1, ...values), height = 18;
  const about = { role: "img", "aria-label": `${number(sum(values))} ended in the last hour` };
  const bar = (value, place) => value > 0 &&
    s("rect", { x: place * 2, width: 1.5, y: height * (1 - value / most), height: height * value / most });
  return s("svg", { class: "spark", width: 2 * MINUTES, height, ...about }, values.map(bar));
}

// --- workflows ---

const BOX = { width: 180, height: 38 }, COLUMN = 220, ROW = 50;

/** The jobs around one, in columns: each stands right of all that it waits for. */
export function graph(found, here) {
  const column = columns(found), rows = [], place = new Map();
  for (const job of found.jobs) {
    const across = column.get(job.id), down = rows[across] ?? 0;
    rows[across] = down + 1;
    place.set(job.id, { x: across * COLUMN + 2, y: down * ROW + 2 });
  }
  const edge = ([above, below]) => {
    const from = place.get(above), to = place.get(below), middle = BOX.height / 2, bend = 20;
    const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + middle, to.x, to.y + middle];
    return s("path", { class: "edge", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
  };
  const size = { width: rows.length * COLUMN, height: Math.max(...rows.map((many) => many ?? 0)) * ROW };
  return section("Workflow",
    wide("Workflow", s("svg", { ...size, role: "group", "aria-label": "Jobs that wait for each other" },
      found.edges.map(edge), found.jobs.map((job) => box(job, place.get(job.id), job.id === here)))),
    found.is_cut && h("p", { class: "quiet" }, "There are more; those nearest are drawn."));
}

function columns(found) {
  const column = new Map(found.jobs.map((job) => [job.id, 0]));
  for (let round = 0, moved = true; moved && round < found.jobs.length; round++) {
    moved = false;
    for (const [above, below] of found.edges) {
      if (column.get(below) > column.get(above)) continue;
      column.set(below, column.get(above) + 1);
      moved = true;
    }
  }
  return column;
}

function box(job, { x, y }, isHere) {
  const task = job.task.length > 25 ? `…${job.task.slice(-24)}` : job.task;
  const about = { "aria-label": `Job ${job.id}, ${job.task}, ${job.state}`, "aria-current": isHere && "true" };
  return s("a", { href: `#/jobs/${job.id}`, id: `node-${job.id}`, ...about },
    s("g", { class: `node ${job.state}`, transform: `translate(${x} ${y})` },
      s("rect", { ...BOX, rx: 7 }),
      s("text", { x: 10, y: 16 }, task),
      s("text", { x: 10, y: 31 }, `${job.id} · ${job.state}`)));
}

// Elements and words. What comes from the file is only ever text: children are appended as strings, and
// nothing parses HTML.

export const $ = (id) => document.getElementById(id);

/** An HTML element; attributes that are null or false are left out, `onclick` and `onsubmit` are listened to. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element, likewise. */
export const s = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => (child ?? false) !== false));
  return element;
}

/** A part of the page with its heading. */
export const section = (title, ...content) => h("section", {}, h("h2", {}, title), content);

/** A table whose columns are [heading, class, cell of a row]; the first cell heads its row. */
export function table(caption, columns, rows, empty) {
  if (!rows.length) return section(caption, h("p", { class: "quiet" }, empty));
  const heading = ([name, kind]) => h("th", { scope: "col", class: kind }, name);
  const cell = (row) => ([, kind, of], place) =>
    place ? h("td", { class: kind }, of(row)) : h("th", { class: kind, scope: "row" }, of(row));
  return h("section", {}, wide(caption,
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map(heading))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map(cell(row))))))));
}

/** What may be wider than the page; it is scrolled by itself, with the keyboard too. */
export const wide = (name, content) =>
  h("div", { class: "scroll", role: "region", "aria-label": name, id: `scroll-${name}`, tabindex: "0" }, content);

/** Text as a program wrote it. */
export const code = (name, text) => h("pre", { "aria-label": name, id: `code-${name}`, tabindex: "0" }, text);

/** A name, which may be broken behind its punctuation. */
export const name = (text) => text.split(/(?<=[:./-])/).flatMap((part) => [part, h("wbr")]);

export const state = (word, kind = word) => h("span", { class: `state ${kind}` }, word);

export const link = (address, id, ...content) => h("a", { href: `#${address}`, id }, content);

export const number = (value) => value.toLocaleString("en");

/** So many jobs; only what there is stands out. */
export const count = (value, kind) => h("span", { class: value ? kind : "quiet" }, number(value));

// --- times ---

const UNITS = [[1, "s", 100], [60, "min", 6_000], [3_600, "h", 172_800], [86_400, "d", Infinity]];

/** A length of time in its largest fitting unit. */
export function span(seconds) {
  if (seconds === null) return "–";
  if (seconds < 0.001) return "<1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const [unit, word] = UNITS.find(([, , limit]) => seconds < limit);
  const value = seconds / unit;
  return `${seconds < 10 && value % 1 >= 0.05 ? value.toFixed(1) : number(Math.round(value))} ${word}`;
}

/** The server's clock, which alone decides how long ago something was. */
export const clock = { ahead: 0, now: () => Date.now() + clock.ahead };

/** How many seconds ago an instant was. */
export const age = (instant) => (clock.now() - Date.parse(instant)) / 1000;

/** An instant as seen from now; the instant itself is shown to who points at it. */
export function when(instant) {
  if (!instant) return "–";
  const ago = age(instant);
  const words = Math.abs(ago) < 1 ? "now" : ago > 0 ? `${span(ago)} ago` : `in ${span(-ago)}`;
  return h("time", { datetime: instant, title: instant }, words);
}

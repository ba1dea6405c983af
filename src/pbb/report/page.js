"use strict";
/* The browser of predictions. Texts come from models and programs: they enter the page by textContent only, never as HTML. */
(() => {
  const byId = (id) => document.getElementById(id);
  const { flags: FLAGS, texts, columns } = JSON.parse(byId("data").textContent);
  const { groups, orders } = JSON.parse(byId("labels").textContent);
  const TEXTS = ["arm", "group", "split", "ask", "program", "ops", "source", "prompt", "generation", "call", "expected", "planted", "parsed"];
  const all = columns.flags.map((bits, i) => {
    const row = { i, seed: columns.seed[i], length: columns.length[i], tokens: columns.tokens[i] };
    for (const name of TEXTS) row[name] = columns[name][i] < 0 ? null : texts[columns[name][i]];
    FLAGS.forEach((name, n) => { const state = (bits >> (2 * n)) & 3; row[name] = state === 2 ? null : state === 1; });
    return row;
  });
  const make = (tag, text, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    if (text !== null) node.textContent = text;
    node.append(...children);
    return node;
  };
  const say = (name, value) => (name === "group" ? groups[value] || value : name === "split" && value === "none" ? "no inputs" : String(value));
  const place = (name, value) => (orders[name].includes(value) ? orders[name].indexOf(value) : orders[name].length);
  const distinct = (name, rows) => {
    const values = [...new Set(rows.map((row) => row[name]))];
    if (name in orders) values.sort((a, b) => place(name, a) - place(name, b));
    if (name === "length" || name === "seed") values.sort((a, b) => a - b);
    return values;
  };
  const mark = (row) => (row.correct ? "✓" : row.ask !== "recall" && row.parsed === null ? "∅" : "✗");
  const tone = (row) => (row.correct ? "ok" : "bad");
  const title = (row) => row.call || row.program;

  const form = byId("filters"), list = byId("rows"), more = byId("more"), detail = byId("detail"), PAGE = 60;
  let found = [], drawn = 0, current = -1;

  for (const name of ["arm", "ask", "group", "split", "length", "seed"]) {
    const values = distinct(name, all);
    const select = form.elements.namedItem(name); // elements.length is a number
    select.append(make("option", "all", { value: "" }), ...values.map((v) => make("option", say(name, v), { value: String(v) })));
    if (values.length < 2) select.parentElement.hidden = true;
  }

  const OUTCOMES = {
    right: (row) => row.correct, wrong: (row) => !row.correct, planted: (row) => row.planted_correct,
    unparsed: (row) => row.ask !== "recall" && row.parsed === null, unrecalled: (row) => row.recalled === false,
  };
  for (const option of [...form.elements.outcome.options]) if (option.value && !all.some(OUTCOMES[option.value])) option.remove();

  const button = (row) => {
    const item = make("button", null, { type: "button" },
      make("span", mark(row), { className: tone(row) }), make("span", title(row), { className: "call" }),
      make("span", row.ask === "recall" ? "" : row.parsed ?? "no answer", { className: "said" }),
      make("span", `${row.arm} · ${row.ask} · ${say("group", row.group)}`, { className: "cell" }));
    item.setAttribute("aria-label", `${title(row)}, ${row.arm}, ${row.ask}, ${row.correct ? "right" : "wrong"}`);
    item.dataset.i = row.i;
    return make("li", null, {}, item);
  };
  const extend = () => {
    list.append(...found.slice(drawn, drawn + PAGE).map(button));
    drawn = Math.min(found.length, drawn + PAGE);
    more.hidden = drawn >= found.length;
  };
  const filter = () => {
    const want = Object.fromEntries(new FormData(form));
    const text = want.text.trim().toLowerCase();
    found = all.filter((row) =>
      ["arm", "ask", "group", "split", "length", "seed"].every((name) => !want[name] || String(row[name]) === want[name]) &&
      (!want.outcome || OUTCOMES[want.outcome](row)) &&
      (!text || `${row.program}\n${row.call}\n${row.source}`.toLowerCase().includes(text)));
    list.replaceChildren(); list.scrollTop = 0; drawn = 0; extend();
    const right = found.filter((row) => row.correct).length;
    byId("tally").textContent = found.length ? `${found.length} match, ${right} of them right (${Math.round((100 * right) / found.length)} %)` : "None fits these filters.";
    if (found.length) show(found.some((row) => row.i === current) ? current : found[0].i); else detail.replaceChildren();
  };

  const TOKEN = /(#[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\b\d[\w.]*)|\b(def|return|if|elif|else|for|while|in|not|and|or|is|lambda|class|import|from|as|with|try|except|raise|yield|break|continue|pass|assert|None|True|False)\b/g;
  const code = (text) => {
    const pre = make("pre", null, { tabIndex: 0 });
    let end = 0;
    for (const match of text.matchAll(TOKEN)) {
      pre.append(text.slice(end, match.index), make("span", match[0], { className: match[1] ? "c" : match[2] ? "l" : "k" }));
      end = match.index + match[0].length;
    }
    pre.append(text.slice(end));
    return pre;
  };
  const matrix = (row) => {
    const same = all.filter((other) => other.program === row.program && other.seed === row.seed && (other.call === row.call || other.ask === "recall" || row.ask === "recall") && (other.split === row.split || other.ask === "recall" || row.ask === "recall"));
    const arms = distinct("arm", same), asks = distinct("ask", same);
    if (same.length < 2) return null;
    const line = (arm) => make("tr", null, {}, make("th", arm, { scope: "row" }), ...asks.map((ask) => {
      const other = same.find((o) => o.arm === arm && o.ask === ask);
      if (!other) return make("td", "");
      const go = make("button", mark(other), { type: "button", className: tone(other) });
      go.setAttribute("aria-label", `${arm}, ${ask}: ${other.correct ? "right" : "wrong"}`);
      if (other.i === row.i) go.setAttribute("aria-current", "true");
      go.addEventListener("click", () => { show(other.i); detail.focus(); });
      return make("td", null, {}, go);
    }));
    return make("table", null, { className: "matrix" },
      make("thead", null, {}, make("tr", null, {}, make("td", ""), ...asks.map((ask) => make("th", ask, { scope: "col" })))),
      make("tbody", null, {}, ...arms.map(line)));
  };
  const heading = (words, note) => make("h4", `${words} `, {}, make("small", note || ""));
  const verdict = (row) => {
    if (row.ask === "recall") return row.correct ? "Right: it wrote the source exactly." : row.recalled_form ? "Wrong, but equal up to formatting." : "Wrong: this is not the source.";
    const notes = [row.correct ? "Right" : row.parsed === null ? "Wrong: no answer could be read" : row.lenient ? "Wrong by type, right by value" : "Wrong"];
    if (row.recalled !== null) notes.push(row.recalled ? "source recalled exactly" : row.recalled_form ? "source recalled up to formatting" : "source not recalled");
    if (row.planted !== null && row.planted_correct) notes.push("agrees with the planted program");
    if (row.finished === false) notes.push("cut off at the limit");
    return `${notes.join("; ")}.`;
  };
  function show(i) {
    const row = all[i];
    current = i;
    for (const item of list.querySelectorAll("button")) item.dataset.i === String(i) ? item.setAttribute("aria-current", "true") : item.removeAttribute("aria-current");
    const parts = [make("h3", title(row)), make("p", null, { className: "says" }, make("b", `${mark(row)} ${verdict(row)}`, { className: tone(row) }))];
    if (row.ask !== "recall") {
      const answer = make("p", null, { className: "says" }, "Truth ", make("code", row.expected), ", model ", make("code", row.parsed ?? "no answer"));
      if (row.planted !== null) answer.append(", planted program ", make("code", row.planted));
      parts.push(answer);
    }
    const tags = [row.arm, `asked ${row.ask}`, `${say("group", row.group)}`, row.split === "none" ? "" : `${row.split} input`, `length ${row.length}`, row.ops ? row.ops.replaceAll(",", ", ") : "", `${row.tokens} tokens`, `seed ${row.seed}`];
    parts.push(make("p", tags.filter(Boolean).join(" · "), { className: "tags" }));
    const given = row.ask.startsWith("in-context");
    parts.push(heading("Source", given ? "shown in the prompt" : "not shown with this question"), code(row.source));
    if (row.ask === "recall" && row.planted !== null) parts.push(heading("Planted source", "what stage 2 taught under this name"), code(row.planted));
    parts.push(heading("Prompt"), make("pre", row.prompt, { tabIndex: 0 }));
    parts.push(heading("What the model wrote", row.generation ? "" : "nothing"), make("pre", row.generation, { tabIndex: 0, className: "written" }));
    const table = matrix(row);
    if (table) parts.push(heading(row.ask === "recall" ? "This program, asked every way" : "This call, asked every way"), table);
    detail.replaceChildren(...parts);
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", extend);
  list.addEventListener("click", (event) => { const item = event.target.closest("button"); if (item) show(Number(item.dataset.i)); });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const item = event.target.closest("li");
    if (!step || !item) return;
    event.preventDefault();
    if (step > 0 && !item.nextElementSibling && !more.hidden) extend();
    const next = step > 0 ? item.nextElementSibling : item.previousElementSibling;
    if (next) { next.firstElementChild.focus(); show(Number(next.firstElementChild.dataset.i)); }
  });
  byId("browser").hidden = false;
  const start = { group: "source_only", split: "test", ask: "recite" };
  if (all.some((row) => Object.entries(start).every(([name, value]) => row[name] === value)))
    for (const [name, value] of Object.entries(start)) form.elements.namedItem(name).value = value;
  filter();
})();

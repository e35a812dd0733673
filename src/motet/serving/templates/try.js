"use strict";
const at = (id) => document.getElementById(id);
const shows = 12;
let tasks = {};

function made(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

async function ask(path, body) {
  const headers = {};
  if (at("token").value) headers.Authorization = "Bearer " + at("token").value;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  const found = await response.json();
  if (!response.ok) throw Object.assign(new Error(found.error), { hint: found.hint, status: response.status });
  return found;
}

async function learn() {
  try {
    const info = await ask("/info");
    tasks = info.tasks;
    at("name").textContent = info.model ? "Try " + info.model : "Try the model";
    const all = Object.values(tasks);
    const reads = (task) => task.reads.length;
    at("pair").classList.toggle("hidden", !all.some((task) => reads(task) === 2 && !task.ranks));
    at("ranks").classList.toggle("hidden", !all.some((task) => task.ranks));
    at("tasks").classList.remove("hidden");
    at("tasks").replaceChildren(made("legend", "Tasks"), ...Object.entries(tasks).map(choice));
    at("answers").replaceChildren();
  } catch (error) {
    if (error.status === 401) at("locked").classList.remove("hidden");
    if (error.status !== 401 || at("token").value) complain(error);
  }
}

function choice([name, task]) {
  const label = made("label");
  const box = made("input");
  box.type = "checkbox";
  box.checked = true;
  box.value = name;
  label.append(box, name, made("small", task.answer));
  return label;
}

function wanted() {
  const second = at("second").value;
  const candidates = at("candidates").value.split("\n").filter((line) => line.trim());
  const text = at("text").value;
  const chosen = [...at("tasks").querySelectorAll("input:checked")].map((box) => box.value);
  const of = (fits) => chosen.filter((name) => fits(tasks[name]));
  const found = [[text, of((task) => task.reads.length === 1)]];
  if (second) found.push([[text, second], of((task) => task.reads.length === 2 && !task.ranks)]);
  if (candidates.length) found.push([{ query: text, candidates }, of((task) => task.ranks)]);
  return found.filter(([, names]) => names.length);
}

async function answer(event) {
  event.preventDefault();
  at("go").disabled = true;
  try {
    if (!Object.keys(tasks).length) await learn();
    const asked = wanted();
    if (!asked.length) throw Object.assign(new Error("No chosen task reads this."), { hint: "Choose a task that fits what is filled in." });
    const found = await Promise.all(asked.map(([input, names]) => ask("/predict", { inputs: [input], tasks: names })));
    const cut = found.some((of) => of.truncated);
    const cards = found.flatMap((of) => Object.entries(of.answers[0])).map(card);
    at("answers").replaceChildren(...(cut ? [made("p", "The text is longer than the model reads; its beginning was read.")] : []), ...cards);
  } catch (error) {
    complain(error);
  } finally {
    at("go").disabled = false;
  }
}

function card([name, found]) {
  const section = made("section");
  section.dataset.task = name;
  section.append(made("h2", name), ...shown(found));
  return section;
}

function shown(found) {
  if (found.tags) return [words(at("text").value.split(/\s+/).filter(Boolean), found.tags)];
  if (found.ranked) return [ranked(found.ranked)];
  const said = found.labels ? found.labels.join(", ") || "no label" : String(found.label ?? found.text ?? Number((found.value ?? found.score).toPrecision(4)));
  if ("margin" in found) return [made("p", found.text || "no answer in the text", "said")];
  return [made("p", said, "said"), ...(found.scores ? [chances(found.scores)] : [])];
}

function chances(scores) {
  const list = made("dl", undefined, "chances");
  const rows = Object.entries(scores).sort((a, b) => b[1] - a[1]).slice(0, shows);
  for (const [label, chance] of rows) {
    const meter = made("meter");
    meter.value = chance;
    meter.setAttribute("aria-label", label);
    const bar = made("dd");
    bar.append(meter);
    list.append(made("dt", label), bar, made("dd", (100 * chance).toFixed(1) + " %", "number"));
  }
  return list;
}

function words(texts, tags) {
  const list = made("ul", undefined, "words");
  texts.forEach((text, place) => {
    const tag = tags[place] ?? "not read";
    const item = made("li", text, tag === "O" || place >= tags.length ? "" : "named");
    item.append(made("small", tag));
    list.append(item);
  });
  return list;
}

function ranked(candidates) {
  const list = made("ol");
  for (const { candidate, score } of candidates) {
    const item = made("li", candidate + " ");
    item.append(made("span", score.toFixed(3), "number"));
    list.append(item);
  }
  return list;
}

function complain(error) {
  const box = made("div", undefined, "wrong");
  box.append(made("p", error.message), made("p", error.hint ?? ""));
  at("answers").replaceChildren(box);
}

at("form").addEventListener("submit", answer);
at("token").addEventListener("change", learn);
learn();

"use strict";
const at = (id) => document.getElementById(id);

async function show(event) {
  event.preventDefault();
  try {
    const response = await fetch(location.pathname, { headers: { Authorization: "Bearer " + at("token").value } });
    if (!response.ok) throw await response.json();
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    document.body.replaceChildren(...page.body.children);
  } catch (problem) {
    const line = (text) => Object.assign(document.createElement("p"), { textContent: text });
    const box = Object.assign(document.createElement("div"), { className: "wrong" });
    box.append(line(problem.error ?? problem.message), line(problem.hint ?? ""));
    at("told").replaceChildren(box);
  }
}

at("form").addEventListener("submit", show);

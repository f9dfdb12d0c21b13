// The columns of a file, each with its values, what it means, and what was noted or is wrong about it: a form that writes a
// schema.

import { h, show } from "../dom.js";
import { count, plural } from "../format.js";
import { check, field, select } from "../parts.js";
import { SET_APART } from "./schema-draft.js";

const ROLES = [
  ["", "None"], ["id", "Customer’s id"], ["label", "Label: who left"], ["as_of", "Date of the row"], ["email", "E-mail address"], ["start", "Start of the subscription"],
  ["end", "End of the subscription"], ["end_reason", "Reason of the end"], ["price", "Price a month"], ["plan", "Plan"], ["currency", "Currency"],
  ["contract_end", "End of the contract"], ["auto_renew", "Auto-renew"],
];
const USES = [["number", "A number"], ["category", "A category"], ["out", "Not at all"]];
const DIRECTIONS = [["none", "Either"], ["up", "Up: larger values, higher score"], ["down", "Down: larger values, lower score"]];
const MANY = 8;
const SHOWN_PROBLEMS = 3;

/** The form of a draft; `problems` puts messages beside the columns that they are about, and `focus` goes to one. */
export function schemaForm(draft) {
  const rows = new Map();
  const state = { problems: new Map(), find: "", onlyNoted: false };
  const list = h("div", { class: "schema-columns" });
  const tally = h("p", { class: "fine", role: "status" });
  const form = { root: h("div", { class: "panel-body", id: "schema-form" }, tools(), tally, list), redraw, problems, focus };
  redraw();
  return form;

  function tools() {
    const find = h("input", { type: "search", oninput: () => { state.find = find.value.toLowerCase(); filter(); } });
    const noted = check("Only columns with a note or a problem", { onchange: (event) => { state.onlyNoted = event.target.checked; filter(); } });
    return draft.columns.length > MANY && h("div", { class: "form" }, field("Find a column", find), noted.root);
  }

  function redraw() {
    for (const column of draft.columns) rows.set(column.name, drawColumn(draft, column, state.problems.get(column.name), changed));
    show(list, [...rows.values()]);
    filter();
  }

  function changed(names) {
    const key = document.activeElement?.dataset?.key;
    const owner = document.activeElement?.closest("fieldset")?.dataset.column;
    for (const name of names) {
      const column = draft.columns.find((each) => each.name === name);
      if (!column) continue;
      const row = drawColumn(draft, column, state.problems.get(name), changed);
      rows.get(name).replaceWith(row);
      rows.set(name, row);
    }
    if (key && names.includes(owner)) rows.get(owner).querySelector(`[data-key="${key}"]`)?.focus();
    filter();
  }

  function filter() {
    for (const { name, notes } of draft.columns) {
      const isNoted = notes.length > 0 || state.problems.has(name);
      rows.get(name).hidden = !name.toLowerCase().includes(state.find) || (state.onlyNoted && !isNoted);
    }
    const features = Object.keys(draft.values.features).length;
    const shown = [...rows.values()].filter((row) => !row.hidden).length;
    tally.textContent = `${plural(draft.columns.length, "column")}, of which the model uses ${count(features)}${shown < rows.size ? `; ${count(shown)} shown` : ""}.`;
  }

  function problems(found) {
    const before = state.problems;
    state.problems = found;
    // A row that says the same as before is left alone: somebody may be typing in it.
    changed([...new Set([...before.keys(), ...found.keys()])].filter((name) => String(before.get(name)) !== String(found.get(name))));
  }

  function focus(name) {
    rows.get(name).hidden = false;
    rows.get(name).querySelector("select").focus();
  }
}

/** Messages by the column that each is about, from the details of an answer; `rest` are those about no column. */
export function byColumn(draft, details) {
  const [found, rest] = [new Map(), []];
  for (const { field: place, row, message } of details) {
    const column = draft.columnOf(place);
    const text = row ? `row ${row}: ${message}` : message;
    if (column === null) rest.push(text);
    else found.set(column, [...(found.get(column) ?? []), text]);
  }
  return { found, rest };
}

function drawColumn(draft, column, problems, changed) {
  const { name, notes } = column;
  const about = `about-${draft.names.indexOf(name)}`;
  const role = draft.role(name);
  const isApart = SET_APART.has(role);
  const roles = select(ROLES, role, { "data-key": "role", onchange: (event) => changed(draft.setRole(name, event.target.value)) });
  const uses = select(USES, draft.use(name), { "data-key": "use", disabled: isApart, onchange: (event) => { draft.setUse(name, event.target.value); changed([name]); } });
  for (const each of [roles, uses]) each.setAttribute("aria-describedby", about);
  if (problems) roles.setAttribute("aria-invalid", "true");
  const feature = draft.values.features[name];
  return h("fieldset", { class: problems ? "schema-column wrong" : "schema-column", "data-column": name },
    h("legend", {}, name),
    h("div", { id: about },
      h("p", { class: "fine" }, values(column)),
      notes.map((note) => h("p", { class: "fine noted" }, note)),
      problems && problemList(problems)),
    h("div", { class: "form" }, field("It is", roles), field("The model uses it as", uses),
      feature && text(draft, name, "label", "Label"),
      feature?.kind === "number" && text(draft, name, "unit", "Unit")),
    role === "label" && positives(draft, column),
    feature && more(draft, name));
}

function values({ examples, distinct, blank }) {
  const shown = examples.join(", ") + (distinct > examples.length ? " …" : "");
  return [shown || "No values", `${plural(distinct, "different value")}`, blank > 0 && `${count(blank)} blank`].filter(Boolean).join(" · ");
}

function problemList(problems) {
  const further = problems.length - SHOWN_PROBLEMS;
  return h("ul", {}, problems.slice(0, SHOWN_PROBLEMS).map((each) => h("li", { class: "field-problem" }, each)),
    further > 0 && h("li", { class: "field-problem" }, `and ${count(further)} more`));
}

function text(draft, name, key, label, { type = "text" } = {}) {
  const input = h("input", { type, step: type === "number" ? "any" : null, value: draft.values.features[name][key] ?? "", "data-key": key,
    oninput: () => draft.setKey(name, key, type === "number" && input.value !== "" ? Number(input.value) : input.value) });
  return field(label, input);
}

function flag(draft, name, key, label, unset = false) {
  return check(label, { checked: draft.values.features[name][key] ?? unset, onchange: (event) => draft.setKey(name, key, event.target.checked) }).root;
}

/** Which values of the label mean that the customer left. */
function positives(draft, { examples, distinct }) {
  const given = draft.values.positive ?? [];
  const set = (list) => draft.change((all) => { all.positive = list; });
  if (distinct > examples.length || given.some((each) => !examples.includes(each))) {
    const input = h("input", { value: given.join(", "), "data-key": "positive", oninput: () => set(input.value.split(",").map((each) => each.trim()).filter(Boolean)) });
    return h("div", { class: "form" }, field("Values that mean “left”, with commas between", input));
  }
  const boxes = examples.map((each) => ({ each, box: check(each, { checked: given.includes(each), onchange: () => set(boxes.filter(({ box }) => box.input.checked).map((one) => one.each)) }) }));
  return h("fieldset", {}, h("legend", {}, "These values mean “left”"), h("div", { class: "choices" }, boxes.map(({ box }) => box.root)));
}

/** The other keys of a feature, made when they are opened: a table may have hundreds of columns. */
function more(draft, name) {
  const place = h("div", { class: "form" });
  const root = h("details", { class: "more", ontoggle: () => { if (root.open && !place.childElementCount) show(place, ...moreKeys(draft, name)); } },
    h("summary", {}, "More about it", h("span", { class: "unseen" }, `: ${name}`)), place);
  return root;
}

function moreKeys(draft, name) {
  const isNumber = draft.values.features[name].kind === "number";
  const direction = select(DIRECTIONS, draft.values.features[name].direction ?? "none", { onchange: (event) => draft.setKey(name, "direction", event.target.value) });
  return [
    text(draft, name, "short", "Short name"),
    isNumber && field("Direction of the score", direction),
    isNumber && flag(draft, name, "whole", "Whole numbers only"),
    flag(draft, name, "missing", "Cells may be blank", true),
    flag(draft, name, "known_at_scoring", "Known whenever customers are scored"),
    flag(draft, name, "actionable", "Somebody in the business can change it"),
    text(draft, name, "action", "Recommended action"),
    text(draft, name, "purpose", "Purpose (“aims at …”)"),
    isNumber && text(draft, name, "step", "Step of one action", { type: "number" }),
    text(draft, name, "target", isNumber ? "Target value" : "Value to aim at", { type: isNumber ? "number" : "text" }),
  ];
}

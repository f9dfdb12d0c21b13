// Customers who are chosen in the list, and one change of the worklist for all of them.

import { get, patch } from "../api.js";
import { failure, h, show } from "../dom.js";
import { count, plural } from "../format.js";
import { act, button, check, field, select } from "../parts.js";
import { asked } from "./filters.js";
import { STATUSES } from "./work.js";

const MOST = 1000; // as many as PATCH /api/customers/work takes
const PAGE = 100;
const AS_IT_IS = ["", "As it is"];

/** Keeps the chosen customers, the boxes of the rows and the bar with the change; `onChanged` is called after a change. */
export function makeChoice(page, onChanged) {
  const chosen = new Set();
  const boxes = new Map();
  const said = h("p", { role: "status" });
  const told = h("div", { tabindex: -1 });
  const all = check("Choose all shown", { onchange: () => { for (const [id, box] of boxes) mark(id, (box.checked = all.input.checked)); tell(); } });
  const every = button("", () => chooseEvery());
  const none = button("Choose nobody", () => clear());
  const form = changeForm(page, { chosen, told, again: all.input, onChanged });
  const choices = h("div", { class: "choices" }, all.root, said, every, none);
  const root = h("section", { id: "bulk", "aria-label": "Chosen customers" }, choices, told, form);
  let total = null;

  const mark = (id, isChosen) => (isChosen ? chosen.add(id) : chosen.delete(id));
  function tell() {
    const all_shown = boxes.size > 0 && [...boxes.keys()].every((id) => chosen.has(id));
    all.input.checked = all_shown;
    all.input.indeterminate = !all_shown && chosen.size > 0;
    said.textContent = chosen.size ? `${plural(chosen.size, "customer")} chosen` : "";
    every.hidden = !all_shown || total === null || total <= chosen.size || total > MOST;
    every.textContent = `Choose all ${count(total)} that fit`;
    none.hidden = form.hidden = chosen.size === 0;
    choices.hidden = boxes.size === 0; // not what was told: after a change the list may be empty
  }
  function clear() {
    chosen.clear();
    for (const box of boxes.values()) box.checked = false;
    show(told);
    tell();
    all.input.focus();
  }
  /** Those on further pages too: what is chosen is what was counted, whatever fits later. */
  const chooseEvery = () => act(every, told, async () => {
    let after = null;
    do {
      const wanted = asked(page.query);
      wanted.set("limit", PAGE);
      if (after) wanted.set("after", after);
      const found = await get(`/api/customers?${wanted}`, { signal: page.signal });
      for (const { user_id: id } of found.customers) chosen.add(id);
      after = found.next;
    } while (after && chosen.size < MOST);
    tell();
    none.focus();
  }, failure);

  tell();
  return {
    root,
    /** The box of a row. */
    box(id) {
      const input = h("input", { type: "checkbox", "aria-label": `Choose ${id}`, checked: chosen.has(id), onchange: () => { mark(id, input.checked); tell(); } });
      boxes.set(id, input);
      return input;
    },
    /** The rows are drawn anew: nobody is chosen. */
    reset() { chosen.clear(); boxes.clear(); tell(); },
    /** Rows were added, of a list of so many; null where they are not counted. */
    drawn(number) { total = number; tell(); },
  };
}

function changeForm(page, { chosen, told, again, onChanged }) {
  const status = select([AS_IT_IS, ...STATUSES], "");
  const owner = select([AS_IT_IS, [page.user.id, "Me"], ["nobody", "Nobody"]], "");
  const due = h("input", { type: "date" });
  const note = h("input", { type: "text", maxlength: 1000 });
  const noDue = takeAway("Take the due date away", due), noNote = takeAway("Take the note away", note);
  if (page.isAdmin) get("/api/users?limit=100").then(({ users }) => addPeople(owner, users, page.user.id), () => null); // “Me” is enough
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, told, async () => {
      const done = await patch("/api/customers/work", { customers: [...chosen], ...given({ status, owner, due, note, noDue, noNote }) });
      const same = done.unchanged ? `; ${plural(done.unchanged, "customer")} had these values already` : "";
      event.target.reset();
      await onChanged();
      show(told, h("p", { class: "notice good", role: "status" }, `The worklist of ${plural(done.changed, "customer")} is changed${same}.`));
      (again.checkVisibility() ? again : told).focus();
    }, failure);
  };
  const reset = () => { due.disabled = note.disabled = false; };
  return h("form", { class: "form", hidden: true, onsubmit: submit, onreset: reset, "aria-label": "Change of the worklist" },
    field("Status", status), field("Owner", owner), field("Due on", due), field("Note", note),
    h("div", { class: "choices wide" }, noDue.root, noNote.root),
    h("div", { class: "choices wide" }, h("button", { type: "submit", class: "main" }, "Change the worklist")));
}

const addPeople = (owner, users, me) => owner.append(...users.filter((user) => !user.disabled && user.id !== me).map((user) => h("option", { value: user.id }, user.name)));

/** A box that takes away the value of a field, which then can't be given another. */
const takeAway = (text, input) => check(text, { onchange: (event) => { input.disabled = event.target.checked; } });

/** The fields that were filled in or are taken away; the others stay as they are. */
function given({ status, owner, due, note, noDue, noNote }) {
  return {
    ...(status.value && { status: status.value }),
    ...(owner.value && { owner_id: owner.value === "nobody" ? null : Number(owner.value) }),
    ...textOf("due_on", due, noDue),
    ...textOf("note", note, noNote),
  };
}

function textOf(name, input, none) {
  if (none.input.checked) return { [name]: null };
  return input.value.trim() ? { [name]: input.value.trim() } : {};
}

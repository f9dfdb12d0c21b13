// The worklist of one customer: who looks after it, how far it is, a note and a day; and what these were before.

import { get, patch } from "../api.js";
import { failure, h, panel } from "../dom.js";
import { day, moment, title } from "../format.js";
import { help } from "../frame/help.js";
import { act, button, field, select, table } from "../parts.js";

export const STATUSES = [["to_do", "To do"], ["contacted", "Contacted"], ["snoozed", "Snoozed"], ["saved", "Saved"], ["lost", "Lost"]];
export const workWords = (status) => STATUSES.find(([value]) => value === status)?.[1] ?? (status ? title(status) : "Not on the worklist");

/** The panel for a customer. */
export function workPanel(page, id) {
  const { root, body } = panel("Worklist", { id: "work-panel", wide: true, aside: help("worklist", "Worklist") });
  const path = `/api/customers/${encodeURIComponent(id)}/work`;
  const refresh = () => page.load(body, () => get(path), (found) => draw(page, path, found, refresh));
  refresh();
  return root;
}

function draw(page, path, { work, history }, refresh) {
  return [
    page.mayRun ? form(page, path, work, refresh) : h("p", {}, sentence(work)),
    history.length > 0 && h("details", { class: "more" }, h("summary", {}, `Earlier notes (${history.length})`),
      table("History of the worklist", ["When", "By", "Status", "Owner", "Due", "Note"], history.map((each) =>
        [moment(each.updated_at), each.changed_by ?? "–", workWords(each.status), each.owner ?? "–", day(each.due_on), each.note ?? "–"]))),
  ];
}

function sentence(work) {
  if (!work?.status) return "Not on the worklist.";
  return [workWords(work.status), work.owner && `owner ${work.owner}`, work.due_on && `due ${day(work.due_on)}`, work.note].filter(Boolean).join("; ");
}

function form(page, path, work, refresh) {
  const status = select([["", "Not on the worklist"], ...STATUSES], work?.status ?? "");
  const due = h("input", { type: "date", value: work?.due_on ?? "" });
  const note = h("input", { type: "text", maxlength: 1000, value: work?.note ?? "" });
  const problem = h("div", {});
  const save = (event, owner) => act(event.submitter ?? event.target, problem, async () => {
    await patch(path, { status: status.value || null, due_on: due.value || null, note: note.value.trim() || null, ...(owner === undefined ? {} : { owner_id: owner }) });
    await refresh();
  }, failure);
  const isMine = work?.owner_id === page.user.id;
  return h("form", { class: "form", onsubmit: (event) => { event.preventDefault(); save(event); } },
    field("Status", status), field("Due on", due), field("Note", note, { wide: true }),
    h("div", { class: "choices wide" },
      h("button", { type: "submit", class: "main" }, "Save"),
      h("span", { class: "note" }, work?.owner ? `Owner: ${work.owner}` : "No owner"),
      button(isMine ? "Give it up" : "Take it", (event) => save(event, isMine ? null : page.user.id))),
    problem);
}

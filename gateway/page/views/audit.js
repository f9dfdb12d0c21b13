// The audit log: who did what, newest first. For administrators.

import { get } from "../api.js";
import { h, panel } from "../dom.js";
import { moment } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { button, field, table } from "../parts.js";

export const view = {
  open(page) {
    const list = panel("Audit log", { id: "audit", wide: true, note: "Newest first; times are in your zone." });
    const action = h("input", { type: "search", value: page.query.get("action") ?? "", placeholder: "key.revoked" });
    const since = h("input", { type: "date", value: page.query.get("since") ?? "" });
    const refresh = () => {
      const wanted = new URLSearchParams([...page.query].filter(([key]) => ["action", "since", "after"].includes(key)));
      wanted.set("limit", 50);
      return page.load(list.body, () => get(`/api/audit?${wanted}`), (found) => draw(page, found));
    };
    const submit = (event) => { event.preventDefault(); page.go({ action: action.value.trim(), since: since.value, after: null }); };
    refresh();
    return {
      root: h("div", { class: "page" }, heading("Audit log"),
        h("form", { class: "form", onsubmit: submit }, field("Action", action), field("Since", since), h("div", { class: "choices" }, h("button", { type: "submit", class: "quiet" }, "Show"))), list.root),
      refresh,
    };
  },
};

function draw(page, { entries, next }) {
  if (!entries.length) return empty("Nothing is recorded that fits.");
  return [
    table("Audit log", ["When", "Who", "Action", "On", "Request"], entries.map((each) => [
      moment(each.at), each.user_id ? `${each.actor} ${each.user_id}${each.key_id ? `, key ${each.key_id}` : ""}` : each.actor, each.action, each.subject ?? "–", h("code", {}, each.request_id ?? "–")])),
    next && button("Older entries", () => page.go({ after: next })),
  ];
}

// Campaigns: a frozen list, half of it drawn at random to be left alone, so that the effect can be measured.

import { get, post, result } from "../api.js";
import { failure, h, panel, show } from "../dom.js";
import { count, day } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { help } from "../frame/help.js";
import { address } from "../frame/router.js";
import { act, button, field, select, table } from "../parts.js";
import { drawSize, labelOf } from "./campaign.js";

export const view = {
  open(page) {
    const list = panel("Made so far", { id: "campaigns", wide: true, note: "Newest first; a campaign leads to its effect." });
    const made = panel("Plan a campaign", {
      id: "plan-campaign", wide: true, note: "The list is frozen, and those left alone are drawn at random before anybody is contacted.", aside: help("campaign-size", "How many customers are needed"),
    });
    const refresh = () => {
      page.load(list.body, () => Promise.all([get("/api/campaigns?limit=50"), get("/api/actions")]), drawList);
      if (page.mayRun && !made.body.querySelector("form")) page.load(made.body, () => Promise.all([get("/api/actions"), get("/api/dashboard/value"), get("/api/segments?limit=100")]), (found) => planForm(page, found, refresh));
    };
    refresh();
    return { root: h("div", { class: "page" }, heading("Campaigns"), list.root, page.mayRun && made.root), refresh };
  },
};

function drawList([{ campaigns }, { actions }]) {
  if (!campaigns.length) return empty("No campaign was made yet.");
  const numeric = (text) => ({ text, numeric: true });
  return table("Campaigns", ["Campaign", "Action", "Started", "Outcome known from", numeric("Contacted"), numeric("Left alone")], campaigns.map((each) => [
    h("a", { href: address(`campaigns/${each.id}`) }, each.name), labelOf(actions, each.action) ?? "–", day(each.starts_on), day(each.matures_on), count(each.size.contact), count(each.size.control)]));
}

function planForm(page, [{ actions }, { by_plan: plans }, { segments }], refresh) {
  const parts = {
    name: h("input", { maxlength: 100, required: true }),
    action: select([["", "None of the catalogue"], ...actions.map((each) => [each.name, each.label])], actions[0]?.name ?? ""),
    plan: select([["", "Any"], ...plans.map(({ plan }) => plan).filter(Boolean).map((plan) => [plan, plan])], page.query.get("plan") ?? ""),
    segment: select([["", "None"], ...segments.filter((each) => each.is_readable).map((each) => [String(each.id), each.name])], page.query.get("segment") ?? ""),
    top: h("input", { type: "number", min: 1, step: 1, value: page.query.get("top") ?? "" }),
    reduction: h("input", { type: "number", min: 1, max: 99, value: 10 }),
    control: h("input", { type: "number", min: 1, max: 99, value: 50 }),
  };
  const told = h("div", { id: "plan-outcome", "aria-live": "polite" });
  const body = () => ({
    ...(parts.action.value ? { action: parts.action.value } : {}), ...(parts.plan.value ? { filters: { plan: parts.plan.value } } : {}),
    ...(parts.segment.value ? { segment: Number(parts.segment.value) } : {}), ...(parts.top.value ? { top: Number(parts.top.value) } : {}), reduction: Number(parts.reduction.value) / 100, control_share: Number(parts.control.value) / 100,
  });
  const plan = (event) => act(event.target, told, async () => { show(told, ...drawSize(await post("/api/campaigns/plan", body()))); }, failure);
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, told, async () => {
      const done = await result(await post("/api/campaigns", { name: parts.name.value.trim(), ...body() }));
      show(told, h("p", { class: "notice good" }, "Made: ", h("a", { href: address(`campaigns/${done.id}`) }, done.name), "."));
      refresh();
    }, failure);
  };
  return h("form", { class: "panel-body", onsubmit: submit },
    h("div", { class: "form" }, field("Name", parts.name), field("Action", parts.action, { roomy: true }), field("Plan", parts.plan), field("Saved segment", parts.segment), field("At most, from the top", parts.top),
      field("Hoped-for reduction, %", parts.reduction), field("Left alone, %", parts.control)),
    h("div", { class: "choices" }, button("Check the size", plan, { kind: "quiet" }), h("button", { type: "submit", class: "main" }, "Create the campaign")), told);
}

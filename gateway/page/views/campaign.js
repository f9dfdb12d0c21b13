// One campaign: what it did, as far as that can be told, and how it was drawn.

import { get } from "../api.js";
import { h, panel, show } from "../dom.js";
import { count, day, percent, plural, points } from "../format.js";
import { heading, noExport } from "../frame/page.js";
import { help } from "../frame/help.js";
import { stats, table } from "../parts.js";
import { featuresOf, words } from "./filters.js";

export const view = {
  open(page) {
    const root = h("div", { class: "page" });
    const path = `/api/campaigns/${encodeURIComponent(page.params.id)}`;
    const refresh = () => page.load(root, () => Promise.all([get(path), get(`${path}/effect`), get("/api/actions"), get("/api/schema")]), ([campaign, effect, { actions }, schema]) => {
      page.title(campaign.name);
      return drawCampaign(page, path, campaign, effect, { action: labelOf(actions, campaign.action), features: featuresOf(schema) });
    });
    refresh().then(() => root.querySelector("h1")?.focus({ preventScroll: true }));
    return { root, refresh };
  },
};

function drawCampaign(page, path, campaign, effect, { action, features }) {
  const drawn = panel("As it was drawn", { id: "drawn", wide: true });
  show(drawn.body, ...drawSize(campaign), h("p", { class: "fine" }, `Started ${day(campaign.starts_on)}; ${campaign.filters.length ? campaign.filters.map(([name, value]) => words(name, value, features)).join(", ") : "no filter"}${campaign.top ? `, the top ${count(campaign.top)}` : ""}.`));
  const came = panel("Effect", { id: "effect", wide: true, aside: help("campaign-effect", "Effect of a campaign") });
  show(came.body, ...drawEffect(effect));
  const link = page.mayRun ? h("a", { class: "button", href: `${path}/export?format=csv`, download: `campaign-${campaign.id}.csv` }, "Export whom to contact") : noExport();
  return [heading(campaign.name, { note: action && `Action: ${action}`, actions: [link] }), came.root, drawn.root];
}

function drawEffect({ control, contact, effect, interval: ends, is_shown: isShown, text, srm_probability: srm }) {
  const numeric = (name) => ({ text: name, numeric: true });
  const arm = (name, each) => [name, count(each.drawn), count(each.contacted), count(each.customers), count(each.left), percent(each.rate)];
  return [
    h("p", { class: isShown ? "notice good" : "note" }, text),
    effect !== null && stats({
      label: "Churn, left alone minus contacted", id: "effect", value: points(effect * 100), note: ends ? `95 %: ${points(ends[0] * 100)} to ${points(ends[1] * 100)}` : null, term: "campaign-effect",
      judge: [plural(control.customers ?? 0, "customer") + " left alone", plural(contact.customers ?? 0, "customer") + " contacted"],
    }),
    table("The two arms", ["Arm", numeric("Drawn"), numeric("Contacted"), numeric("Known"), numeric("Left"), numeric("Churn rate")], [arm("Contacted", contact), arm("Left alone", control)]),
    srm !== null && h("p", { class: "fine" }, `Probability that chance alone makes arms of these sizes: ${percent(srm)}.`),
  ].filter(Boolean);
}

/** The words of the catalogue for an action; its name where it is no longer in there, null for none. */
export const labelOf = (actions, name) => actions.find((each) => each.name === name)?.label ?? name;

/** The size of a campaign, planned or drawn: how many, how many are needed, and what that could show. */
export function drawSize({ size, left_out: leftOut, matures_on: known }) {
  const out = Object.entries(leftOut ?? {}).map(([why, number]) => `${count(number)} ${why.replaceAll("_", " ")}`);
  return [
    stats(
      { label: "Customers", value: count(size.customers), note: `${count(size.contact)} contacted, ${count(size.control)} left alone` },
      { label: "Needed", value: count(size.needed), note: `to find a reduction of ${percent(size.assumed_reduction)}`, term: "campaign-size" },
      { label: "Power", value: percent(size.power), note: size.is_large_enough ? "large enough" : "too small to tell", term: "campaign-size" },
      { label: "Outcome known from", value: day(known) }),
    h("p", { class: "note" }, size.text),
    out.length > 0 && h("p", { class: "fine" }, `Left out: ${out.join(", ")}.`),
  ].filter(Boolean);
}

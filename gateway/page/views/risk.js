// Customers who entered or left the list above the cut between two dates, and the parts of each change; all of them as a file.

import { get } from "../api.js";
import { failure, h, panel, show } from "../dom.js";
import { cutText, day, known, percent, plural, points } from "../format.js";
import { help } from "../frame/help.js";
import { empty, heading, noExport } from "../frame/page.js";
import { customerAddress, riskAddress } from "../frame/router.js";
import { act, button, field, table } from "../parts.js";
import { bars, drawFeatures, onRequest, PARTS } from "./change.js";
import { reasonWords } from "./words.js";

const PAGE = 100; // as many as the API answers at once
const LISTS = [["entered", "Entered the list"], ["left", "Left the list"]];
const CAUSES = {
  "not scored before": "Not scored on the first date.", "has left": "Has left since.",
  "has cancelled": "Has cancelled since, so is not scored.", "not scored now": "Not scored on the second date.",
};

export const view = {
  open(page) {
    const since = h("input", { type: "date", name: "since" });
    const until = h("input", { type: "date", name: "until" });
    const choices = h("div", { class: "filters", role: "group", "aria-label": "Which list" });
    const list = panel("The list on two dates", { id: "new-at-risk", wide: true, aside: help("score-change", "Parts of a change"),
      note: "Customers above the cut on one date and not on the other, by the last scores of everybody up to each. The parts add up to the change of the probability." });
    const refresh = () => {
      since.value = page.query.get("since") ?? "";
      until.value = page.query.get("until") ?? "";
      const direction = page.query.get("direction") ?? "entered";
      choices.replaceChildren(...LISTS.map(([value, text]) =>
        button(text, () => page.go({ direction: value === "entered" ? null : value }), { "aria-pressed": String(value === direction) })));
      const dates = { since: since.value, until: until.value };
      return page.load(list.body, () => ask(dates, direction), (found) => {
        since.value ||= found.compared_with ?? "";
        until.value ||= found.as_of ?? "";
        return draw(page, found, direction, dates);
      });
    };
    const submit = (event) => {
      event.preventDefault();
      page.go({ since: since.value, until: until.value });
    };
    refresh();
    return {
      root: h("div", { class: "page" }, heading("Newly at risk"),
        h("form", { class: "form", id: "risk-dates", onsubmit: submit },
          field("Since", since), field("Until", until), h("div", { class: "choices" }, h("button", { type: "submit", class: "main" }, "Compare"))),
        h("div", { class: "list-tools" }, choices), list.root),
      refresh,
    };
  },
};

/** Ask the API; dates in the wrong order are not asked for. */
async function ask({ since, until }, direction, after = null) {
  if (since && until && since >= until) return { customers: [], isReversed: true };
  const wanted = new URLSearchParams({ direction, why: true, limit: PAGE });
  if (after) wanted.set("after", after);
  if (since) wanted.set("since", since);
  if (until) wanted.set("until", until);
  return get(`/api/customers/movers?${wanted}`);
}

function draw(page, found, direction, dates) {
  const { customers, as_of: to, compared_with: from, cut } = found;
  if (found.isReversed) return empty("The first date must be before the second.");
  if (!to) return empty("There are no scores up to the second date.");
  if (!from) return empty(noEarlier(dates.since, to));
  const isSent = dates.since && dates.until;
  const facts = h("p", { class: "fine" }, `Scores of ${day(from)} (model ${found.compared_model}) and of ${day(to)} (model ${found.model_version}). `,
    !isSent && h("a", { href: riskAddress(from, to, direction === "left" ? direction : null) }, "Link to these two dates"));
  const did = `${direction} the list above ${cutText(cut)} between ${day(from)} and ${day(to)}.`;
  if (!customers.length) return [empty(`Nobody ${did}`), facts];
  const rows = (those) => table(`Customers who ${direction} the list`, ["Customer", "Plan", numeric("Before"), numeric("Now"), "Parts of the change"], those.map((c) => [
    h("a", { href: customerAddress(c.user_id) }, c.user_id), c.plan ?? "–", percent(c.before), percent(c.churn_probability), why(page, c, from, to)]));
  const shown = rows(customers);
  const summary = h("p", { id: "risk-summary", role: "status" }, summed(customers, found.next, did));
  return [
    summary, facts, shown, further(page, { direction, dates, from, to, found, did, rows, shown, summary }),
    h("p", { class: "fine" }, "Parts are in points of probability; those that round to nothing are not shown. They describe how the score came about; they are no measured effect."),
  ];
}

const numeric = (text) => ({ text, numeric: true });

const summed = (customers, next, did) =>
  `${next ? `The ${plural(customers.length, "customer")} of the highest probability who` : plural(customers.length, "customer")} ${did}${largest(customers)}`;

/** Two buttons lead beyond this page: one loads the next page, one exports all customers as a file. */
function further(page, { direction, dates, from, to, found, did, rows, shown, summary }) {
  const problem = h("div", {});
  const all = [...found.customers];
  let after = found.next;
  const more = button("Load more", () => act(more, problem, async () => {
    show(problem);
    const next = await ask(dates, direction, after);
    const before = all.length;
    all.push(...next.customers);
    after = next.next;
    const body = shown.querySelector("tbody");
    body.append(...rows(next.customers).querySelectorAll("tbody tr"));
    summary.textContent = summed(all, after, did);
    more.hidden = !after;
    body.querySelectorAll("th a")[before]?.focus();
  }, failure), { hidden: !after });
  const file = `/api/customers/movers/export?${new URLSearchParams({ direction, since: from, until: to })}`;
  return h("div", { class: "list-foot" }, more,
    page.mayRun ? [h("a", { class: "button small", id: "export-movers", href: file, download: `movers-${direction}.csv` }, "Export all as CSV"),
      h("p", { class: "fine" }, "The file leaves out who may not be contacted.")] : noExport(), problem);
}

const noEarlier = (since, to) => (since
  ? `There are no scores of everybody up to ${day(since)}, other than those of ${day(to)}. Choose another first date.`
  : `There are no scores of everybody 30 days before those of ${day(to)}. Choose a later first date, or wait for the next scoring run.`);

/** Say which part is the largest of most changes. */
function largest(customers) {
  const split = customers.map(shares).filter(Boolean);
  const unscored = customers.filter(({ cause }) => cause !== "score").length;
  const rest = customers.length - split.length - unscored;
  const others = [unscored && ` Scored on one of the dates only: ${unscored}.`, rest && ` Facts not kept: ${rest}.`].filter(Boolean);
  if (!split.length) return others.join("");
  const names = split.map((parts) => parts.reduce((most, part) => (Math.abs(part.share) > Math.abs(most.share) ? part : most)).name);
  const told = PARTS.map(([, name]) => [name, names.filter((each) => each === name).length]).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  return ` The largest part of the change: ${told.map(([name, n]) => `${name.toLowerCase()} for ${n}`).join(", ")}.${others.join("")}`;
}

/** The parts of a change in probability, which add up to it, as shares of the log-odds do; null where they are not known. */
function shares({ parts, change }) {
  if (!parts || !known(change)) return null;
  const odds = PARTS.reduce((sum, [key]) => sum + parts[key], 0);
  return odds === 0 ? null : PARTS.map(([key, name]) => ({ name, share: (parts[key] * change) / odds }));
}

function why(page, customer, from, to) {
  const { user_id: id, cause } = customer;
  if (cause === "not scored before") return [h("p", {}, CAUSES[cause]), onRequest(page, "Reasons", `Reasons for ${id}`, `/api/customers/${encodeURIComponent(id)}`, drawReasons)];
  if (cause !== "score") return CAUSES[cause] ?? cause;
  const split = shares(customer);
  if (!split) return "The facts of one of the dates are not kept.";
  const path = `/api/customers/${encodeURIComponent(id)}/changes?${new URLSearchParams({ since: from, until: to })}`;
  return [bars(split), onRequest(page, "Facts one by one", `Facts of ${id} one by one`, path, drawFeatures)];
}

/** Why somebody who was not scored before stands where they do: the reasons of the present score. */
const drawReasons = ({ reasons }) => h("ul", {}, reasons.map((each) => h("li", {}, reasonWords(each), ` ${points(each.points * 100)}`)));

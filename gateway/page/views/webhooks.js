// Webhooks, for administrators: who is told of what, paused, tested, removed; the log of deliveries, and those given up.

import { get, patch, post, remove } from "../api.js";
import { failure, h, panel } from "../dom.js";
import { day, moment, plural } from "../format.js";
import { empty, heading } from "../frame/page.js";
import { act, button, check, field, select, shownOnce, table } from "../parts.js";

const POLL_MS = 2_000;
const SOON_MS = 10_000;
const EVENTS = {
  "prediction.completed": "a scoring run is complete", "churn.alert": "a run was published: who is above the cut",
  "model.trained": "a model was trained", "campaign.exported": "the list of a campaign was exported",
};
const STATES = [["", "All"], ["waiting", "Waiting"], ["delivered", "Delivered"], ["dead", "Given up"]];
const BADGES = { waiting: ["warn", "waiting"], delivered: ["good", "delivered"], dead: ["bad", "given up"] };

const isSoon = ({ state, next_at: next }) => state === "waiting" && new Date(next) - Date.now() < SOON_MS;

export const view = {
  open(page) {
    const problem = h("div", {});
    const hooks = panel("Webhooks", { id: "webhooks", wide: true, note: "Addresses that are told what happens. Messages are signed and name no customer." });
    const log = panel("Deliveries", { id: "deliveries", wide: true, note: "Newest first. A failed delivery is tried again for 24 hours, then given up." });
    const state = select(STATES, page.query.get("state"));
    state.addEventListener("change", () => page.go({ state: state.value, after: null }));
    let timer = 0;
    const loadLog = async () => {
      window.clearTimeout(timer);
      const wanted = new URLSearchParams([...page.query].filter(([key]) => key === "state" || key === "after"));
      wanted.set("limit", 50);
      const found = await page.load(log.body, () => get(`/api/webhooks/deliveries?${wanted}`), (answer) => drawLog(page, answer, { problem, refresh: loadLog }));
      if (found?.deliveries.some(isSoon) && page.isOpen) timer = window.setTimeout(follow, POLL_MS);
    };
    /** Look again, unless that took a button away from whoever is on it. */
    const follow = () => {
      if (!page.isOpen) return;
      if (log.body.contains(document.activeElement)) timer = window.setTimeout(follow, POLL_MS);
      else loadLog();
    };
    const loadHooks = () => page.load(hooks.body, () => get("/api/webhooks?limit=100"), (answer) => drawHooks(answer, { problem, loadHooks, loadLog }));
    const refresh = () => { loadHooks(); loadLog(); };
    refresh();
    return {
      root: h("div", { class: "page" }, heading("Webhooks"), problem, hooks.root, h("div", { class: "form" }, field("Show", state)), log.root),
      refresh,
    };
  },
};

function drawHooks({ webhooks }, parts) {
  return [
    webhooks.length
      ? table("Webhooks", ["No.", "Address", "Told of", "Since", "State", { text: "" }], webhooks.map((each) => [
        String(each.id), h("code", {}, each.url), each.events.join(", "), day(each.created_at),
        h("span", { class: `badge ${each.paused ? "warn" : "good"}` }, each.paused ? "paused" : "on"), actions(each, parts)]))
      : empty("Nobody is told of anything yet."),
    h("details", { class: "more", open: !webhooks.length }, h("summary", {}, "Create a webhook"), newHook(parts)),
  ];
}

function actions(hook, { problem, loadHooks, loadLog }) {
  const path = `/api/webhooks/${hook.id}`;
  const name = `webhook ${hook.id}`;
  const press = (action, refresh) => (event) => act(event.target, problem, async () => { await action(); problem.replaceChildren(); await refresh(); }, failure);
  const drop = twice("Remove", "Remove for good", name, press(() => remove(path), () => Promise.all([loadHooks(), loadLog()])));
  const replace = twice("Replace the secret", "Replace it now", name, (event) => act(event.target, problem, async () => {
    const made = await post(`${path}/secret`);
    problem.replaceChildren();
    await loadHooks();
    showSecret(made, ` Messages are signed by the earlier secret too until ${moment(made.earlier_secret_until)}.`);
  }, failure));
  return h("div", { class: "choices" },
    button("Send a test", press(() => post(`${path}/test`), loadLog), { disabled: hook.paused, "aria-label": `Send a test to ${name}` }),
    button(hook.paused ? "Resume" : "Pause", press(() => patch(path, { paused: !hook.paused }), loadHooks), { "aria-label": `${hook.paused ? "Resume" : "Pause"} ${name}` }),
    replace, drop);
}

/** A button that is asked twice, since a secret can't be had again. */
function twice(text, again, name, press) {
  let isAsked = false;
  const made = button(text, (event) => {
    if (isAsked) return press(event);
    isAsked = true;
    made.firstChild.data = again;
    return null;
  });
  made.append(h("span", { class: "unseen" }, ` ${name}`));
  return made;
}

function showSecret({ id, secret }, more = "") {
  const told = shownOnce(`The secret of webhook ${id}. Keep it now; it is not shown again: `, secret, "new-secret");
  if (more) told.append(more);
  document.querySelector("#webhooks .panel-body").prepend(told);
  told.focus();
}

function newHook({ loadHooks }) {
  const problem = h("div", {});
  const url = h("input", { type: "url", maxlength: 2000, required: true, placeholder: "https://example.com/hooks/churn", autocomplete: "off" });
  const events = Object.entries(EVENTS).map(([event, text]) => ({ event, ...check(`${event}: ${text}`, { checked: event === "churn.alert" }) }));
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, problem, async () => {
      const made = await post("/api/webhooks", { url: url.value.trim(), events: events.filter(({ input }) => input.checked).map(({ event: each }) => each) });
      await loadHooks();
      showSecret(made);
    }, failure);
  };
  return h("form", { class: "form", onsubmit: submit },
    field("Address", url, { wide: true, hint: "By https and public, unless the setting WEBHOOK_NETWORKS lists it." }),
    h("fieldset", { class: "wide" }, h("legend", {}, "It is told when"), events.map(({ root }) => root)),
    h("div", { class: "choices wide" }, h("button", { type: "submit", class: "main" }, "Create the webhook")), problem);
}

function drawLog(page, { deliveries, next }, { problem, refresh }) {
  if (!deliveries.length) return empty(page.query.get("state") ? "No delivery is in this state." : "Nothing was sent yet: send a test, or wait for an event.");
  const again = (each) => (event) => act(event.target, problem, async () => {
    await post(`/api/webhooks/deliveries/${each.id}/replay`);
    problem.replaceChildren();
    await refresh();
  }, failure);
  return [
    table("Deliveries", ["Delivery", "Event", "Webhook", "State", "Last attempt", "Next", { text: "" }], deliveries.map((each) => {
      const [kind, text] = BADGES[each.state];
      return [
        String(each.id), [each.type, h("div", { class: "fine" }, moment(each.created_at))], String(each.webhook_id),
        h("span", { class: `badge ${kind}` }, text), attempt(each), each.next_at ? moment(each.next_at) : "–",
        each.state === "waiting" ? "" : button("Send again", again(each), { "aria-label": `Send delivery ${each.id} again` })];
    })),
    next && button("Older deliveries", () => page.go({ after: next })),
  ];
}

/** A delivery shows the answer of the receiver, its time and the number of the attempt. */
function attempt({ attempts, failure: why, status, took_ms: took }) {
  if (!attempts) return "not tried yet";
  const how = [plural(attempts, "attempt"), took !== null && `${took} ms`].filter(Boolean).join(", ");
  return [why ?? (status ? `it answered ${status}` : "–"), h("div", { class: "fine" }, how)];
}

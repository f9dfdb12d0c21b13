// Saved views of the list of customers: segments that people kept, opened in one click, renamed, shared, removed.

import { get, patch, post, remove } from "../api.js";
import { failure, h, show } from "../dom.js";
import { day } from "../format.js";
import { empty } from "../frame/page.js";
import { act, button, check, field, table } from "../parts.js";
import { asked } from "./filters.js";

const LIMIT = 100;

/** A page of the segments that this account sees: its own and the shared ones. */
export const askSaved = (after = null) => get(`/api/segments?${new URLSearchParams({ limit: LIMIT, ...(after ? { after } : {}) })}`);

const addressOf = (segment) => `#/customers${segment.query ? `?${segment.query}` : ""}`;
const mayChange = (page, segment) => page.mayRun && (segment.is_own || (page.isAdmin && segment.shared));

/** A view keeps these parts of an address, in one order, so that two views can be compared. */
const kept = (query) => [...asked(query)].map((pair) => pair.join("=")).sort().join("&");

/** The saved views above the list: a link each, and what can be done with the one that is shown. */
export function savedBar(page) {
  const links = h("nav", { class: "choices", "aria-label": "Saved views" });
  const place = h("div", {});
  const root = h("div", { class: "stack", id: "saved-views" }, links, place);
  let segments = [];
  let shown = null;
  const draw = () => {
    const now = kept(page.query);
    const present = segments.find((each) => kept(new URLSearchParams(each.query)) === now) ?? null;
    show(links, segments.map((each) => h("a", { class: "button small", href: addressOf(each), "aria-current": each === present ? "true" : null }, each.name)));
    links.hidden = !segments.length;
    const key = present ? `${present.id} ${present.updated_at}` : now;
    if (key !== shown) { // a form that is being filled in stays
      shown = key;
      if (present && mayChange(page, present)) show(place, changing(page, present, changed));
      else if (!present && now && page.mayRun) show(place, saving(page, changed));
      else show(place);
    }
    root.hidden = !segments.length && !place.childElementCount;
  };
  const refresh = async () => {
    segments = (await askSaved()).segments.filter((each) => each.is_readable);
    draw();
  };
  /** After a change the form is another one: the focus goes to its beginning. */
  const changed = async () => {
    await refresh();
    (place.querySelector("summary") ?? document.querySelector("main h1")).focus();
  };
  return { root, draw, refresh };
}

/** The form that keeps the filters and the order of the address under a name. */
function saving(page, refresh) {
  const name = h("input", { maxlength: 100, required: true, autocomplete: "off" });
  const shared = check("Everybody sees it");
  const problem = h("div", {});
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, problem, async () => {
      await post("/api/segments", { name: name.value.trim(), query: asked(page.query).toString(), shared: shared.input.checked });
      await refresh();
    }, failure);
  };
  return h("details", { class: "more", id: "save-view" }, h("summary", {}, "Save this view"),
    h("form", { class: "form", onsubmit: submit }, field("Name of the view", name), shared.root,
      h("div", { class: "choices" }, h("button", { type: "submit", class: "main" }, "Save")), problem));
}

/** The form that renames, shares or removes a saved view. */
function changing(page, segment, refresh) {
  const name = h("input", { maxlength: 100, required: true, autocomplete: "off", value: segment.name });
  const shared = check("Everybody sees it", { checked: segment.shared });
  const problem = h("div", {});
  const submit = (event) => {
    event.preventDefault();
    act(event.submitter, problem, async () => {
      await patch(`/api/segments/${segment.id}`, { name: name.value.trim(), shared: shared.input.checked });
      await refresh();
    }, failure);
  };
  const drop = (event) => act(event.target, problem, async () => { await remove(`/api/segments/${segment.id}`); await refresh(); }, failure);
  return h("details", { class: "more" }, h("summary", {}, "Rename, share or remove", h("span", { class: "unseen" }, ` ${segment.name}`)),
    h("form", { class: "form", onsubmit: submit }, field("Name of the view", name), shared.root,
      h("div", { class: "choices" }, h("button", { type: "submit", class: "quiet" }, "Save"),
        button("Remove", drop, { kind: "quiet", "aria-label": `Remove ${segment.name}` })), problem));
}

/** All of them, as a table: for GET /api/segments. */
export function drawSaved(page, { segments, next }, refresh) {
  if (!segments.length) return empty("Nobody has saved or shared a view yet.", page.mayRun && h("p", {}, "Filter or sort the ", h("a", { href: "#/customers" }, "customers"), " and choose “Save this view”."));
  const about = (each) => (each.is_readable ? `${each.shared ? "shared by" : "of"} ${each.owner ?? "somebody who is gone"}` : "names a feature that the schema no longer has");
  return [
    table("Saved views", ["View", "Whose", "Changed", { text: "" }], segments.map((each) => [
      each.is_readable ? h("a", { href: addressOf(each) }, each.name) : each.name,
      about(each), day(each.updated_at), mayChange(page, each) ? changing(page, each, refresh) : ""])),
    next && button("Later ones", () => page.go({ after: next })),
  ];
}

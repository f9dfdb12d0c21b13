// The object that each view is given: who reads it, the state of its address, and a way to load that has designed states.

import { ApiError } from "../api.js";
import { failure, h, loading, show } from "../dom.js";
import { address, parse } from "./router.js";

/** The page of one view. `outlet` says by aria-busy whether anything still loads; `session` holds user, work, expired. */
export function makePage({ view, params, session, outlet, onTitle }) {
  const aborter = new AbortController();
  let pending = 0;
  const page = {
    params,
    user: session.user,
    work: session.work,
    mayRun: session.user.role !== "viewer",
    isAdmin: session.user.role === "admin",
    signal: aborter.signal,
    expired: session.expired,
    /** Every figure may have changed: have the whole page read them again. */
    refreshAll: session.refreshAll,
    /** The state in the address, always as it is now. */
    get query() { return parse().query; },
    get isOpen() { return !aborter.signal.aborted; },
    close: () => aborter.abort(),
    /** Say what a view with parameters is about: the window's title and the last breadcrumb. */
    title: (text) => { if (page.isOpen) onTitle(text); },
    load: (place, ask, draw, options) => load(page, place, ask, draw, options),
    go: (changes, options) => go(page, changes, options),
    async busy(work) {
      pending += 1;
      outlet.setAttribute("aria-busy", "true");
      try {
        return await work;
      } finally {
        pending -= 1;
        if (page.isOpen && pending === 0) outlet.setAttribute("aria-busy", "false");
      }
    },
    refresh: null,
    view,
  };
  return page;
}

/**
 * Ask and draw into a place. While it loads, it shows grey placeholders, or the old figures, dimmed, if there are any; an
 * error stands there with a way to try again. `draw` answers children. Answers what was asked, or null where it failed.
 */
async function load(page, place, ask, draw, { bones = 4, anew = false } = {}) {
  const before = anew ? focusIn(place) : null;
  if (anew || !place.childElementCount) show(place, loading(bones));
  place.classList.add("is-loading");
  const turn = Symbol("turn");
  place.turn = turn;
  const isMine = () => page.isOpen && place.turn === turn;
  try {
    const answer = await page.busy(ask(page.signal));
    if (!isMine()) return null;
    redraw(place, [draw(answer)].flat(3), before);
    return answer;
  } catch (error) {
    if (!isMine() || error.name === "AbortError") return null;
    if (!(error instanceof ApiError)) throw error;
    if (error.isSignedOut) page.expired();
    else redraw(place, [failure(error, () => load(page, place, ask, draw, { bones, anew: true }))], before);
    return null;
  } finally {
    if (place.turn === turn) place.classList.remove("is-loading");
  }
}

/**
 * Put these in place of what a part holds. The focus, if it was in there, goes to the same thing again, known by its
 * name, or to the part itself; `before` is what had it when the part was emptied.
 */
export function redraw(place, children, before = null) {
  const had = focusIn(place) ?? before;
  show(place, ...children);
  if (!had || document.activeElement !== document.body) return;
  const same = [...place.querySelectorAll(had.tag)].find((each) => nameOf(each) === had.name);
  if (!same) place.tabIndex = -1;
  (same ?? place).focus({ preventScroll: true });
}

const focusIn = (place) => {
  const now = document.activeElement;
  return now !== place && place.contains(now) ? { tag: now.tagName, name: nameOf(now) } : null;
};

const nameOf = (element) => element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;

/** Change the state in the address, as a step that Back undoes (or `replace`), and have the view read it (or `quiet`). */
function go(page, changes, { replace = false, quiet = false } = {}) {
  const { path, query } = parse();
  const state = {};
  for (const key of new Set(query.keys())) state[key] = query.getAll(key);
  const to = address(path, { ...state, ...changes });
  if (to === window.location.hash) return;
  window.history[replace ? "replaceState" : "pushState"](null, "", to);
  if (!quiet) page.refresh?.();
}

/** A heading with what stands beside it: the one h1 of a view. */
export function heading(title, { note = null, actions = [] } = {}) {
  const buttons = actions.filter(Boolean);
  return h("div", { class: "title-row" },
    h("div", {}, h("h1", { tabindex: -1 }, title), note && (note instanceof Node ? note : h("p", { class: "note" }, note))),
    buttons.length > 0 && h("div", { class: "buttons" }, buttons));
}

/** Return an empty state: a sentence that says why nothing is shown, and what to do. */
export const empty = (text, ...more) => h("div", { class: "empty" }, h("p", {}, text), ...more);

/** One answer for several parts of a view: whoever comes first asks, and after a failure whoever tries again. */
export function shared(ask) {
  let asked = null;
  return () => {
    asked ??= ask().catch((error) => {
      asked = null;
      throw error;
    });
    return asked;
  };
}

/** A line for viewers, in the place of the export button. */
export const noExport = () => h("p", { class: "fine" }, "Exports are for analysts and administrators.");

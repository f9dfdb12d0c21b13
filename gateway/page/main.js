// Starts the page: who is signed in, and which view the address asks for.

import { ApiError, get, hasSession, signOut } from "./api.js";
import { failure, h, loading, show } from "./dom.js";
import { day } from "./format.js";
import { makeFrame, maySee } from "./frame/frame.js";
import { freshnessBar } from "./frame/freshness.js";
import { workbar } from "./frame/jobs.js";
import { heading, makePage } from "./frame/page.js";
import { makePalette } from "./frame/palette.js";
import { match, parse } from "./frame/router.js";
import { VIEWS } from "./views.js";
import { registerView } from "./views/register.js";
import { signInView } from "./views/signin.js";

const app = document.getElementById("app");
const EXPIRED = "Your session has ended. Please sign in again.";
const REGISTER = "#/register";
let session = null;

/** Open the page for whoever the cookies belong to. */
async function start() {
  if (!hasSession()) return signedOut(null);
  show(app, h("main", { id: "main", class: "page" }, loading(6)));
  try {
    signedIn(await get("/api/auth/me"), { isFirst: true });
  } catch (error) {
    if (error instanceof ApiError && error.isSignedOut) signedOut(EXPIRED);
    else show(app, h("main", { id: "main", class: "page" }, h("h1", {}, "RetainStream"), failure(error, start)));
  }
}

function signedOut(reason) {
  session?.work.stop();
  session?.opened?.page.close();
  session = null;
  const isNew = window.location.hash === REGISTER;
  document.title = isNew ? "Create an account – RetainStream" : "Sign in – RetainStream";
  show(app, isNew ? registerView({ onSignedIn: signedIn }) : signInView({ reason, onSignedIn: signedIn }));
  document.getElementById(isNew ? "name" : "email").focus();
}

/** `isFirst`: the page was opened, so the focus stays where a reader begins, at the link that skips the frame. */
function signedIn(user, { isFirst = false } = {}) {
  window.history.scrollRestoration = "manual"; // a view says itself where it was left
  if (window.location.hash === REGISTER) window.history.replaceState(null, "", "#/");
  const mine = { user, expired: () => { if (session === mine) signedOut(EXPIRED); }, refreshAll, kept: null, opened: null };
  session = mine;
  mine.work = workbar({
    mayRun: user.role !== "viewer", onSignedOut: mine.expired, onDone: refreshAll, onState: () => mine.opened?.work?.(),
  });
  mine.fresh = freshnessBar({ mayRun: user.role !== "viewer", work: mine.work, onFigures: (figures) => drawFooter(mine.frame.footer, figures) });
  mine.palette = makePalette({ user, commands });
  mine.frame = makeFrame({
    user, bars: [...mine.work.roots, mine.fresh.root], onSearch: () => mine.palette.open(), onSignOut: leave,
  });
  show(app, mine.frame.root, mine.palette.root);
  drawFooter(mine.frame.footer, {});
  askFreshness();
  mine.work.resume();
  route({ isFirst });
}

async function leave(button) {
  button.disabled = true;
  await signOut().catch(() => null); // the cookies may be past already; either way nobody is signed in here
  signedOut("You are signed out.");
}

/** Figures have changed: ask for all of them again, in place. */
function refreshAll() {
  if (!session) return;
  session.kept?.page.close();
  session.kept = null;
  askFreshness();
  session.opened?.refresh?.();
}

function askFreshness() {
  const mine = session;
  mine.fresh.refresh().catch((error) => {
    if (error instanceof ApiError && error.isSignedOut) mine.expired();
    // Any other failure is told by the view, which asks for the same figures.
  });
}

function commands() {
  const run = session.user.role === "viewer" || session.work.isBusy ? [] : [
    { kind: "Command", title: "Score customers now", run: () => session.work.start("score") },
    { kind: "Command", title: "Train a model", run: () => session.work.start("train") },
  ];
  return [...run,
    { kind: "Command", title: "Change between light and dark", run: () => document.getElementById("theme").click() },
    { kind: "Command", title: "Print this view", run: () => window.print() },
    { kind: "Command", title: "API documentation", run: () => window.location.assign("/api/docs") },
  ];
}

function drawFooter(footer, { asOf, version, isDemo }) {
  show(footer,
    h("span", {}, version ? `Model ${version}` : "No model yet"),
    h("span", {}, asOf ? `Data of ${day(asOf)}` : "No scores yet"),
    isDemo && h("span", { class: "badge", title: "Simulated subscribers, made for the demo" }, "simulated demo data"),
    h("a", { href: "/api/docs" }, "API documentation"));
}

/** Show what the address asks for. A view that was left stays as it was until another is left, for whoever goes back. */
function route({ isFirst = false } = {}) {
  const { path } = parse();
  const found = match(VIEWS.filter((view) => maySee(view, session.user)), path);
  const now = session.opened;
  if (now && found && now.view === found.view && now.path === path) {
    now.hash = window.location.hash;
    return now.refresh?.();
  }
  const left = now ? { ...now, scroll: window.scrollY } : null;
  const back = session.kept?.hash === window.location.hash ? session.kept : null;
  if (!back) session.kept?.page.close();
  session.kept = left;
  session.frame.closeMenu();
  if (back) reopen(back, left);
  else open(found, path, isFirst);
}

function open(found, path, isFirst) {
  const view = found?.view ?? null;
  const title = view ? view.title : "No such page";
  const { frame } = session;
  const page = makePage({ view, params: found?.params ?? {}, session, outlet: frame.main, onTitle: (text) => frame.here(view, text) });
  frame.here(view, title);
  frame.main.setAttribute("aria-busy", "true");
  const made = view ? view.open(page) : { root: nowhere(path) };
  page.refresh = made.refresh ?? null;
  session.opened = { view, path, page, hash: window.location.hash, ...made };
  show(frame.main, made.root);
  frame.main.dataset.path = path;
  page.busy(Promise.resolve()); // a view that loads nothing is ready at once
  if (isFirst) return;
  window.scrollTo(0, 0);
  focusHeading();
}

/** The view as it was left, with the focus on the link that was followed. */
function reopen(kept, left) {
  const { frame } = session;
  session.opened = kept;
  frame.here(kept.view, kept.view?.title ?? "");
  show(frame.main, kept.root);
  frame.main.dataset.path = kept.path;
  frame.main.setAttribute("aria-busy", "false");
  const links = [...frame.main.querySelectorAll("a")];
  const followed = links.find((link) => left && link.getAttribute("href") === left.hash);
  if (followed) followed.focus({ preventScroll: true });
  else focusHeading();
  window.scrollTo(0, kept.scroll);
}

function focusHeading() {
  session.frame.main.querySelector("h1")?.focus({ preventScroll: true });
}

function nowhere(path) {
  return h("div", { class: "page" }, heading("No such page"),
    h("p", { class: "note" }, "Nothing is at ", h("code", {}, `#/${path}`), ". The side bar leads to every view, and “/” searches."));
}

window.addEventListener("hashchange", () => {
  if (session) route();
  else if (document.querySelector("main.signin")) signedOut(null);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
start();

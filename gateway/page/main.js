// Starts the page: who is signed in, and which view the address asks for.

import { ApiError, get, hasSession, health, signOut } from "./api.js";
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
const SLOW_MS = 200;
const UNLOADED = "This view could not be loaded: the connection was lost, or RetainStream was updated meanwhile.";
let session = null;

/** Open the page for whoever the cookies belong to. */
async function start() {
  if (!hasSession()) return signedOut(null);
  show(app, h("main", { id: "main", class: "page" }, loading(6)));
  match(VIEWS, parse().path)?.view.load().catch(() => null); // asked for beside the question who this is; open() tells of a failure
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
  const left = now?.root ? { ...now, scroll: window.scrollY } : null;
  if (!left) now?.page.close(); // it was left before it was there
  const back = session.kept?.hash === window.location.hash ? session.kept : null;
  if (!back) session.kept?.page.close();
  session.kept = left;
  session.frame.closeMenu();
  if (back) reopen(back, left);
  else open(found ?? {}, path, isFirst);
}

async function open({ view = null, params = {} }, path, isFirst) {
  const { frame } = session;
  const page = makePage({ view, params, session, outlet: frame.main, onTitle: (text) => frame.here(view, text) });
  const opened = { view, path, page, hash: window.location.hash, root: null };
  session.opened = opened;
  frame.here(view, titleOf(view));
  await page.busy(draw(opened, frame.main));
  if (!page.isOpen || isFirst) return;
  window.scrollTo(0, 0);
  focusHeading();
}

const titleOf = (view) => view?.title ?? "No such page";

async function draw(opened, main) {
  const { view, path, page } = opened;
  const { open: make } = view ? await bring(view, page, main) : { open: () => ({ root: nowhere(path) }) };
  if (!page.isOpen) return;
  Object.assign(opened, make(page));
  page.refresh = opened.refresh ?? null;
  show(main, opened.root);
  main.dataset.path = path;
}

/** The old view stays until the module is loaded; placeholders replace it where that takes long, or where there was no view. */
async function bring(view, page, main) {
  const bones = () => page.isOpen && show(main, h("div", { class: "page" }, heading(view.title), loading(6)));
  const timer = window.setTimeout(bones, main.childElementCount ? SLOW_MS : 0);
  try {
    return (await view.load()).view;
  } catch (error) {
    console.error(error);
    return { open: () => ({ root: unloaded(view) }) };
  } finally {
    window.clearTimeout(timer);
  }
}

/** A browser keeps in mind which module failed, and an update changes several: so the page is loaded anew, once the server is there. */
function unloaded(view) {
  const place = h("div", {});
  const tell = () => show(place, failure({ message: UNLOADED }, again));
  const again = () => health().then(() => window.location.reload(), () => tell().querySelector("button").focus());
  tell();
  return h("div", { class: "page" }, heading(view.title), place);
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

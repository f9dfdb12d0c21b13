// Starts the page: who is signed in, which view the address asks for, what stands around it.

import { ApiError, get, hasSession, signOut } from "./api.js";
import { failure, h, loading, show } from "./dom.js";
import { workbar } from "./jobs.js";
import { customerView } from "./views/customer.js";
import { dashboardView } from "./views/dashboard.js";
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
    signedIn(await get("/api/auth/me"));
  } catch (error) {
    if (error instanceof ApiError && error.isSignedOut) signedOut(EXPIRED);
    else show(app, h("main", { id: "main", class: "page" }, h("h1", {}, "RetainStream"), failure(error, start)));
  }
}

function signedOut(reason) {
  session?.work.stop();
  session = null;
  const isNew = window.location.hash === REGISTER;
  document.title = isNew ? "Create an account – RetainStream" : "Sign in – RetainStream";
  show(app, isNew ? registerView({ onSignedIn: signedIn }) : signInView({ reason, onSignedIn: signedIn }));
  document.getElementById(isNew ? "name" : "email").focus();
}

function signedIn(user) {
  if (window.location.hash === REGISTER) window.history.replaceState(null, "", "#/");
  const expired = () => { if (session) signedOut(EXPIRED); };
  const mayRun = user.role !== "viewer";
  const outlet = h("main", { id: "main", tabindex: -1 });
  const footer = h("footer", { class: "foot" });
  const work = workbar({
    mayRun, onSignedOut: expired, onDone: () => session?.dashboard.refresh(), onState: () => session?.dashboard.work(),
  });
  session = { user, work, outlet, expired, scroll: 0, from: null };
  show(app, header(user), ...work.roots, outlet, footer);
  drawFooter(footer, {});
  session.dashboard = dashboardView({ user, work, onSignedOut: expired, onFigures: (figures) => drawFooter(footer, figures) });
  work.resume();
  route();
}

function header(user) {
  const leave = async (event) => {
    event.target.disabled = true;
    await signOut().catch(() => null);
    signedOut("You are signed out.");
  };
  return h("header", { class: "top" },
    h("a", { class: "brand", href: "#/", "aria-label": "RetainStream, overview" },
      h("img", { src: "/page/favicon.svg", alt: "", width: 28, height: 28 }), h("span", {}, "RetainStream")),
    h("div", { class: "who" },
      h("span", { class: "who-name", title: user.email }, user.name),
      h("span", { class: "badge", id: "role" }, user.role),
      h("button", { type: "button", class: "quiet small", onclick: leave }, "Sign out")));
}

function drawFooter(footer, { asOf, version }) {
  show(footer,
    h("span", {}, version ? `Model ${version}` : "No model yet"),
    h("span", {}, asOf ? `Data of ${asOf}` : "No scores yet"),
    h("a", { href: "#/model" }, "Performance figures"),
    h("a", { href: "/api/docs" }, "API documentation"));
}

/** Show what the address asks for: #/customers/<id>, #/model, or the overview. */
function route() {
  const { outlet, dashboard } = session;
  const [, kind, id] = window.location.hash.match(/^#\/(customers|model)\/?(.*)$/) ?? [];
  if (kind === "customers" && id) {
    const name = decoded(id);
    if (dashboard.root.isConnected) session.scroll = window.scrollY;
    session.from = name;
    document.title = `${name} – RetainStream`;
    show(outlet, customerView(name, { onSignedOut: session.expired }));
    window.scrollTo(0, 0);
    return;
  }
  document.title = "Churn risk – RetainStream";
  if (!dashboard.root.isConnected) back();
  if (kind === "model") document.getElementById("model").scrollIntoView();
}

/** The overview as it was left, with the focus where it was. */
function back() {
  show(session.outlet, session.dashboard.root);
  if (session.from === null) return;
  const links = [...session.outlet.querySelectorAll("table.list th a")];
  links.find((link) => link.textContent === session.from)?.focus({ preventScroll: true });
  window.scrollTo(0, session.scroll);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

window.addEventListener("hashchange", () => {
  const isAtDoor = document.querySelector("main.signin") !== null;
  if (session) route();
  else if (isAtDoor) signedOut(null);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
start();

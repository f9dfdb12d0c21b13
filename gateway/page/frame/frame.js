// The frame of every view: side bar, bar above with breadcrumbs and search, bars that tell of work and age, footer.

import { h, s, show } from "../dom.js";
import { SECTIONS, VIEWS } from "../views.js";
import { helpBox } from "./help.js";
import { address } from "./router.js";

/** The frame; it answers the elements that others write into, and `here`, which marks the view that is shown. */
export function makeFrame({ user, bars, onSearch, onSignOut }) {
  const main = h("main", { id: "main", tabindex: -1, "aria-busy": "true" });
  const crumbs = h("nav", { class: "crumbs", "aria-label": "Breadcrumbs" });
  const tabs = h("nav", { class: "tabs", "aria-label": "Views of this section", hidden: true });
  const footer = h("footer", { class: "foot" });
  const side = sideBar();
  const root = h("div", { class: "frame" },
    side.root,
    h("div", { class: "stage" },
      topBar({ user, crumbs, onSearch, onSignOut }), ...bars, tabs, main, footer),
    helpBox());
  return {
    root, main, footer,
    here: (view, title) => {
      side.mark(view);
      drawTabs(tabs, view, user);
      drawCrumbs(crumbs, view, title);
      document.title = `${title} – RetainStream`;
    },
    closeMenu: () => side.close(),
  };
}

/** Whether a view is for this account. */
export const maySee = ({ roles }, user) => !roles || roles.includes(user.role);

const first = (section) => VIEWS.find((view) => view.section === section);

function sideBar() {
  const links = SECTIONS.filter(({ id }) => first(id)).map(({ id, title }) =>
    h("a", { href: address(first(id).path), "data-section": id }, icon(id), title));
  const nav = h("div", { class: "side-nav", id: "sections" }, links);
  const menu = h("button", { type: "button", class: "quiet small menu", "aria-expanded": "false", "aria-controls": "sections" }, "Menu");
  const root = h("nav", { class: "side", "aria-label": "Sections" },
    h("a", { class: "brand", href: "#/", "aria-label": "RetainStream, overview" },
      h("img", { src: "/page/favicon.svg", alt: "", width: 26, height: 26 }), h("span", {}, "RetainStream")),
    menu, nav);
  const open = (isOpen) => {
    menu.setAttribute("aria-expanded", String(isOpen));
    root.classList.toggle("open", isOpen);
  };
  menu.addEventListener("click", () => open(menu.getAttribute("aria-expanded") !== "true"));
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !root.classList.contains("open")) return;
    open(false);
    menu.focus();
  });
  return {
    root,
    close: () => open(false),
    mark(view) {
      for (const link of links) {
        if (link.dataset.section === view?.section) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
    },
  };
}

/** Each section's sign, as one stroke in a square of 24. */
const STROKES = {
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
  customers: "M16 19v-1a4 4 0 0 0-8 0v1M12 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M20 18v-1a3 3 0 0 0-2-2.8M4 18v-1a3 3 0 0 1 2-2.8",
  segments: "M12 4a8 8 0 1 0 8 8h-8zM15 3.6A8 8 0 0 1 20.4 9H15z",
  value: "M4 19h16M6 15l4-4 3 3 6-7M15 7h4v4",
  model: "M5 19c4 0 5-14 14-14M5 5v14h14",
  campaigns: "M4 10v4h3l7 4V6l-7 4zM17 9a4 4 0 0 1 0 6",
  data: "M5 6c0-1.5 3-2 7-2s7 .5 7 2-3 2-7 2-7-.5-7-2zM5 6v12c0 1.500 3 2 7 2s7-.5 7-2V6M5 12c0 1.500 3 2 7 2s7-.5 7-2",
  people: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M5 20c0-3 3-5 7-5s7 2 7 5",
};

const icon = (name) => s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" }, s("path", { d: STROKES[name] }));

function topBar({ user, crumbs, onSearch, onSignOut }) {
  const leave = h("button", { type: "button", class: "quiet small", onclick: () => onSignOut(leave) }, "Sign out");
  const look = h("button", { type: "button", class: "quiet small", id: "theme" });
  window.theme.button(look);
  return h("header", { class: "top" },
    crumbs,
    h("div", { class: "who" },
      h("button", { type: "button", class: "quiet small", id: "open-search", "aria-keyshortcuts": "/ Control+K", onclick: onSearch },
        "Search", h("kbd", { "aria-hidden": "true" }, "/")),
      look,
      h("span", { class: "who-name", title: user.email }, user.name),
      h("span", { class: "badge", id: "role" }, user.role),
      leave));
}

/** Tabs of a section with more than one view. */
function drawTabs(tabs, view, user) {
  const others = VIEWS.filter((other) => view && other.section === view.section && other.tab !== false && maySee(other, user));
  tabs.hidden = others.length < 2;
  show(tabs, others.length > 1 && others.map((other) =>
    h("a", { href: address(other.path), "aria-current": other === view ? "page" : null }, other.title)));
}

function drawCrumbs(crumbs, view, title) {
  const section = SECTIONS.find(({ id }) => id === view?.section);
  const start = section && first(section.id);
  const isStart = start === view;
  show(crumbs, h("ol", {},
    section && (isStart ? title !== section.title && h("li", {}, section.title) : h("li", {}, h("a", { href: address(start.path), "data-crumb": section.id }, section.title))),
    h("li", { "aria-current": "page" }, title)));
}

// Draws the API document. Kept in a file of its own so that the page needs no inline script.

import { csrfHeaders, get, hasSession } from "./api.js";
import { h, show } from "./dom.js";

/** Send the CSRF value along, so that people signed in by cookies can try every route, not only those that read. */
function withCsrf(request) {
  const { origin, pathname } = new URL(request.url, window.location.href);
  if (origin === window.location.origin && !["GET", "HEAD"].includes(request.method)) {
    Object.assign(request.headers, csrfHeaders(pathname));
  }
  return request;
}

/** Say as whom a route is tried. */
async function tellWho(place) {
  const user = hasSession() ? await get("/api/auth/me").catch(() => null) : null;
  show(place, user ? `“Execute” acts as ${user.name}, ${user.role}.` : ["Not signed in: ", h("a", { href: "/" }, "sign in"), ", or authorize with a token or key."]);
}

/** Swagger UI leaves names, levels and a way by keyboard out of what it draws; they are put in after each drawing. */
function mend(root) {
  const each = (selector, change) => root.querySelectorAll(selector).forEach(change);
  each("tr[data-param-name] :is(input, select, textarea)", (field) => field.setAttribute("aria-label", field.closest("tr").dataset.paramName));
  each(".opblock-section-request-body :is(textarea, select:not([aria-label]))", (field) => field.setAttribute("aria-label", "Request body"));
  each("table[role=region]", (table) => table.setAttribute("aria-label", table.id || "Responses"));
  each(".information-container", (part) => { part.setAttribute("role", "region"); part.setAttribute("aria-label", "About"); });
  each("pre.microlight", (code) => { code.tabIndex = 0; });
  each("#operations :is(h3, h4, h5)", (heading) => heading.setAttribute("aria-level", Number(heading.tagName[1]) - 1));
  // The button around it opens the operation, and its address with it.
  each("button a[href]", (link) => link.removeAttribute("href"));
}

function keepMended(root) {
  let isDue = false;
  const soon = () => {
    if (!isDue) requestAnimationFrame(() => { isDue = false; mend(root); });
    isDue = true;
  };
  new MutationObserver(soon).observe(root, { childList: true, subtree: true });
}

window.theme.button(document.getElementById("theme"));
tellWho(document.getElementById("who"));
keepMended(document.getElementById("docs"));
window.SwaggerUIBundle({
  url: "/api/openapi.json", dom_id: "#docs", deepLinking: true, tryItOutEnabled: true, requestInterceptor: withCsrf,
});

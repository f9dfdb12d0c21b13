// Draws the API document. Kept in a file of its own so that the page needs no inline script.

import { csrfHeaders } from "./api.js";

/** Whoever is signed in on the page by cookies can try every route, not only those that read. */
function withCsrf(request) {
  const { origin, pathname } = new URL(request.url, window.location.href);
  if (origin === window.location.origin && !["GET", "HEAD"].includes(request.method)) {
    Object.assign(request.headers, csrfHeaders(pathname));
  }
  return request;
}

window.SwaggerUIBundle({
  url: "/api/openapi.json", dom_id: "#docs", deepLinking: true, tryItOutEnabled: true, requestInterceptor: withCsrf,
});

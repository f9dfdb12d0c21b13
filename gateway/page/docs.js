// Draws the API document. Kept in a file of its own so that the page needs no inline script.
SwaggerUIBundle({ url: "/api/openapi.json", dom_id: "#docs", deepLinking: true, tryItOutEnabled: true });

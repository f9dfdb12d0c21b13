// RetainStream from JavaScript, in Node 20 or a browser, with nothing but `fetch`: sign in, import, score, list, export.
//   node client.js http://localhost:5000 alex.chen@netflix.com password [table.csv schema.toml]
// The types are those of /api/openapi.json; a test holds them against it.

/** @typedef {{token: string}} SignedIn */
/** @typedef {{total: number, accepted: number, rejected: number, rejects_file: ?string, customers_new: number, customers_updated: number, unchanged: boolean}} ImportOut */
/** @typedef {{predictions_generated: number, average_probability: ?number, model_version: string}} RunOut */
/** @typedef {{id: number, kind: string, state: string, progress: number, stage: ?string, result: ?Object, error: ?Object}} JobOut */
/** @typedef {{user_id: string, plan: ?string, churn_probability: ?number, risk_level: ?string, confidence: ?number, revenue_at_risk: ?number, reasons: Object[]}} Listed */
/** @typedef {{customers: Listed[], next: ?string, total: number}} CustomerPage */

export class Client {
  constructor(url, token) { this.url = url.replace(/\/$/, ""); this.token = token; }

  /** @returns {Promise<Client>} */
  static async signIn(url, email, password) {
    const client = new Client(url);
    const answer = await client.ask("POST", "/api/auth/login", { json: { email, password } });
    /** @type {SignedIn} */
    const signedIn = (await answer.json()).data;
    client.token = signedIn.token;
    return client;
  }

  /** Every refusal is thrown with the server's own sentence. @returns {Promise<Response>} */
  async ask(method, path, { json, body, headers = {} } = {}) {
    if (this.token) headers = { Authorization: `Bearer ${this.token}`, ...headers };
    if (json) { headers = { "Content-Type": "application/json", ...headers }; body = JSON.stringify(json); }
    const answer = await fetch(this.url + path, { method, headers, body });
    if (!answer.ok) throw new Error(`${answer.status}: ${(await answer.json()).message}`);
    return answer;
  }

  /** The result of a request: at once (200), or of its job, asked for until it is done (202). */
  async finished(answer) {
    if (answer.status !== 202) return (await answer.json()).data;
    for (;;) {
      /** @type {JobOut} */
      const job = (await (await this.ask("GET", answer.headers.get("Location"))).json()).data;
      if (job.state === "done") return job.result;
      if (job.error) throw new Error(job.error.message);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  /** @param {Blob} table @param {string} schema TOML @returns {Promise<ImportOut>} */
  async importTable(table, schema, name = "customers.csv") {
    const body = new FormData();
    body.append("file", table, name);
    body.append("schema", schema);
    return this.finished(await this.ask("POST", "/api/customers/import", { body }));
  }

  /** @returns {Promise<RunOut>} */
  async score() {
    const headers = { Prefer: "respond-async" };
    return this.finished(await this.ask("POST", "/api/predictions/generate", { json: {}, headers }));
  }

  /** Everybody the filters let through, page by page. @returns {AsyncGenerator<Listed>} */
  async *customers(filters = {}) {
    for (let after = null; ;) {
      const query = new URLSearchParams({ limit: 100, ...(after && { after }), ...filters });
      /** @type {CustomerPage} */
      const page = (await (await this.ask("GET", `/api/customers?${query}`)).json()).data;
      yield* page.customers;
      after = page.next;
      if (after === null) return;
    }
  }

  /** The bytes of an export as a stream. @returns {Promise<ReadableStream<Uint8Array>>} */
  async export(filters = {}) {
    return (await this.ask("GET", `/api/customers/export?${new URLSearchParams(filters)}`)).body;
  }
}

if (globalThis.process?.argv[1]?.endsWith("client.js")) {
  const { openAsBlob, createWriteStream, readFileSync } = await import("node:fs");
  const { finished } = await import("node:stream/promises");
  const { Readable } = await import("node:stream");
  const [url, email, password, table, schema] = process.argv.slice(2);
  const client = await Client.signIn(url, email, password);
  if (schema) {
    const told = await client.importTable(await openAsBlob(table), readFileSync(schema, "utf8"), table);
    console.log("imported", told.accepted, "of", told.total, "rows,", told.customers_new, "new customers");
  }
  console.log("scored", (await client.score()).predictions_generated);
  for await (const one of client.customers({ risk: "High", sort: "-revenue_at_risk" })) {
    console.log("at risk", one.user_id, one.churn_probability, one.revenue_at_risk);
  }
  const out = createWriteStream("customers.csv");
  await finished(Readable.fromWeb(await client.export({ format: "csv" })).pipe(out));
  console.log("exported", out.bytesWritten, "bytes");
}

// Talking to the API: the cookie session with its CSRF values, one renewal of an expired session, errors as objects.

const CSRF_HEADER = "X-CSRF-TOKEN";
const ACCESS = "csrf_access_token";
const REFRESH = "csrf_refresh_token";
const RENEWAL = "/api/auth/refresh";
const POLL_MS = 500;
let renewal = null;

/** A failure that the API told, or that the network made. */
export class ApiError extends Error {
  constructor(status, body, requestId) {
    super(body?.message ?? "The server could not be reached. Check the connection and try again.");
    this.status = status;
    this.code = body?.error?.code ?? "unreachable";
    this.details = body?.error?.details ?? [];
    this.requestId = body?.error?.request_id ?? requestId ?? null;
  }

  /** Nobody is signed in any more; a role that is too low is something else. */
  get isSignedOut() {
    return this.code === "unauthenticated" || this.code === "token_rejected";
  }
}

/** Whether this browser has cookies of a session, which may have expired. */
export const hasSession = () => Boolean(cookie(ACCESS) || cookie(REFRESH));

export const get = (path, options) => call("GET", path, options);
export const post = (path, body = {}, options = {}) => call("POST", path, { ...options, body });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path) => call("DELETE", path);

/** Send a form with a file; `fields` of null or "" are left out. The answer is a result, or a job where it takes longer. */
export function upload(path, fields, options = {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== null && value !== "" && value !== false) form.append(name, value);
  return call("POST", path, { ...options, form });
}

/** Wait for the end of a job that was answered instead of a result; `tell` is told of each state on the way. */
export async function result(answer, { tell = () => {}, signal = null } = {}) {
  let job = answer;
  while (job?.state && job.kind && !job.finished_at) {
    tell(job);
    await new Promise((wake) => setTimeout(wake, POLL_MS));
    job = await get(`/api/jobs/${job.id}`, { signal });
  }
  if (!job?.kind || !job.finished_at) return job;
  if (job.state === "done") return job.result;
  throw new ApiError(409, { message: job.error?.message ?? `Job ${job.id} ended as ${job.state}.`, error: { code: job.error?.code ?? "job_ended", details: job.error?.details ?? [] } });
}

/** Read the public facts of this server, which need no sign-in. */
export const health = () => send("GET", "/api/health");

/** Open a session; its tokens stay in httpOnly cookies. */
export async function signIn(email, password) {
  const answer = await send("POST", "/api/auth/login", { body: { email, password, cookie: true } });
  return answer.user;
}

/** Open an account where registration is open, and a session with it. */
export async function register(email, password, name) {
  await send("POST", "/api/auth/register", { body: { email, password, name } });
  return signIn(email, password);
}

/** End the session, here and on the server. */
export const signOut = () => call("POST", "/api/auth/logout", { body: {} });

/** The header that proves that a request comes from a page of ours; none where there is no session by cookies. */
export function csrfHeaders(path) {
  const value = cookie(path === RENEWAL ? REFRESH : ACCESS);
  return value === null ? {} : { [CSRF_HEADER]: value };
}

/** Ask; where the session has expired, renew it and ask once more. */
async function call(method, path, options = {}) {
  const before = cookie(ACCESS);
  try {
    return await send(method, path, options);
  } catch (error) {
    if (!(error instanceof ApiError) || !error.isSignedOut) throw error;
    await renew(error, before);
    return send(method, path, options);
  }
}

/** One renewal for all requests and all tabs that wait for it: a refresh token that is used twice ends the session. */
async function renew(reason, before) {
  // Another tab may have renewed the session meanwhile.
  const isOld = () => cookie(ACCESS) === before || !before;
  const refresh = () => isOld() && send("POST", RENEWAL, { body: {} });
  if (!isOld()) return;
  if (!cookie(REFRESH)) throw reason;
  // Browsers have locks on https and on localhost.
  renewal ??= (navigator.locks ? navigator.locks.request("renewal", refresh) : refresh()).finally(() => {
    renewal = null;
  });
  await renewal;
}

async function send(method, path, { body, form, prefer, signal } = {}) {
  const headers = { Accept: "application/json", ...(method === "GET" ? {} : csrfHeaders(path)) };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (prefer) headers.Prefer = prefer;
  let response;
  let text;
  try {
    response = await fetch(path, {
      method, headers, signal, credentials: "same-origin", cache: "no-store",
      body: form ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
    text = await response.text();
  } catch {
    signal?.throwIfAborted();
    throw new ApiError(0, null, null);
  }
  const answer = parsed(text);
  if (!response.ok || answer === null) {
    const said = answer ?? { message: `The server answered ${response.status} without a reason.` };
    throw new ApiError(response.status, said, response.headers.get("X-Request-ID"));
  }
  return answer.success === undefined ? answer : answer.data; // health has no envelope
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a proxy's own page
  }
}

/** A cookie's value; over TLS its name has a prefix. */
function cookie(name) {
  const parts = document.cookie.split("; ");
  const found = [`__Host-${name}=`, `${name}=`].flatMap((start) => parts.filter((part) => part.startsWith(start)));
  return found.length ? decodeURIComponent(found[0].slice(found[0].indexOf("=") + 1)) : null;
}

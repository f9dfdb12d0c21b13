// Whether a worker runs: imports, trainings and scoring wait for one. Asked now and then, more often while it matters.

import { health } from "../api.js";

const CALM_MS = 15_000;
const ALERT_MS = 2_000;

/** Asks until `stop`; `onChange(isAway)` is called when no worker runs any more, and when one does again. */
export function workerWatch({ isWorking, onChange }) {
  const state = { isAway: false, stopped: false };
  const ask = async () => {
    const found = document.hidden ? null : await workerIsAway();
    if (state.stopped) return;
    if (found !== null && found !== state.isAway) {
      state.isAway = found;
      onChange(found);
    }
    setTimeout(ask, found || isWorking() ? ALERT_MS : CALM_MS);
  };
  ask();
  return { stop: () => { state.stopped = true; } };
}

/** Null where nobody knows: the gateway or its database does not answer. */
async function workerIsAway() {
  try {
    const { worker } = (await health()).dependencies;
    return worker === "unknown" ? null : worker === "away";
  } catch {
    return null;
  }
}

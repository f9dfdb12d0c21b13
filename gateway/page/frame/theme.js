// Light or dark as the reader's system says, or as they chose here. Loaded before the first paint, so it is no module.

(() => {
  const key = "retainstream.theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      const value = window.localStorage.getItem(key);
      return value === "light" || value === "dark" ? value : null;
    } catch {
      return null; // storage may be forbidden: then a choice lasts as long as the page
    }
  };
  let choice = stored();
  let button = null;
  const isDark = () => (choice ? choice === "dark" : system.matches);
  const apply = () => {
    if (choice) root.dataset.theme = choice;
    root.classList.toggle("dark-mode", isDark()); // the name that Swagger UI knows it by, on /api/docs
    if (!button) return;
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Change to ${button.textContent.toLowerCase()} colours`);
  };
  const toggle = () => {
    choice = isDark() ? "light" : "dark";
    apply();
    try {
      window.localStorage.setItem(key, choice);
    } catch {
      // see above
    }
  };
  window.theme = {
    /** Make this the button that changes it, and says to what. */
    button(element) {
      button = element;
      button.addEventListener("click", toggle);
      apply();
    },
  };
  system.addEventListener("change", apply);
  apply();
})();

// Light or dark as the reader's system says, or as they chose here. Loaded before the first paint, so it is no module.

(() => {
  const key = "retainstream.theme";
  const stored = () => {
    try {
      return window.localStorage.getItem(key);
    } catch {
      return null; // storage may be forbidden: then a choice lasts as long as the page
    }
  };
  const apply = (choice) => {
    if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
    else delete document.documentElement.dataset.theme;
  };
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
  };
  window.theme = {
    get isDark() { return isDark(); },
    toggle() {
      const choice = isDark() ? "light" : "dark";
      apply(choice);
      try {
        window.localStorage.setItem(key, choice);
      } catch {
        return choice; // see above
      }
      return choice;
    },
  };
  apply(stored());
})();

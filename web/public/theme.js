// Before the first paint, so that a chosen theme does not flash.
try {
  const theme = localStorage.getItem("preftune-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's setting holds.
}

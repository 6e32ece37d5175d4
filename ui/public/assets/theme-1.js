// Sets the theme before the first paint; a file of its own because the policy forbids inline scripts.
// Everything under /assets is cached for ever: a change of this file takes a new number.
(function () {
  var theme = null;
  try {
    theme = localStorage.getItem("qd.theme");
  } catch {
    // Storage is switched off: follow the system.
  }
  var dark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
})();

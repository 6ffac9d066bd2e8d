// The switch for large type. The choice stays in this browser; without storage it holds for this page.
"use strict";
(() => {
  const button = document.getElementById("sg-type");
  if (!button) return;
  const root = document.documentElement;
  const show = () => button.setAttribute("aria-pressed", String(root.classList.contains("sg-large")));
  button.hidden = false;
  show();
  button.addEventListener("click", () => {
    const large = root.classList.toggle("sg-large");
    try {
      localStorage.setItem("sg-large", large ? "1" : "0");
    } catch (refused) {
      // private windows of some browsers forbid storage
    }
    show();
  });
})();

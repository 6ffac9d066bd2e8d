// What the keyboard needs and the theme leaves out: its menu of narrow windows, and tables wider than the window.
"use strict";
(() => {
  // A table that scrolls sideways must be reached, or nobody without a pointer sees its right half.
  const reach = () => {
    for (const table of document.querySelectorAll("article table, article pre > code")) {
      if (table.scrollWidth > table.clientWidth + 1) table.tabIndex = 0;
      else table.removeAttribute("tabindex");
    }
  };
  window.addEventListener("load", () => requestAnimationFrame(reach)); // the theme wraps tables before
  window.addEventListener("resize", reach);

  // The menu is a checkbox with labels, which no key reaches: the one in the header becomes a button, the others get a
  // place in the order. Enter on a label is the theme's; Space is here.
  const drawer = document.getElementById("__drawer");
  const label = document.querySelector("label.md-header__button[for=__drawer]");
  if (!drawer || !label) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = `${label.className} sg-menu`;
  button.setAttribute("aria-label", document.documentElement.lang === "en" ? "Menu" : "菜单");
  button.append(...label.childNodes);
  label.replaceWith(button);
  for (const back of document.querySelectorAll(".md-sidebar--primary label.md-nav__title[for^='__nav']")) {
    back.tabIndex = 0;
  }
  const entries = () =>
    [...document.querySelectorAll(".md-sidebar--primary a, .md-sidebar--primary label[tabindex='0']")].filter(
      (each) => each.offsetParent && getComputedStyle(each).visibility === "visible",
    );
  const told = () => button.setAttribute("aria-expanded", String(drawer.checked));
  told();
  button.addEventListener("click", () => drawer.click());
  drawer.addEventListener("change", () => {
    told();
    const first = drawer.checked && entries()[0];
    if (first) first.focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target instanceof HTMLLabelElement) {
      event.preventDefault();
      event.target.click();
    }
    if (event.key === "Escape" && drawer.checked) {
      drawer.click();
      button.focus();
    }
  });
})();

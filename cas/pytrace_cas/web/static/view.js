// SPDX-License-Identifier: Apache-2.0
// What a page can do without, and does better with: a switch between light and dark, and digests that can be copied.
"use strict";

const THEMES = ["auto", "light", "dark"];

function storedTheme() {
  try {
    const theme = localStorage.getItem("theme");
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto"; // storage is forbidden
  }
}

function useTheme(theme) {
  if (theme === "auto") {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = theme;
  }
}

function addThemeSwitch() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  const show = () => {
    button.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[storedTheme()];
    button.setAttribute("aria-label", `Colours: ${button.textContent}; change`);
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(storedTheme()) + 1) % THEMES.length];
    try {
      localStorage.setItem("theme", next);
    } catch {
      return;
    }
    useTheme(next);
    show();
  });
  show();
  document.getElementById("theme").append(button);
}

function addCopyButtons() {
  if (!navigator.clipboard) {
    return; // only where the page came by TLS or from this machine
  }
  for (const hash of document.querySelectorAll("code.hash, pre.shell")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", hash.matches("pre") ? "Copy the command" : "Copy the digest");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(hash.textContent);
      button.textContent = "Copied";
    });
    hash.after(button);
  }
}

// Before anything is drawn, so that nothing flashes.
useTheme(storedTheme());
document.addEventListener("DOMContentLoaded", () => {
  addThemeSwitch();
  addCopyButtons();
});

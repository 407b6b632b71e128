/** The look that was chosen: the system's, light or dark. */

const PLACE = "zchat.theme";

export function chosenTheme() {
  return localStorage.getItem(PLACE) ?? "system";
}

/** @param {string} theme */
export function chooseTheme(theme) {
  localStorage.setItem(PLACE, theme);
  applyTheme();
}

export function applyTheme() {
  document.documentElement.dataset.theme = chosenTheme();
}

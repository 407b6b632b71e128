/** Begins: reads the address, finds who this browser is, shows the page. */

import { showDialog, formOf } from "./dialogs.js";
import { h } from "./dom.js";
import { current } from "./identities.js";
import { applyTheme } from "./theme.js";
import { welcome } from "./welcome.js";

/** Where a link waits, encoded as it stood in the address. */
const LINK = "zchat.link";

/** @type {import("./app.js").App | null} */
let app = null;

/** The token in an address that a QR code gave; it leaves the address at once. */
function takeAddress() {
  const join = /^\/join\/([^/]+)$/u.exec(location.pathname);
  if (join) sessionStorage.setItem(LINK, join[1]);
  const token = /^#sign-in=([\w-]{1,64})$/u.exec(location.hash)?.[1] ?? "";
  if (join || token) history.replaceState(null, "", "/");
  return token;
}

/** @param {Element} element */
function show(element) {
  document.body.replaceChildren(element);
}

function close() {
  app?.close();
  app = null;
}

/** @param {{ token?: string, left?: import("./identities.js").Identity | null, cancel?: () => void }} [options] */
function showWelcome(options = {}) {
  close();
  history.replaceState(null, "", "/");
  show(
    welcome({
      ...options,
      isInvited: sessionStorage.getItem(LINK) !== null,
      done: start,
    }),
  );
  document.querySelector("input")?.focus();
}

/** Show the chat; its modules are not waited for on the first page. */
async function start() {
  const identity = current();
  close();
  if (!identity) {
    showWelcome();
    return;
  }
  const { App } = await import("./app.js");
  close();
  app = new App(identity, {
    signedOut: (left) => showWelcome({ left }),
    restart: () => void start(),
    addPerson: () => showWelcome({ cancel: start }),
  });
  show(app.element);
  const link = sessionStorage.getItem(LINK);
  if (link !== null) askToJoin(app.actions, link);
}

/** @param {import("./actions.js").Actions} actions @param {string} link */
function askToJoin(actions, link) {
  sessionStorage.removeItem(LINK);
  showDialog("Join a group", (done) => [
    h("p", {}, "Somebody sent you a link to a group. Its owner sees your name and lets you in."),
    formOf([], "Ask to join", async () => {
      await actions.join(link);
      done();
    }),
  ]);
}

applyTheme();
const token = takeAddress();
if (token) showWelcome({ token, cancel: current() ? start : undefined });
else void start();

// The comforts of a page. Everything here has a plain form or link below it
// that works without. Behaviour is asked for by data-sw-… attributes; listeners
// sit on the document, so parts that htmx swaps in need no wiring of their own.

const root = document.documentElement;
const words = document.body.dataset;
const byId = (id) => document.getElementById(id);

// on calls handler(element, event) for events inside elements that match.
function on(type, selector, handler, capture = false) {
  document.addEventListener(type, (event) => {
    const element = event.target instanceof Element && event.target.closest(selector);
    if (element) handler(element, event);
  }, capture);
}

function announce(text) {
  const live = byId("sw-live");
  if (live) live.textContent = text;
}

// Theme: send the form, then light the page without loading it again. The body
// is encoded by hand because a pressed button is not part of FormData(form) in
// older browsers.
on("submit", "form[data-sw-theme]", async (form, event) => {
  if (!event.submitter) return;
  event.preventDefault();
  const choice = event.submitter.value;
  if (choice) root.dataset.bsTheme = choice;
  else delete root.dataset.bsTheme;
  for (const button of document.querySelectorAll("form[data-sw-theme] button")) {
    button.setAttribute("aria-pressed", String(button.value === choice));
  }
  await fetch(form.action, {
    method: "POST",
    headers: { Accept: "application/json" },
    body: new URLSearchParams({ theme: choice }),
  }).catch(() => {}); // the page is lit as asked; the next one will ask again
});

// Copy.
on("click", "[data-sw-copy]", async (button) => {
  const source = byId(button.dataset.swCopy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source); // no permission: leave it selected for Ctrl+C
    return;
  }
  const label = button.querySelector("span");
  const before = [...label.childNodes];
  if (button.dataset.swDone) return;
  button.dataset.swDone = "yes";
  label.replaceChildren(words.swCopied);
  announce(words.swCopied);
  setTimeout(() => {
    label.replaceChildren(...before);
    delete button.dataset.swDone;
  }, 2000);
});

// Passwords can be shown while they are typed.
on("click", "[data-sw-reveal]", (button) => {
  const input = byId(button.dataset.swReveal);
  const show = input.type === "password";
  input.type = show ? "text" : "password";
  button.setAttribute("aria-pressed", String(show));
});

// Questions before destructive acts.
on("click", "[data-sw-dialog]", (trigger, event) => {
  const dialog = byId(trigger.dataset.swDialog);
  if (!dialog?.showModal) return;
  event.preventDefault();
  if (!dialog.open) dialog.showModal();
});
on("click", "dialog", (dialog, event) => {
  if (event.target === dialog) dialog.close(); // outside: the backdrop belongs to the dialog
});

// A form is sent once, however often its button is pressed. The page is shown
// again from the browser's memory after "back", so the mark is taken off then.
on("submit", "form[data-sw-once]", (form, event) => {
  if (event.submitter?.formMethod === "dialog") return;
  if (form.dataset.swSent) {
    event.preventDefault();
    return;
  }
  form.dataset.swSent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sw-sent]")) delete form.dataset.swSent;
  for (const busy of document.querySelectorAll("[aria-busy=true]")) busy.removeAttribute("aria-busy");
});

document.addEventListener("htmx:afterRequest", ({ target }) => {
  delete target.dataset.swSent; // the page stays, so the form may be sent again
  for (const busy of target.querySelectorAll("[aria-busy=true]")) busy.removeAttribute("aria-busy");
});

// Changes that are not saved.
const dirty = new Set();
on("input", "form[data-sw-guard]", (form) => dirty.add(form));
on("submit", "form[data-sw-guard]", (form) => dirty.delete(form));
addEventListener("beforeunload", (event) => {
  if ([...dirty].some((form) => form.isConnected)) event.preventDefault();
});

// Menus close when the visitor turns elsewhere.
addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-sw-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
on("keydown", "details[data-sw-menu][open]", (menu, event) => {
  if (event.key !== "Escape") return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// Rows: a click anywhere leads where the row's link leads; up, down, home and
// end move between the links.
on("click", "tr[data-href]", (row, event) => {
  if (event.target.closest("a, button, input, label, summary, select, .sw-cell-select")) return;
  if (String(getSelection())) return; // the visitor is marking text
  if (event.ctrlKey || event.metaKey) open(row.dataset.href, "_blank", "noopener");
  else location.assign(row.dataset.href);
});
on("keydown", "[data-sw-rows] tbody", (body, event) => {
  const links = [...body.querySelectorAll(".sw-row-link")];
  const at = links.findIndex((link) => link.closest("tr").contains(event.target));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
  if (to === undefined || !links[to] || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  event.preventDefault();
  links[to].focus();
});

// Selection of rows.
function count(formId) {
  const form = byId(formId);
  const boxes = [...document.querySelectorAll(`input[name=select][form="${CSS.escape(formId)}"]`)];
  const chosen = boxes.filter((box) => box.checked).length;
  const all = document.querySelector(`[data-sw-select-all="${CSS.escape(formId)}"]`);
  if (all) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
  if (!form) return;
  form.querySelector("[data-sw-count]").textContent = `${chosen} ${words.swSelected}`;
  for (const button of form.querySelectorAll("button")) button.disabled = chosen === 0;
}
on("change", "[data-sw-select-all]", (all) => {
  const id = all.dataset.swSelectAll;
  for (const box of document.querySelectorAll(`input[name=select][form="${CSS.escape(id)}"]`)) box.checked = all.checked;
  count(id);
});
on("change", "input[name=select][form]", (box) => count(box.getAttribute("form")));

// Files: dropped ones land in the input, and the names are read out.
for (const type of ["dragover", "dragleave", "drop"]) {
  on(type, "[data-sw-drop]", (zone, event) => {
    event.preventDefault();
    zone.toggleAttribute("data-over", type === "dragover");
    if (type !== "drop" || !event.dataTransfer.files.length) return;
    const input = zone.querySelector("input");
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
on("change", "[data-sw-drop] input", (input) => {
  const sizes = [...input.files].map((file) => `${file.name} (${size(file.size)})`);
  const text = input.closest("[data-sw-drop]").querySelector("[data-sw-drop-text]");
  if (sizes.length) text.textContent = sizes.join(", ");
});
function size(bytes) {
  const step = bytes < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  return new Intl.NumberFormat(root.lang, { style: "unit", unit: step[0], maximumFractionDigits: 1 }).format(bytes / step[1]);
}

// Times in the visitor's zone, which is shown; the title keeps UTC.
function localTime(element) {
  const time = new Date(element.dateTime);
  if (Number.isNaN(time.valueOf()) || element.title) return;
  element.title = element.textContent;
  const parts = { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
  if (element.dataset.swTime === "second") parts.second = "2-digit";
  // "en" alone would be American; the product speaks British English.
  element.textContent = new Intl.DateTimeFormat(root.lang === "en" ? "en-GB" : root.lang, parts).format(time);
}

// Time left. It is announced by the label alone, not every second.
function countdown(element) {
  const left = Math.ceil((new Date(element.dateTime) - Date.now()) / 1000);
  if (!element.title) element.title = element.textContent;
  element.toggleAttribute("data-low", left < 60);
  if (left <= 0) {
    element.textContent = element.dataset.swCountdown;
    return;
  }
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(left / 3600);
  const clock = `${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`;
  const text = left >= 172800
    ? new Intl.NumberFormat(root.lang, { style: "unit", unit: "day", unitDisplay: "long" }).format(Math.floor(left / 86400))
    : hours ? `${hours}:${clock}` : clock;
  element.textContent = `${text} ${words.swLeft}`;
}

// What needs doing once for new content.
function enhance(part) {
  part.querySelectorAll("time[data-sw-time]").forEach(localTime);
  part.querySelectorAll("time[data-sw-countdown]").forEach(countdown);
  part.querySelectorAll("[data-sw-copy], [data-sw-reveal], [data-sw-select-all]").forEach((e) => { e.hidden = false; });
  part.querySelectorAll("[data-sw-drop]").forEach((e) => { e.dataset.ready = ""; });
  part.querySelectorAll("[data-sw-select-all]").forEach((e) => count(e.dataset.swSelectAll));
}

enhance(document);
document.addEventListener("htmx:load", (event) => enhance(event.detail.elt.parentElement ?? document));
setInterval(() => document.querySelectorAll("time[data-sw-countdown]").forEach(countdown), 1000);

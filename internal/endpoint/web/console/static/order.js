// The order form: the certificate's name while its parts are typed, and the
// fields that belong to the chosen way of making the key. The server makes the
// name that counts; internal/wscert says how.

const output = document.querySelector("[data-console-name]");
const form = output?.closest("form");
const letters = { æ: "ae", ø: "o", å: "a", ä: "a", ö: "o", ü: "u", ß: "ss", é: "e", è: "e", à: "a", ç: "c" };

function slug(text) {
  return text.toLowerCase().replace(/[æøåäöüßéèàç]/g, (letter) => letters[letter]).split(/[^a-z0-9]+/).filter(Boolean).join("-");
}

function show() {
  const service = form.elements.service.selectedOptions[0]?.dataset.name ?? form.elements.service.value;
  output.value = `${service || "…"}-ws-ssl-${slug(form.elements.short_name.value) || "…"}`;
  const mode = form.elements.mode.value;
  for (const part of form.querySelectorAll("[data-console-mode]")) {
    part.hidden = !part.dataset.consoleMode.split(" ").includes(mode);
  }
}

if (form) {
  form.addEventListener("input", show);
  form.addEventListener("change", show);
  show();
}

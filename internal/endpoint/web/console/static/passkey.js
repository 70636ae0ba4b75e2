// Passkeys: a form asks the server for a challenge, the authenticator answers it,
// and the form is sent with the answer like any other. W3C Web Authentication,
// level 3, section 5.1.

const interface_ = window.PublicKeyCredential;

for (const form of document.querySelectorAll("form[data-console-passkey]")) {
  if (!interface_?.parseRequestOptionsFromJSON || !interface_.prototype.toJSON) continue;
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    if (form.elements.response.value) return; // answered: send it
    event.preventDefault();
    answer(form);
  });
}

async function answer(form) {
  const refused = form.querySelector("[data-console-refused]");
  const button = form.querySelector("button[type=submit]");
  refused.hidden = true;
  button.disabled = true;
  try {
    const begun = await begin(form.dataset.consoleBegin);
    const key = begun.options.publicKey;
    const credential = form.dataset.consolePasskey === "create"
      ? await navigator.credentials.create({ publicKey: interface_.parseCreationOptionsFromJSON(key) })
      : await navigator.credentials.get({ publicKey: interface_.parseRequestOptionsFromJSON(key) });
    form.elements.ceremony.value = begun.ceremony;
    form.elements.response.value = JSON.stringify(credential.toJSON());
    button.disabled = false;
    form.requestSubmit(button);
  } catch (error) {
    // The browser's own words are for developers; the server's are for people.
    refused.textContent = error instanceof Refusal ? error.message : refused.dataset.consoleRefused;
    refused.hidden = false;
    button.disabled = false;
    button.focus();
  }
}

class Refusal extends Error {}

async function begin(address) {
  const answer = await fetch(address, { method: "POST", headers: { Accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw new Refusal([body.detail, body.next].filter(Boolean).join(" "));
  return body;
}

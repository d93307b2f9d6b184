/* Security keys and passkeys. A form with data-webauthn="create" or "get" carries what the server asks in data-options; its button
   [data-use-key] hands that to the browser, and what the key answers goes into the form's field named "answer". */
(() => {
  "use strict";
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  function asked(options) {
    const key = options.publicKey;
    key.challenge = bytes(key.challenge);
    if (key.user) key.user.id = bytes(key.user.id);
    for (const list of [key.excludeCredentials, key.allowCredentials]) for (const one of list || []) one.id = bytes(one.id);
    return { publicKey: key };
  }
  function answered(credential) {
    const { response } = credential, parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
    return {
      id: credential.id, rawId: text(credential.rawId), type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment,
      clientExtensionResults: credential.getClientExtensionResults(),
      response: Object.fromEntries(parts.filter((part) => response[part]).map((part) => [part, text(response[part])])),
    };
  }
  async function use(button) {
    const box = button.closest("[data-webauthn]"), said = box.querySelector("[data-said]"), form = button.form;
    if (!navigator.credentials || !window.isSecureContext) { said.textContent = box.dataset.impossible; return; }
    if (box.dataset.webauthn === "create" && !form.reportValidity()) return;
    button.setAttribute("aria-busy", "true");
    said.textContent = box.dataset.waiting;
    try {
      const credential = await navigator.credentials[box.dataset.webauthn](asked(JSON.parse(box.dataset.options)));
      form.elements.answer.value = JSON.stringify(answered(credential));
      said.textContent = "";
      form.requestSubmit();
    } catch (refused) {
      said.textContent = refused.name === "InvalidStateError" ? box.dataset.known : box.dataset.refused;
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
  addEventListener("click", (e) => {
    const button = e.target.closest("[data-use-key]");
    if (button) { e.preventDefault(); use(button); }
  });
})();

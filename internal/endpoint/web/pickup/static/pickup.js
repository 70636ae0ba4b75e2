// Notices when the page is out of date: the file has left, another browser has
// taken over, or the certificate has been issued. Without script, links on the
// page do the same.
const box = document.querySelector("[data-pickup-status]");

async function look() {
  const answer = await fetch(box.dataset.pickupStatus, { headers: { Accept: "application/json" }, cache: "no-store" }).catch(() => null);
  if (answer?.ok) {
    const { state } = await answer.json();
    if (state === "delivered") {
      location.assign(box.dataset.pickupDone);
      return;
    }
    if (state !== box.dataset.pickupState) {
      location.reload();
      return;
    }
  } else if (answer?.status === 401 || answer?.status === 410) {
    location.reload();
    return;
  }
  setTimeout(look, 2000); // no answer: the network may come back
}

if (box) setTimeout(look, 2000);

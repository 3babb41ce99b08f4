// @ts-check
/** The line between list and detail, moved by mouse, touch or arrow keys. */

/** @param {HTMLElement} line @param {HTMLElement} split @param {{get: () => number, set: (percent: number) => void}} share */
export function mountSeparator(line, split, share) {
  if (line.dataset.ready) return;
  line.dataset.ready = "true";
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2, Home: -100, End: 100 }[event.key];
    if (!step) return;
    event.preventDefault();
    share.set(share.get() + step);
  });
  line.addEventListener("dblclick", () => share.set(44));
  line.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    line.setPointerCapture(event.pointerId);
    line.classList.add("is-dragged");
    line.focus();
  });
  line.addEventListener("pointermove", (event) => {
    if (!line.hasPointerCapture(event.pointerId)) return;
    const box = split.getBoundingClientRect();
    share.set(((event.clientX - box.left) / box.width) * 100);
  });
  line.addEventListener("lostpointercapture", () => line.classList.remove("is-dragged"));
}

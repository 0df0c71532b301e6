"use strict";
for (const section of document.querySelectorAll("section[data-file]")) {
  const audio = section.querySelector("audio");
  const words = [...section.querySelectorAll(".word")];
  const starts = words.map((word) => Number(word.dataset.start));
  let now = null;
  section.querySelector("input").addEventListener("change", (event) => {
    const file = event.target.files[0];
    if (!file) return;
    if (audio.src) URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(file);
    audio.hidden = false;
  });
  section.addEventListener("click", (event) => {
    const from = event.target.closest("[data-start]");
    if (!from || audio.hidden) return;
    audio.currentTime = Number(from.dataset.start);
    audio.play();
  });
  audio.addEventListener("timeupdate", () => {
    let low = 0, high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= audio.currentTime) low = middle + 1; else high = middle;
    }
    const next = low ? words[low - 1] : null;
    if (next === now) return;
    if (now) now.classList.remove("now");
    now = next;
    if (now) { now.classList.add("now"); now.scrollIntoView({ block: "nearest" }); }
  });
}

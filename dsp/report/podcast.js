"use strict";
{
  const audio = document.querySelector("audio");
  const pieces = [...document.querySelectorAll("[data-start]")];
  const lines = pieces.filter((one) => one.classList.contains("piece"));
  for (const one of pieces) {
    one.addEventListener("click", () => { audio.currentTime = Number(one.dataset.start); audio.play(); });
  }
  audio.addEventListener("timeupdate", () => {
    const now = lines.findLast((one) => Number(one.dataset.start) <= audio.currentTime + 0.05);
    for (const one of lines) one.classList.toggle("now", one === now);
  });
}

"use strict";
const audio = document.querySelector("audio");
document.querySelectorAll("button[data-start]").forEach((button) => {
  button.addEventListener("click", () => {
    audio.currentTime = Number(button.dataset.start);
    audio.play();
  });
});

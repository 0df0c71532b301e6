(function () {
  "use strict";
  var box = document.getElementById("compare");
  if (!box) { return; }
  var choices = Array.from(box.querySelectorAll("input")), play = document.getElementById("compare-play");
  var now = document.getElementById("compare-now"), trouble = document.getElementById("compare-trouble");
  var song = document.getElementById("audio"), sounds = new Map(), heard = null, playing = false;

  function soundOf(choice) {
    if (!sounds.has(choice)) {
      var sound = choice.dataset.sound ? document.getElementById(choice.dataset.sound) : new Audio(choice.dataset.file);
      sound.loop = true;
      (sound.lastElementChild || sound).addEventListener("error", function () {
        trouble.textContent = choice.dataset.file ? "Its file is not beside this page: " + decodeURI(choice.dataset.file) : "This browser cannot play it.";
      });
      sounds.set(choice, sound);
    }
    return sounds.get(choice);
  }
  // All that were heard once run on, muted: a switch is heard at once, and at the same place.
  function hear() {
    var next = soundOf(choices.find(function (choice) { return choice.checked; }));
    var at = heard ? heard.currentTime : 0;
    if (next !== heard && Math.abs(next.currentTime - at) > 0.04) { next.currentTime = at; }
    next.muted = false;
    heard = next;
    trouble.textContent = "";
    function hush() { sounds.forEach(function (sound) { if (sound !== heard) { sound.muted = true; } }); }
    if (!playing) { hush(); return; }
    next.play().then(hush, function (error) { if (error.name !== "AbortError") { hush(); } });
  }
  function show() {
    now.textContent = clock(Number(now.dataset.at) + (heard ? heard.currentTime : 0));
    if (playing) { requestAnimationFrame(show); }
  }
  function run(on) {
    playing = on;
    play.textContent = on ? "Pause" : "Play";
    if (on) { song.pause(); hear(); show(); }
    sounds.forEach(function (sound) { if (!on) { sound.pause(); } else if (sound !== heard) { sound.muted = true; sound.play().catch(function () {}); } });
  }

  box.hidden = false;
  choices.slice(0, 2).forEach(soundOf);
  choices.forEach(function (choice) { choice.addEventListener("change", hear); });
  play.addEventListener("click", function () { run(!playing); });
  // The event comes late: the song may have been stopped again by then.
  song.addEventListener("play", function () { if (playing && !song.paused) { run(false); } });
}());

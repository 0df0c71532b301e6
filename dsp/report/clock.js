const clock = (s) => {
  if (s === null) return "–";
  const two = (n) => String(n).padStart(2, "0"), all = Math.round(s);
  const hours = Math.floor(all / 3600), minutes = Math.floor(all / 60);
  return `${hours ? `${hours}:${two(minutes % 60)}` : minutes}:${two(all % 60)}`;
};

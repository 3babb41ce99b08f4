// Runs before first paint: the chosen theme, and the first question to the server while the modules still load.
(() => {
  try {
    const theme = localStorage.getItem("llmflow-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch { /* storage is closed to us: the system's theme stands */ }
  const path = location.pathname;
  if (location.hash.length > 1 && path === "/") return;
  const urls = ["/api/stats"];
  if ((path === "/" || path === "/traces") && location.search.length < 2) urls.push("/api/traces?roots=1&joined=0&running=1&limit=100&fields=summary");
  const trace = /^\/traces\/([^/]+)$/.exec(path)?.[1];
  if (trace && !/[?&]span=/.test(location.search)) urls.push(`/api/traces/${trace}`, `/api/traces/${trace}/tree?fields=summary`);
  window.llmflowFirst = new Map(urls.map((url) => [url, fetch(url, { headers: { accept: "application/json" } })]));
  for (const answer of window.llmflowFirst.values()) answer.catch(() => {}); // whoever takes it up reports the error
})();

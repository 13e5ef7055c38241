// Runs before the first paint, so that the page does not flash in the other theme's colours.
{
  const prefersLight = matchMedia("(prefers-color-scheme: light)");
  const apply = () => {
    const chosen = localStorage.getItem("pinhole-theme");
    const isChosen = chosen === "dark" || chosen === "light";
    document.documentElement.dataset.theme = isChosen ? chosen : prefersLight.matches ? "light" : "dark";
  };
  prefersLight.addEventListener("change", apply);
  apply();
}

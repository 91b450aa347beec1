// What scrolls sideways must be reachable by keyboard too; what fits needs no stop of the tab key.
function markScrolling() {
  for (const part of document.querySelectorAll(".bd-article table, .bd-article pre, .bd-article div")) {
    const style = getComputedStyle(part);
    const scrolls = /auto|scroll/.test(style.overflowX) && part.scrollWidth > part.clientWidth;
    if (scrolls) part.tabIndex = 0;
    else if (part.dataset.scrolls) part.removeAttribute("tabindex");
    if (scrolls) part.dataset.scrolls = "yes";
    else delete part.dataset.scrolls;
  }
}
addEventListener("load", markScrolling);
addEventListener("resize", markScrolling);

"""A widget in a browser, as its reader meets it: by keyboard, by touch, on every screen."""

import json
from importlib.resources import files

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


class WidgetPage:
    """One widget on its page. ``wait`` is how long training may take here, in milliseconds."""

    wait = 60_000

    def __init__(self, browser, address, path, name, screen="light", **context):
        self.name = name
        self.context = browser.new_context(**{"reduced_motion": "reduce"} | SCREENS[screen] | context)
        self.page = self.context.new_page()
        self.problems = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.problems.append(said.text))
        self.page.on("request", lambda request: request.url.startswith((address, "data:", "blob:"))
                     or self.problems.append(request.url))
        self.page.goto(f"{address}/{path}.html")
        self.figure = self.page.locator(f"#widget-{name}")

    def ready(self):
        """Wait until it runs, and bring it into view."""
        self.page.wait_for_selector(f"#widget-{self.name}[data-ready]")
        self.figure.scroll_into_view_if_needed()
        return self

    def shown(self, of=".widget-body") -> dict:
        """The numbers behind the picture."""
        data = self.figure.locator(of).first.evaluate("node => ({...node.dataset})")
        return {key: self._value(text) for key, text in data.items()}

    @staticmethod
    def _value(text):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text

    def until(self, condition: str):
        """Wait for a condition on ``d``, the numbers behind the picture."""
        self.page.wait_for_function(
            """([name, condition]) => new Function('d', `return ${condition}`)(
                 document.querySelector(`#widget-${name} .widget-body`).dataset)""",
            arg=[self.name, condition], timeout=self.wait)

    def press(self, element: str, *keys: str):
        """Reach a control by Tab alone, from the start of the widget, then press keys."""
        self.figure.evaluate("node => { node.tabIndex = -1; node.focus(); }")
        for _ in range(60):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("chosen => document.activeElement.matches(chosen)", element):
                break
        else:
            raise AssertionError(f"no way to {element} by Tab")
        for key in keys:
            self.page.keyboard.press(key)
            assert self.page.evaluate("document.activeElement !== document.body"), f"{key} lost the focus"

    def said(self) -> str:
        """What a screen reader hears, once it is quiet."""
        self.page.wait_for_timeout(900)
        return self.figure.locator("[aria-live=polite]").inner_text()

    def check_form(self, tallest=None):
        """Nothing is cut, no text is small, and axe-core finds no barrier."""
        width = self.page.viewport_size["width"]
        assert self.page.evaluate("document.documentElement.scrollWidth") <= width
        box = self.figure.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        if tallest:
            assert box["height"] <= tallest, box
        cut = self.figure.evaluate("""figure => [
          ...figure.querySelectorAll('.widget-body *')].filter(node => {
          const own = node.getBoundingClientRect(), all = figure.getBoundingClientRect();
          return own.width && !node.closest('.widget-said') && !node.closest('defs, clipPath, pattern')
            && !node.closest('[clip-path]') && (own.right > all.right + 1 || own.left < all.left - 1);
        }).map(node => node.outerHTML.slice(0, 120))""")
        assert cut == [], cut
        small = self.figure.evaluate("""figure => [...figure.querySelectorAll('*')].filter(node =>
          [...node.childNodes].some(text => text.nodeType === 3 && text.data.trim())
          && node.getBoundingClientRect().width && parseFloat(getComputedStyle(node).fontSize) < 13.9)
          .map(node => node.outerHTML.slice(0, 120))""")
        assert small == [], small
        self.page.evaluate(AXE)
        axe = "name => axe.run(`#widget-${name}`, {preload: false})"  # it would load style sheets again
        found = self.page.evaluate(axe, self.name)["violations"]
        barriers = [(one["id"], one["nodes"][0]["html"][:160]) for one in found]
        assert barriers == [], barriers

    def close(self):
        self.context.close()
        assert self.problems == [], self.problems

"""The page of the API names all that the package offers."""

import re
import types
from pathlib import Path

import vaerec as vr

PAGE = Path(__file__).parents[2] / "book" / "api.md"


def public_names(module: types.ModuleType) -> list[str]:
    """Names that a module lists, or else those that it defines itself, with the module's own."""
    own = [name for name, value in vars(module).items()
           if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__]
    return [f"{module.__name__}.{name}" for name in getattr(module, "__all__", own)]


def test_every_public_name_is_on_the_page_of_the_api():
    modules = [value for name in vr.__all__
               if isinstance(value := getattr(vr, name), types.ModuleType)]
    names = {name for module in (vr, *modules) for name in public_names(module)}
    names -= {module.__name__ for module in modules}
    shown = re.findall(r"\.\. auto(?:function|class):: (\S+)", PAGE.read_text(encoding="utf-8"))
    assert len(names) > 50
    assert sorted(names - set(shown)) == []

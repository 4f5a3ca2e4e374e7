"""What Sphinx makes the documentation site by; ``make docs`` calls it.

What the site needs beyond Sphinx's own settings is in ``docs/_site``: links that leave this folder,
the table of errors, types by the names that users import, and ``llms.txt``.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import django
from django.conf import settings

sys.path.insert(0, str(Path(__file__).parent))

settings.configure(  # What importing Django REST framework's views takes.
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"]
)
django.setup()

import tokenwheel  # noqa: E402

project = "tokenwheel"
author = "tokenwheel contributors"
copyright = author  # noqa: A001 -- Sphinx's name
version = release = tokenwheel.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "_site.navigation",
    "_site.outside_links",
    "_site.error_table",
    "_site.module_names",
    "_site.public_names",
    "_site.llms",
]
exclude_patterns = ["_site", "_static"]
if find_spec("tokenwheel.metrics") is None:
    exclude_patterns.append("reference/api/metrics.md")

nitpicky = True
# Types of other packages, and of Python: their inventories would have to be downloaded.
nitpick_ignore_regex = [(r"py:.*", r"(?!tokenwheel\.).*")]
# Type variables, the union of the clients that RedisStorage takes, and what makes a watch.
nitpick_ignore_regex += [(r"py:class", r"tokenwheel\..*\.(?:[A-Z]|View|Client|Watches)")]

myst_heading_anchors = 4  # Slugs as GitHub makes them.

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72
napoleon_use_ivar = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"tokenwheel {release}"
html_baseurl = "https://tokenwheel.github.io/tokenwheel/"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {
    "source_repository": "https://github.com/tokenwheel/tokenwheel/",
    "source_branch": "main",
    "source_directory": "docs/",
}
pygments_style = "friendly"
pygments_dark_style = "monokai"
copybutton_prompt_text = "$ "

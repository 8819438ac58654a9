"""Keeps the machine's own Python packages out of the unpacked Mailman.

Python imports this module when it starts, after the .pth files of the
installed packages. Those of Debian's python3-zope.* fill sys.modules with a
namespace that has no room for the unpacked packages of the same name.
"""

import os
import sys

_ours = os.environ.get("PYTHONPATH", "").split(os.pathsep)
_installed = [
    path
    for path in sys.path
    if path not in _ours and path.endswith(("dist-packages", "site-packages"))
]
sys.path[:] = [path for path in sys.path if path not in _installed]
for _name, _module in list(sys.modules.items()):
    if any(path.startswith(tuple(_installed)) for path in getattr(_module, "__path__", ())):
        del sys.modules[_name]

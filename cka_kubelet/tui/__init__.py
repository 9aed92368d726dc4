"""The terminal app. Importing this package costs nothing; `cka_kubelet.tui.app` brings Textual."""

import os

# How long Textual waits after an ESC for the rest of a key, in ms. Its default of 100 makes vim feel slow.
os.environ.setdefault("ESCDELAY", "25")

"""The command line."""

import gc

# Modules that are imported are no garbage, and looking through them again and again was a tenth of a command's start.
gc.set_threshold(50_000, 20, 50)

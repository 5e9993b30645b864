"""The command line."""

import gc

# Modules that are imported are no garbage, and looking through them again and again was a tenth of a command's start.
# Nor is what a batch becomes: some thousand events make 50,000 pairs of name and value, which go once it is encoded.
gc.set_threshold(100_000, 20, 50)

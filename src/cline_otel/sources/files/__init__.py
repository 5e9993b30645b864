"""Files that others write: following them, polling them, and whether their writers live."""

"""How fast, and beside what: every figure is measured next to its floor, in the same run on the same machine."""

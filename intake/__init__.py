"""How calls, rosters, opt-outs and answers collected elsewhere get in; stores, never judges."""

"""Stand-ins for the outside world: a phone network, customers, and the clock that moves them.

This room speaks to the service over its public doors only, and imports none of its rooms.
"""

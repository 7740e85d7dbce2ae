"""The ground floor: what is asked, of whom, about which call, and what they said."""

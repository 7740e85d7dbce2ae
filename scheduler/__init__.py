"""Who is asked, when, and over which channel."""

"""What the answers prove."""

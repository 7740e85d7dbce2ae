"""The same for programs: JSON in and out."""

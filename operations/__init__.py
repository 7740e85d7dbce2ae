"""Doctor, users, stop, health: keeping the service well."""

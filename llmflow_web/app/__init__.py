"""Configuration, construction and commands: imports everything, imported by nothing but the front door."""

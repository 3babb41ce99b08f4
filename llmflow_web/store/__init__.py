"""The SQLite rim: the only room that imports sqlite3."""

"""The version, in one place: read by packaging, the CLI, the API and the User-Agent."""

VERSION = "0.1.0"

"""The `offramp` command: a thin verb per file, importing what a verb needs when it runs."""

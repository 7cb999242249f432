"""This project beside the servers that a user would pick instead, on the same texts and machine."""

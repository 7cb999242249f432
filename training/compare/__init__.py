"""The papers' ways to leave early and this project's, side by side on the same examples."""
